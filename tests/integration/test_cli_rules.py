"""``beckon rules``, ``explain`` and ``simulate`` against real servers and services, as a person runs them."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from services.rule_evaluator.schema import rule_schema
from shared.clock import DAY, HOUR, MINUTE, Instant, SystemClock, rfc3339
from shared.messages import Trigger
from shared.outcomes import outcome
from tests.support.command import Ran, beckon
from tests.support.people import committed, event, person, signed_in, triggers
from tests.support.stack import PARTITIONS, ROOT, Stack, until

RULES = ROOT / "examples/rules"
CART = (RULES / "cart-abandonment.yaml").read_text(encoding="utf-8")
HALF = 30 * MINUTE

NOT_RUNNING = "beckon: the rule-evaluator does not answer: it is not running\n"


def looks(count: int, status: str = "draft") -> str:
    """Fires at the so many-th look at a product."""
    return (
        f"id: looks-{count}\nstatus: {status}\nwhen: {{event: product_viewed, count: {{gte: {count}}}}}\n"
        "action: {email: {template: t}}\n"
    )


class Desk:
    """Where a person sits, with the address of the servers and a folder of documents."""

    def __init__(self, stack: Stack, folder: Path) -> None:
        self.stack = stack
        self.folder = folder

    async def beckon(self, *arguments: str) -> Ran:
        return await beckon(self.stack.nats.url("operator"), *arguments)

    async def says(self, *arguments: str) -> list[str]:
        """The lines of a command that must succeed."""
        ran = await self.beckon(*arguments)
        assert (ran.code, ran.err) == (0, "")
        return ran.out.splitlines()

    async def json(self, *arguments: str) -> Any:
        return json.loads("\n".join(await self.says(*arguments, "--json")))

    async def fails(self, *arguments: str) -> str:
        """The one line of a command that cannot be done."""
        ran = await self.beckon(*arguments)
        assert (ran.code, ran.out) == (1, "")
        return ran.err

    def write(self, document: str, name: str = "rule.yaml") -> str:
        path = self.folder / name
        path.write_text(document, encoding="utf-8")
        return str(path)

    async def apply(self, *documents: str) -> None:
        """One after the other."""
        files = [self.write(document, f"{number}.yaml") for number, document in enumerate(documents)]
        await self.says("rules", "apply", *files)

    async def back_test(self, *arguments: str) -> list[dict[str, Any]]:
        """One object a line."""
        ran = await self.beckon("rules", "backtest", *arguments, "--json")
        assert ran.code == 0, ran.err
        return [json.loads(line) for line in ran.out.splitlines()]


@pytest.fixture
def desk(stack: Stack, tmp_path: Path) -> Desk:
    folder = tmp_path / "desk"
    folder.mkdir()
    return Desk(stack, folder)


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


# --- Back-tests of what is recorded -----------------------------------------------------------------------------------


async def test_a_draft_is_back_tested_by_its_id_and_by_its_file(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.stack.start("throttle")
    await desk.stack.start("state")
    filled = event("added_to_cart", ago_us=20 * MINUTE)
    looked = [event("product_viewed", "bob"), event("product_viewed", "bob")]
    bought = [event("added_to_cart", "eve", ago_us=20 * MINUTE), event("purchased", "eve", ago_us=MINUTE)]
    await desk.stack.publish(filled, *looked, *bought)
    await committed(desk.stack, 5)
    draft = CART.replace("status: live", "status: draft")
    await desk.apply(draft)

    assert await desk.back_test("cart-abandonment") == []
    soon = rfc3339(filled.timestamp + HALF)
    expected = [
        {
            "person": "ada",
            "rule": "cart-abandonment",
            "at": soon,
            "because": [{"event_id": filled.id, "event": "added_to_cart", "timestamp": rfc3339(filled.timestamp)}],
            "throttle": "send",
            "reason": "",
        }
    ]
    assert await desk.back_test("cart-abandonment", "--until", soon) == expected
    assert await desk.back_test(desk.write(draft, "another.yaml"), "--until", soon) == expected
    assert await desk.back_test("cart-abandonment", "--until", soon, "--since", rfc3339(filled.timestamp + HOUR)) == []

    both = await desk.back_test("cart-abandonment", desk.write(looks(2), "looks.yaml"), "--until", soon)
    assert {(one["person"], one["rule"]) for one in both} == {("ada", "cart-abandonment"), ("bob", "looks-2")}
    (bobs,) = (one for one in both if one["person"] == "bob")
    assert [because["event_id"] for because in bobs["because"]] == [one.id for one in looked]

    human = await desk.beckon("rules", "backtest", "cart-abandonment", "--until", soon)
    line, *summary = human.out.splitlines()
    assert line.startswith(f"{soon}  cart-abandonment  ada  because added_to_cart ")
    assert summary[0].split() == ["day", "rule", "fired", "would", "be", "sent"]
    assert summary[1].split() == [soon[:10], "cart-abandonment", "1", "1"]
    assert summary[2].startswith("1 firings in 5 events of 3 people, ")
    assert await desk.stack.fetch("SELECT 1 FROM state.triggers") == [], "nothing is sent"


async def test_a_back_test_is_put_to_the_policy_in_force(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.stack.start("throttle")
    await desk.stack.start("state")
    await desk.says("policy", "apply", desk.write("caps: [{max: 2, per: 24h, scope: all}]\n", "policy.yaml"))
    for _ in range(3):
        await desk.stack.publish(event("product_viewed"))
    await desk.stack.publish(event("product_viewed", "bob"))
    await committed(desk.stack, 4)
    await desk.apply(*map(looks, (1, 2, 3)))
    played = await desk.back_test("looks-3", "looks-1", "looks-2")
    told = [(one["rule"], one["throttle"], one["reason"].partition(";")[0]) for one in played if one["person"] == "ada"]
    assert told == [
        ("looks-1", "send", ""),
        ("looks-2", "send", ""),
        ("looks-3", "suppressed", "cap: 2 per 24h overall"),
    ]
    assert [(one["rule"], one["throttle"]) for one in played if one["person"] == "bob"] == [("looks-1", "send")]


async def test_a_visitor_who_signed_in_is_back_tested_as_one_person(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.stack.start("throttle")
    await desk.stack.start("state")
    filled = event("added_to_cart", "a-1", ago_us=10 * MINUTE)
    await desk.stack.publish(filled)
    await committed(desk.stack, 1)
    await desk.stack.publish(signed_in("ada", "a-1"))
    await _remembers(desk.stack, "ada", 2)
    (firing,) = await desk.back_test(desk.write(CART, "cart.yaml"), "--until", rfc3339(filled.timestamp + DAY))
    assert (firing["person"], firing["at"]) == ("ada", rfc3339(filled.timestamp + HALF))
    assert [because["event_id"] for because in firing["because"]] == [filled.id]


async def _remembers(stack: Stack, key: str, events: int) -> None:
    async def check() -> bool:
        return len((await person(stack, key)).history) == events

    await until(check, what=f"{key} has {events} events")


async def test_what_cannot_be_back_tested_is_one_line(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    assert await desk.fails("rules", "backtest", "nope") == "beckon: there is no rule nope\n"
    flawed = desk.write(looks(1).replace("event", "evnt"))
    assert (await desk.fails("rules", "backtest", flawed)).startswith("beckon: when.evnt: is not a condition")
    missing = await desk.beckon("rules", "backtest", "/no/where.yaml")
    assert missing == Ran(2, "", "beckon: /no/where.yaml: no such file\n")
    assert (await desk.fails("rules", "backtest", desk.write(looks(1)))).startswith(
        "beckon: the rule-evaluator says no: "
    ), "the state service is not there"


# --- Explanations -----------------------------------------------------------------------------------------------------


async def test_a_person_is_explained_to_people_and_to_programs(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.apply(
        CART,
        looks(1, "live"),
        looks(5),
        "id: idle\nwhen: {elapsed: 14d, since: activity}\naction: {email: {template: t}}\n",
    )
    await desk.stack.start("state")
    filled = event("added_to_cart", ago_us=18 * MINUTE)
    await desk.stack.publish(filled, event("identify", country="AT"), event("product_viewed"))
    await committed(desk.stack, 3)
    (trigger,) = await triggers(desk.stack, 1)
    await desk.stack.publish(_stopped(trigger))
    await _remembers(desk.stack, "ada", 4)

    lines = await desk.says("explain", "ada", "cart-abandonment")
    assert lines[0] == "ada"
    assert "cart-abandonment  Cart left behind  (live, version 1)" in lines
    text = "\n".join(lines)
    assert "✗ all of" in text
    assert "✓ event: added_to_cart, within: 24h   found 1   because added_to_cart" in text
    assert "✗ event: purchased, since: added_to_cart   found 0" in text
    assert "✗ elapsed: 30m, since: added_to_cart" in text
    assert lines[-1].startswith("  fires in 11 min ")
    assert lines[-1].endswith(" unless added_to_cart or purchased")

    lines = await desk.says("explain", "ada", "idle")
    assert lines[-1].startswith("  would fire, were it not draft, in 13 d 23 h")
    assert lines[-1].endswith(" unless any activity")
    lines = await desk.says("explain", "ada", "looks-1")
    assert lines[-2:] == ["  holds now", f"  fired {_second(trigger.at)}: trigger_suppressed, a test"]
    lines = await desk.says("explain", "ada", "looks-5")
    assert lines[-1] == "  does not hold, and time alone will not change that"

    told = await desk.json("explain", "ada")
    assert (told["person"], told["aliases"], told["profile"]) == ("ada", [], {"country": "AT"})
    assert [rule["rule"] for rule in told["rules"]] == ["cart-abandonment", "idle", "looks-1", "looks-5"]
    cart = told["rules"][0]
    assert cart["turns_true"] == rfc3339(filled.timestamp + HALF)
    assert cart["unless"] == ["added_to_cart", "purchased"]
    assert (cart["not_before"], cart["never_again"], cart["fired"]) == (None, False, [])
    assert cart["live_since"].endswith("Z")
    assert cart["when"]["text"] == "all of"
    assert cart["when"]["changes"] == rfc3339(filled.timestamp + HALF)
    first = cart["when"]["parts"][0]
    assert (first["text"], first["holds"], first["found"]) == ("event: added_to_cart, within: 24h", True, "1")
    assert [(one["event"], one["timestamp"]) for one in first["reasons"]] == [
        ("added_to_cart", rfc3339(filled.timestamp))
    ]
    (past,) = told["triggers"]
    assert (past["id"], past["rule"], past["at"]) == (trigger.id, "looks-1", rfc3339(trigger.at))
    assert (past["outcome"], past["reason"]) == ("trigger_suppressed", "a test")
    only = await desk.json("explain", "ada", "idle")
    assert [rule["rule"] for rule in only["rules"]] == ["idle"]


def _stopped(trigger: Trigger) -> Any:
    return outcome("trigger_suppressed", trigger, SystemClock().now(), reason="a test")


def _second(at: Instant) -> str:
    return f"{rfc3339(at)[:10]} {rfc3339(at)[11:19]}Z"


async def test_after_a_firing_it_says_how_long_it_may_not_again(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.apply(looks(1, "live") + "reentry: 24h\n", looks(2, "live") + "reentry: never\n")
    await desk.stack.start("state")
    await desk.stack.publish(event("product_viewed"), event("product_viewed"))
    await triggers(desk.stack, 2)
    lines = await desk.says("explain", "ada")
    daily, once = [line for line in lines if line.startswith("  holds now")]
    assert daily.startswith("  holds now; it fired lately, and may not again for 23 h 59 min")
    assert once == "  holds now; it has fired, and may not again"
    assert sum(line.endswith(": on its way") for line in lines) == 2
    told = {rule["rule"]: rule for rule in (await desk.json("explain", "ada"))["rules"]}
    assert told["looks-1"]["not_before"] is not None
    assert (told["looks-2"]["not_before"], told["looks-2"]["never_again"]) == (None, True)
    assert len(told["looks-1"]["fired"]) == 1


async def test_whoever_turned_out_to_be_another_is_explained_as_that_one(desk: Desk) -> None:
    await desk.stack.start("rule_evaluator")
    await desk.apply(looks(3))
    await desk.stack.start("state")
    await desk.stack.publish(event("product_viewed", "a-1"))
    await committed(desk.stack, 1)
    await desk.stack.publish(signed_in("ada", "a-1"), event("product_viewed"))
    await _remembers(desk.stack, "ada", 3)
    lines = await desk.says("explain", "a-1")
    assert lines[:2] == ["a-1 turned out to be ada", "also known as a-1"]
    assert any("found 2" in line for line in lines)
    told = await desk.json("explain", "a-1", "looks-3")
    assert (told["person"], told["aliases"]) == ("ada", ["a-1"])
    assert (await desk.says("explain", "ada"))[:2] == ["ada", "also known as a-1"]


async def test_who_and_what_is_not_known_is_said(desk: Desk) -> None:
    await desk.stack.start("state")
    assert await desk.fails("explain", "ada") == NOT_RUNNING
    await desk.stack.start("rule_evaluator")
    assert await desk.says("explain", "nobody") == ["nobody", "nothing is known of this person"]
    assert await desk.json("explain", "nobody") | {"at": ""} == {
        "person": "nobody",
        "at": "",
        "aliases": [],
        "profile": {},
        "rules": [],
        "triggers": [],
    }
    assert await desk.fails("explain", "nobody", "nope") == "beckon: there is no rule nope\n"


# --- Simulated shoppers -----------------------------------------------------------------------------------------------


async def test_the_same_seed_and_start_give_the_same_file(tmp_path: Path) -> None:
    arguments = ("simulate", "--people", "40", "--days", "5", "--start", "2026-01-01T00:00:00Z")
    files = [tmp_path / name for name in ("one", "same", "another")]
    for file, seed in zip(files, "771", strict=True):
        ran = await beckon(None, *arguments, "--seed", seed, "--out", str(file))
        lines = file.read_bytes().splitlines()
        assert ran == Ran(0, f"{len(lines)} events of 40 people in {file}\n", "")
        assert len(lines) > 100
    one, same, another = (file.read_bytes() for file in files)
    assert one == same != another
    events = [json.loads(line) for line in one.splitlines()]
    assert [each["received_at"] for each in events] == sorted(each["received_at"] for each in events)
    assert events[0]["timestamp"] >= "2026-01-01"
    assert events[-1]["received_at"] < "2026-01-06"


async def test_simulated_lines_are_back_tested_without_an_error(tmp_path: Path) -> None:
    file = tmp_path / "events.ndjson"
    await beckon(
        None,
        *("simulate", "--people", "60", "--days", "20", "--seed", "3"),
        *("--start", "2026-01-01T00:00:00Z", "--out", str(file)),
    )
    paths = [str(path) for path in sorted(RULES.glob("*.yaml"))]
    policy = str(ROOT / "examples/policy.yaml")
    played = await beckon(None, "rules", "backtest", *paths, "--events", str(file), "--policy", policy, "--json")
    assert played.code == 0, played.err
    firings = [json.loads(line) for line in played.out.splitlines()]
    assert [one["at"] for one in firings] == sorted(one["at"] for one in firings)
    assert "cart-abandonment" in {one["rule"] for one in firings}
    assert {one["throttle"] for one in firings} == {"send", "suppressed"}
    assert f"{len(firings)} firings in {len(file.read_bytes().splitlines())} events of " in played.err


async def test_a_start_that_is_none_and_a_file_that_cannot_be_written_are_named(tmp_path: Path) -> None:
    wrong = await beckon(None, "simulate", "--start", "noon", "--out", str(tmp_path / "events"))
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("beckon: --start: 'noon' is neither RFC 3339 with a zone")
    nowhere = tmp_path / "none" / "events"
    assert await beckon(None, "simulate", "--out", str(nowhere)) == Ran(
        2, "", f"beckon: {nowhere}: No such file or directory\n"
    )
