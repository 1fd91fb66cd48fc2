"""``beckon rules`` against real servers and services, as a person runs it."""

import asyncio
import json
from pathlib import Path

from services.rule_evaluator.schema import rule_schema
from shared.clock import HOUR
from tests.support.command import Ran, beckon
from tests.support.desk import CART, NOT_RUNNING, RULES, Desk, looks
from tests.support.people import committed, event
from tests.support.stack import PARTITIONS, until

# --- A rule's life ----------------------------------------------------------------------------------------------------


async def test_every_version_is_kept_compared_and_put_again(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.apply(CART, CART.replace("holdout: 0% ", "holdout: 5% "), CART.replace("30m", "45m"))

    table = [line.split() for line in await desk.says("rules", "versions", "cart-abandonment")]
    assert table[0] == ["version", "status", "changed", "by", "name"]
    assert [row[:2] + row[4:] for row in table[1:]] == [
        [number, "live", "a-test", "Cart", "left", "behind"] for number in "123"
    ]
    told = await desk.json("rules", "versions", "cart-abandonment")
    assert [(one["version"], one["status"], one["by"]) for one in told] == [(n, "live", "a-test") for n in (1, 2, 3)]
    assert [one["changed_at"] for one in told] == sorted(one["changed_at"] for one in told)
    assert told[0]["changed_at"].endswith("Z")

    difference = await desk.says("rules", "diff", "cart-abandonment")
    assert difference[:2] == ["--- cart-abandonment version 2", "+++ cart-abandonment version 3"]
    assert "-    - {elapsed: 30m, since: added_to_cart}" in difference
    assert "+    - {elapsed: 45m, since: added_to_cart}" in difference
    assert difference[-2] == "changed: when, holdout"
    assert difference[-1].startswith("the condition is another one")

    told = await desk.json("rules", "diff", "cart-abandonment", "1", "2")
    assert (told["from"], told["to"], told["changed"]) == (1, 2, ["holdout"])
    assert "-holdout: 0% " in told["diff"]
    assert (await desk.says("rules", "diff", "cart-abandonment", "2", "2")) == ["nothing that matters changed"]

    assert await desk.says("rules", "rollback", "cart-abandonment", "1") == [
        "cart-abandonment: version 4 is version 1 again"
    ]
    assert await desk.says("rules", "rollback", "cart-abandonment", "1") == [
        "cart-abandonment: version 4 is version 1 again, as it was"
    ]
    assert (await desk.beckon("rules", "show", "cart-abandonment")).out == CART
    again = await desk.json("rules", "rollback", "cart-abandonment", "3")
    assert (again["id"], again["version"], again["changed"], again["errors"]) == ("cart-abandonment", 5, True, [])


async def test_when_a_version_went_live_is_told_as_a_time(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.apply(looks(1), looks(1, "live"))
    draft, live = await desk.json("rules", "versions", "looks-1")
    assert draft["live_since"] is None
    assert live["live_since"] == live["changed_at"]


async def test_a_deleted_rule_is_gone_but_can_be_put_again(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.apply(looks(1, "live"))
    assert await desk.says("rules", "delete", "looks-1") == ["looks-1: deleted, which is version 2"]
    assert await desk.fails("rules", "delete", "looks-1") == "beckon: there is no rule looks-1\n"
    assert await desk.says("rules", "list") == ["no rules yet"]
    assert [one["status"] for one in await desk.json("rules", "versions", "looks-1")] == ["live", "deleted"]
    assert (await desk.json("rules", "diff", "looks-1"))["changed"] == ["id", "status", "when", "action"]
    assert await desk.fails("rules", "rollback", "looks-1", "2") == (
        "beckon: version 2 of looks-1 is its deletion: there is nothing to put again\n"
    )

    assert await desk.says("rules", "rollback", "looks-1", "1") == ["looks-1: version 3 is version 1 again"]
    assert [rule["id"] for rule in await desk.json("rules", "list")] == ["looks-1"]
    assert await desk.json("rules", "delete", "looks-1") == {"id": "looks-1", "version": 4}


async def test_a_rule_that_is_not_there_is_one_line(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.apply(looks(1))
    line = "beckon: there is no rule nope\n"
    for arguments in (("versions",), ("diff",), ("delete",)):
        assert await desk.fails("rules", *arguments, "nope") == line
    assert await desk.fails("rules", "rollback", "nope", "7") == "beckon: there is no rule nope in version 7\n"
    for arguments in (("diff", "looks-1", "1", "7"), ("rollback", "looks-1", "7")):
        assert await desk.fails("rules", *arguments) == "beckon: there is no rule looks-1 in version 7\n"


async def test_the_schema_is_printed_for_editors(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    assert json.loads("\n".join(await desk.says("rules", "schema"))) == rule_schema()


async def test_documents_are_checked_without_any_server(tmp_path: Path) -> None:
    good, flawed, broken = tmp_path / "good.yaml", tmp_path / "flawed.yaml", tmp_path / "broken.yaml"
    hook = "webhook: {url: http://hooks.example.com, secret: crm}"
    good.write_text(looks(1).replace("email: {template: t}", hook) + f"---\n{looks(2)}")
    flawed.write_text(looks(1).replace("event", "evnt"))
    broken.write_text("id: [\n")

    assert await beckon(None, "rules", "test", str(RULES / "vip.yaml")) == Ran(0, f"{RULES}/vip.yaml: good (vip)\n", "")
    checked = await beckon(None, "rules", "test", str(good), str(flawed), str(broken))
    assert (checked.code, checked.err) == (1, "beckon: 2 of 3 files are flawed\n")
    lines = checked.out.splitlines()
    assert lines[0].startswith(f"{good}: warning: action.webhook.url: ")
    assert lines[1] == f"{good}: good (looks-1, looks-2)"
    assert lines[2].startswith(f"{flawed}: when.evnt: is not a condition, did you mean event?")
    assert lines[3].startswith(f"{broken}: line 2, column 1: ")

    told = await beckon(None, "rules", "test", str(good), str(flawed), "--json")
    assert (told.code, told.err) == (1, "beckon: 1 of 2 files are flawed\n")
    first, second = told.json()
    assert (first["rules"], first["errors"], len(first["warnings"])) == (["looks-1", "looks-2"], [], 1)
    assert (second["file"], second["rules"], len(second["errors"])) == (str(flawed), [], 1)
    assert await beckon(None, "rules", "test", "/no/where") == Ran(
        2, "", "beckon: /no/where: No such file or directory\n"
    )


async def test_what_is_not_running_is_one_line(desk: Desk) -> None:
    asked = ("versions r", "diff r", "rollback r 1", "delete r", "schema", "backtest r")
    lines = await asyncio.gather(*(desk.fails("rules", *arguments.split()) for arguments in asked))
    assert lines == [NOT_RUNNING] * len(asked)
    away = "beckon: the state service does not answer: it is not running\n"
    lines = await asyncio.gather(desk.fails("rules", "sweep"), desk.fails("explain", "ada"))
    assert lines == [away] * 2


# --- Sweeps -----------------------------------------------------------------------------------------------------------


async def test_a_sweep_is_waited_for(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.stack.start("state")
    people = [f"p{number}" for number in range(20)]
    await desk.stack.publish(*(event("product_viewed", key, ago_us=HOUR) for key in people))
    await committed(desk.stack, len(people))
    await desk.apply(looks(1, "live"))

    async def begun() -> bool:
        return bool((await desk.json("rules", "sweep"))["revision"])

    await until(begun)
    waited = await desk.beckon("rules", "sweep")
    assert (waited.code, waited.err.strip()) == (0, "")
    assert waited.out.startswith("revision 1: 20 people looked at, 0 timers set, ")
    told = await desk.json("rules", "sweep")
    assert (told["partitions"], told["partitions_done"], told["seen"]) == (PARTITIONS, PARTITIONS, 20)


async def test_where_no_rule_was_ever_live_there_is_no_sweep_to_wait_for(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.stack.start("state")
    async with asyncio.timeout(5):
        await desk.says("rules", "sweep")
