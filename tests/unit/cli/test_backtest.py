"""A back-test of files: what a policy would have let through, what is printed, and the model that it agrees with."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from services.cli.backtest import command
from services.cli.failure import Failure
from services.cli.offline import EventFile, backtest, read_policy, read_rules
from services.cli.played import Played
from services.throttle.policy import Policy
from shared.clock import DAY, HOUR, MINUTE, SECOND, Instant, rfc3339
from shared.rules import PlayedFiring
from tests.property import cases, model
from tests.property.cases import UNTIL, Come, Sign
from tests.support.offline import BEGIN, CART, EVERY, HALF, ONCE, Files, line

WORLDS = 300


# --- A policy ---------------------------------------------------------------------------------------------------------


def policy(files: Files, text: str) -> Policy:
    path = files.folder / "policy.yaml"
    path.write_text(text, encoding="utf-8")
    return read_policy(path)


def test_a_policy_says_what_would_have_been_sent(files: Files) -> None:
    caps = policy(files, "caps: [{max: 1, per: 24h, scope: rule}]\n")
    days = [line("a", hour * HOUR) for hour in (0, 20, 24)]
    outcome = files.play(EVERY, *days, policy=caps)
    assert [(firing.verdict, firing.reason) for firing in outcome.firings] == [
        ("send", ""),
        ("suppressed", f"cap: 1 per 24h for rule every; rule every was sent at {rfc3339(outcome.firings[0].at)}"),
        ("send", ""),
    ]


def test_caps_count_in_the_order_of_time_over_all_rules(files: Files) -> None:
    caps = policy(files, "caps: [{max: 1, per: 24h, scope: all}]\n")
    events = [line("added_to_cart", 0), line("a", MINUTE), line("a", HOUR)]
    outcome = files.play(f"{CART}---\n{EVERY}", *events, policy=caps)
    assert [(firing.rule, firing.verdict) for firing in outcome.firings] == [
        ("every", "send"),
        ("cart", "suppressed"),
        ("every", "suppressed"),
    ]


def test_caps_are_a_persons_own(files: Files) -> None:
    caps = policy(files, "caps: [{max: 1, per: 24h, scope: all}]\n")
    outcome = files.play(EVERY, line("a", 0), line("a", 1, user_id="bob"), policy=caps)
    assert [firing.verdict for firing in outcome.firings] == ["send", "send"]


def test_who_is_held_out_is_told(files: Files) -> None:
    outcome = files.play(EVERY + "holdout: 100%\n", line("a", 0), policy=Policy(()))
    assert [(one.verdict, one.reason) for one in outcome.firings] == [
        ("held_out", "held out: 1 of all people, to measure lift")
    ]


def test_without_a_policy_there_is_no_verdict(files: Files) -> None:
    (firing,) = files.play(EVERY + "holdout: 100%\n", line("a", 0)).firings
    assert (firing.verdict, firing.reason) == ("", "")


def test_a_flawed_policy_is_refused(files: Files) -> None:
    with pytest.raises(Failure) as caught:
        policy(files, "caps: {}\n")
    assert caught.value.code == 2
    path = files.folder / "policy.yaml"
    assert str(caught.value) == f"{path}: caps: expected a list; write `caps: []` for no caps at all"


# --- What is printed --------------------------------------------------------------------------------------------------

REASONS = [(f"e{number}", "a", BEGIN + number * SECOND) for number in range(6)]


def firing(at: Instant, rule: str = "cart", **more: Any) -> PlayedFiring:
    return PlayedFiring("ada", rule, BEGIN + at, **{"because": REASONS[:1], **more})


def test_a_firing_is_a_line_of_json(capsys: pytest.CaptureFixture[str]) -> None:
    played = Played(as_json=True)
    played.add(firing(HALF))
    played.add(firing(HOUR, verdict="suppressed", reason="cap: 1 per 24h overall", because=[]))
    played.summary("2 firings")
    out, err = capsys.readouterr()
    first, second = map(json.loads, out.splitlines())
    assert list(first) == ["person", "rule", "at", "because"]
    assert first == {
        "person": "ada",
        "rule": "cart",
        "at": "2026-01-31T09:30:00Z",
        "because": [{"event_id": "e0", "event": "a", "timestamp": "2026-01-31T09:00:00Z"}],
    }
    assert second == {
        "person": "ada",
        "rule": "cart",
        "at": "2026-01-31T10:00:00Z",
        "because": [],
        "throttle": "suppressed",
        "reason": "cap: 1 per 24h overall",
    }
    assert "2 firings" in err


def test_for_people_it_is_a_line_with_the_latest_reasons(capsys: pytest.CaptureFixture[str]) -> None:
    played = Played(as_json=False)
    played.add(firing(HALF, because=REASONS, verdict="send"))
    played.add(firing(HALF, because=[], verdict="suppressed", reason="cap: 1 per 24h overall"))
    assert capsys.readouterr().out.splitlines() == [
        "2026-01-31T09:30:00Z  cart  ada  because a 01-31 09:00:02, a 01-31 09:00:03, a 01-31 09:00:04, a 01-31 09:00:05",
        "2026-01-31T09:30:00Z  cart  ada  because time passed  [cap: 1 per 24h overall]",
    ]


def test_a_summary_counts_by_day_and_rule(capsys: pytest.CaptureFixture[str]) -> None:
    played = Played(as_json=False, quiet=True)
    for at, rule in [(0, "cart"), (HOUR, "cart"), (HOUR, "vip"), (DAY, "cart")]:
        played.add(firing(at, rule))
    assert capsys.readouterr().out == ""
    played.summary("4 firings in 9 events of 2 people")
    lines = [one.split() for one in capsys.readouterr().out.splitlines()]
    assert lines == [
        ["day", "rule", "fired"],
        ["2026-01-31", "cart", "2"],
        ["2026-01-31", "vip", "1"],
        ["2026-02-01", "cart", "1"],
        ["4", "firings", "in", "9", "events", "of", "2", "people"],
    ]


def test_a_summary_counts_what_would_be_sent_if_somebody_was_asked(capsys: pytest.CaptureFixture[str]) -> None:
    played = Played(as_json=False, quiet=True)
    for at, verdict in [(0, "send"), (1, "suppressed"), (DAY, "held_out")]:
        played.add(firing(at, verdict=verdict))
    played.summary("3 firings")
    lines = [one.split() for one in capsys.readouterr().out.splitlines()]
    assert lines[0] == ["day", "rule", "fired", "would", "be", "sent"]
    assert lines[1:3] == [["2026-01-31", "cart", "2", "1"], ["2026-02-01", "cart", "1", "0"]]


def test_nothing_fired_is_no_table(capsys: pytest.CaptureFixture[str]) -> None:
    Played(as_json=False).summary("0 firings in 0 events of 0 people")
    assert capsys.readouterr().out == "0 firings in 0 events of 0 people\n"


# --- The command ------------------------------------------------------------------------------------------------------


def test_the_command_prints_one_object_a_line_and_nothing_else(
    files: Files, capsys: pytest.CaptureFixture[str]
) -> None:
    events = files.events(line("a", 0, event_id="one"), line("a", HOUR, event_id="two"))
    command([str(files.rules(EVERY)), str(files.rules(ONCE, "once.yaml"))], events=events, as_json=True)
    out, err = capsys.readouterr()
    told = [json.loads(one) for one in out.splitlines()]
    assert [(one["person"], one["rule"], one["at"]) for one in told] == [
        ("ada", "every", "2026-01-31T09:00:00Z"),
        ("ada", "every", "2026-01-31T10:00:00Z"),
        ("ada", "once", "2026-01-31T10:00:00Z"),
    ]
    assert [because["event_id"] for because in told[2]["because"]] == ["one", "two"]
    assert err.endswith("3 firings in 2 events of 1 people\n")


def test_since_and_until_bound_what_is_told(files: Files, capsys: pytest.CaptureFixture[str]) -> None:
    events = files.events(*(line("a", hour * HOUR) for hour in range(5)))
    command(
        [str(files.rules(EVERY))],
        events=events,
        since="2026-01-31T10:00:00Z",
        until="2026-01-31T12:00:00Z",
        as_json=True,
    )
    hours = [json.loads(one)["at"][11:13] for one in capsys.readouterr().out.splitlines()]
    assert hours == ["10", "11", "12"]


def test_a_time_that_is_none_is_named(files: Files) -> None:
    for option in ("since", "until"):
        with pytest.raises(Failure, match=f"--{option}: 'noon' is neither RFC 3339") as caught:
            command([str(files.rules(EVERY))], events=files.events(line("a", 0)), **{option: "noon"})
        assert caught.value.code == 2


def test_a_policy_alone_goes_with_a_file_of_events(files: Files) -> None:
    with pytest.raises(Failure, match="--policy goes with --events") as caught:
        command([str(files.rules(EVERY))], policy=files.folder / "policy.yaml")
    assert caught.value.code == 2


def test_the_same_rule_in_two_files_is_refused(files: Files) -> None:
    one, other = files.rules(EVERY), files.rules(EVERY, "again.yaml")
    with pytest.raises(Failure, match="two rules have the same id"):
        command([str(one), str(other)], events=files.events(line("a", 0)), as_json=True)


# --- Against the brute-force model ------------------------------------------------------------------------------------


def lines_of(happenings: list[Come | Sign]) -> Iterator[dict[str, Any]]:
    for happening in happenings:
        if isinstance(happening, Sign):
            at = rfc3339(happening.arrived)
            yield {
                "user_id": "ada",
                "anonymous_id": "visitor",
                "event": "identify",
                "event_id": "sign",
                "timestamp": at,
            }
            continue
        event = happening.event
        written = {
            "user_id" if event.person == "ada" else "anonymous_id": event.person,
            "event": event.name,
            "event_id": event.id,
            "timestamp": rfc3339(event.timestamp),
            "received_at": rfc3339(happening.arrived),
            "properties": event.properties,
            "trusted": event.trusted,
        }
        yield from [written] * (1 + happening.twice)


def by_the_model(document: dict[str, Any], happenings: list[Come | Sign], until: Instant) -> list[model.Firing]:
    """Live since before the first event. Nothing is taken back, so no event names a firing; signing in is an event, too."""
    lives = {key: model.Life(key, document, -1) for key in ("ada", "visitor")}
    numbers = {"ada": 0, "visitor": 0}
    histories: dict[str, list[model.Happening]] = {"ada": [], "visitor": []}
    signed_in = False

    def arrives(key: str, name: str, timestamp: Instant, arrived: Instant, properties: Any, trusted: bool) -> None:
        numbers[key] += 1
        happening = model.Happening(numbers[key], name, timestamp, arrived, properties, trusted)
        histories[key].append(happening)
        lives[key].arrive(happening)

    for happening in happenings:
        if isinstance(happening, Sign):
            arrives("ada", "identify", happening.arrived, happening.arrived, {}, True)
            brought = [e._replace(n=numbers["ada"] + e.n) for e in histories["visitor"]]
            lives["visitor"].pass_to(happening.arrived)
            lives["ada"].join(lives["visitor"], brought, happening.arrived)
            numbers["ada"] += numbers["visitor"]
            signed_in = True
        else:
            event = happening.event
            key = "ada" if signed_in else event.person
            arrives(key, event.name, event.timestamp, happening.arrived, event.properties, event.trusted)
    lives["ada"].pass_to(until)
    if not signed_in:
        lives["visitor"].pass_to(until)
    return lives["ada"].fired + lives["visitor"].fired


def check(folder: Path, world: cases.World, happenings: list[Come | Sign], until: Instant | None) -> int:
    documents = [document for document, _ in world.rules]
    rules, events = folder / "rules.json", folder / "events.ndjson"
    rules.write_bytes(msgspec.json.encode(documents))
    events.write_bytes(b"".join(msgspec.json.encode(one) + b"\n" for one in lines_of(happenings)))
    outcome = backtest(read_rules(rules), EventFile(events), until, None, lambda _, __: None)
    last = max((happening.arrived for happening in happenings), default=0)
    expected = [
        firing
        for document in documents
        for firing in by_the_model(document, happenings, until if until is not None else last)
    ]
    found = [model.Firing(firing.person, firing.rule, firing.at) for firing in outcome.firings]
    assert sorted(found) == sorted(expected)
    return len(found)


@pytest.mark.parametrize("until", [UNTIL, None])
def test_one_persons_firings_are_those_of_the_model(tmp_path: Path, until: Instant | None) -> None:
    """Without whoever signs in: only what ada herself does."""
    count = 0
    for seed in range(WORLDS):
        world = cases.world(Random(seed))
        happenings = [one for one in world.happenings if isinstance(one, Come) and one.event.person == "ada"]
        try:
            count += check(tmp_path, world, list(happenings), until)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
    assert count > WORLDS / 6, "and some do fire"


def test_firings_of_a_visitor_who_signs_in_are_those_of_the_model(tmp_path: Path) -> None:
    count = 0
    for seed in range(WORLDS):
        world = cases.world(Random(seed))
        try:
            count += check(tmp_path, world, world.happenings, UNTIL)
        except Exception as error:
            error.add_note(f"seed {seed}")
            raise
    assert count > WORLDS / 6, "and some do fire"
