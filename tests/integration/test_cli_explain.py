"""``beckon explain``, and what simulated shoppers make rules do, on real servers and services."""

import json
from pathlib import Path
from typing import Any

from shared.clock import MINUTE, Instant, SystemClock, rfc3339
from shared.messages import Trigger
from shared.outcomes import outcome
from tests.support.command import Ran, beckon
from tests.support.desk import CART, NOT_RUNNING, RULES, Desk, looks
from tests.support.people import committed, event, remembers, signed_in, triggers
from tests.support.stack import ROOT

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
    await remembers(desk.stack, "ada", 4)

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
    assert cart["turns_true"] == rfc3339(filled.timestamp + 30 * MINUTE)
    assert cart["unless"] == ["added_to_cart", "purchased"]
    assert (cart["not_before"], cart["never_again"], cart["fired"]) == (None, False, [])
    assert cart["live_since"].endswith("Z")
    assert cart["when"]["text"] == "all of"
    assert cart["when"]["changes"] == rfc3339(filled.timestamp + 30 * MINUTE)
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
    await remembers(desk.stack, "ada", 3)
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
