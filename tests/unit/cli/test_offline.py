"""Back-tests of rules and events in files: what is read, what is refused with its place, and what fires."""

import json
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import pytest

from services.cli.backtest import command
from services.cli.failure import Failure
from services.cli.offline import EventFile, Outcome, backtest, read_policy, read_rules
from services.cli.played import Played
from services.throttle.policy import Policy
from shared.clock import DAY, HOUR, MINUTE, SECOND, Instant, rfc3339
from shared.rules import PlayedFiring
from tests.property import cases, model
from tests.property.cases import UNTIL, Come, Sign
from tests.support.stack import ROOT

BEGIN = 1_769_850_000 * SECOND  # 2026-01-31T09:00:00Z
HALF = 30 * MINUTE
WORLDS = 300

CART = """\
id: cart
when:
  all:
    - {event: added_to_cart, within: 24h}
    - not: {event: purchased, since: added_to_cart}
    - {elapsed: 30m, since: added_to_cart}
throttle: {category: nudge}
action: {email: {template: t}}
"""
ONCE = "id: once\nwhen: {event: a, count: {gte: 2}}\naction: {email: {template: t}}\n"
EVERY = "id: every\nwhen: {event: a, within: 1s}\nthrottle: {category: news}\naction: {email: {template: t}}\n"


def line(event: str, at: Instant, **fields: Any) -> dict[str, Any]:
    """``at``: after the beginning. Ada's, if nobody else's is said."""
    who = {} if fields.keys() & {"user_id", "anonymous_id"} else {"user_id": "ada"}
    return {**who, "event": event, "timestamp": rfc3339(BEGIN + at), **fields}


def received(at: Instant) -> dict[str, str]:
    return {"received_at": rfc3339(BEGIN + at)}


class Files:
    """Writes files and plays them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.progress: list[tuple[int, int]] = []

    def rules(self, text: str, name: str = "rules.yaml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def events(self, *lines: dict[str, Any] | str, end: str = "\n") -> Path:
        path = self.folder / "events.ndjson"
        texts = [one if isinstance(one, str) else json.dumps(one) for one in lines]
        path.write_text("\n".join(texts) + end, encoding="utf-8")
        return path

    def play(
        self,
        rules: str,
        *lines: dict[str, Any] | str,
        until: Instant | None = None,
        policy: Policy | None = None,
        end: str = "\n",
    ) -> Outcome:
        events = EventFile(self.events(*lines, end=end))
        return backtest(
            read_rules(self.rules(rules)),
            events,
            BEGIN + until if until is not None else None,
            policy,
            lambda count, of: self.progress.append((count, of)),
        )

    def refused(self, rules: str, *lines: dict[str, Any] | str) -> list[str]:
        with pytest.raises(Failure) as caught:
            self.play(rules, *lines)
        assert caught.value.code == 2
        return str(caught.value).splitlines()


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return Files(tmp_path)


def fired(outcome: Outcome) -> list[tuple[str, str, Instant]]:
    return [(firing.person, firing.rule, firing.at - BEGIN) for firing in outcome.firings]


# --- Rules ------------------------------------------------------------------------------------------------------------

RULE = {"id": "r", "when": {"event": "a"}, "action": {"email": {"template": "t"}}}


@pytest.mark.parametrize(
    ("text", "ids"),
    [
        (CART, ["cart"]),
        (json.dumps(RULE), ["r"]),
        (f"# A comment.\n---\n{CART}", ["cart"]),
        (f"{CART}---\n{ONCE}---\n{EVERY}", ["cart", "once", "every"]),
        (f"---\n{CART}---\n# nothing here\n---\n{ONCE}", ["cart", "once"]),
        (json.dumps([RULE, {**RULE, "id": "s"}]), ["r", "s"]),
        (json.dumps([RULE, {**RULE, "id": "s"}], indent=2), ["r", "s"]),
        (f"- {json.dumps(RULE)}\n- {json.dumps({**RULE, 'id': 's'})}\n", ["r", "s"]),
        (f"{CART}---\n- {json.dumps(RULE)}\n- {json.dumps({**RULE, 'id': 's'})}\n", ["cart", "r", "s"]),
    ],
)
def test_a_file_holds_one_rule_or_a_list_or_several_documents(files: Files, text: str, ids: list[str]) -> None:
    assert [rule.id for rule in read_rules(files.rules(text))] == ids


def test_a_document_may_begin_on_the_line_that_parts_it_from_the_one_before(files: Files) -> None:
    text = f"--- {json.dumps(RULE)}\n--- {json.dumps({**RULE, 'id': 's'})}\n"
    assert [rule.id for rule in read_rules(files.rules(text))] == ["r", "s"]


def test_a_list_in_json_may_be_indented_by_tabs(files: Files) -> None:
    assert [rule.id for rule in read_rules(files.rules(json.dumps([RULE], indent="\t")))] == ["r"]


def test_a_list_in_json_may_write_a_character_as_two_halves(files: Files) -> None:
    named = {**RULE, "name": "Cart \N{SHOPPING TROLLEY}"}
    for written in (named, [named]):
        (rule,) = read_rules(files.rules(json.dumps(written)))
        assert rule.name == "Cart \N{SHOPPING TROLLEY}"


def test_every_shipped_rule_is_read() -> None:
    for path in (ROOT / "examples/rules").glob("*.yaml"):
        assert [rule.id for rule in read_rules(path)] == [path.stem]


def failure(path: Path) -> str:
    with pytest.raises(Failure) as caught:
        read_rules(path)
    assert caught.value.code == 2
    return str(caught.value)


def test_errors_of_one_rule_name_the_file_and_the_place(files: Files) -> None:
    path = files.rules(CART.replace("30m", "30x").replace("24h", "1y"))
    assert failure(path).splitlines() == [
        f"{path}: when.all[0].within: '1y' is not a duration, try 1m",
        f"{path}: when.all[2].elapsed: '30x' is not a duration, try 30m",
    ]


def test_errors_of_several_name_which_rule_too(files: Files) -> None:
    path = files.rules(f"{CART}---\n{ONCE.replace('event', 'evnt')}---\n{EVERY.replace('1s', '1x')}")
    assert failure(path).splitlines() == [
        f"{path}: rule 2: when.evnt: is not a condition, did you mean event? (known conditions are all, any, not, event, "
        "elapsed, sequence, profile)",
        f"{path}: rule 3: when.within: '1x' is not a duration, try 1m",
    ]


def test_a_flaw_in_the_markup_names_its_line_in_the_file(files: Files) -> None:
    path = files.rules("id: r\nwhen: {event: a\naction: [\n")
    assert failure(path).startswith(f"{path}: line 3, column 7: ")
    path = files.rules(f"{ONCE}---\n{EVERY}---\nid: r\nwhen: {{event: a\naction: [\n")
    assert failure(path).startswith(f"{path}: line 12, column 7: ")


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n---\n", "[]"])
def test_a_file_without_a_rule_is_refused(files: Files, text: str) -> None:
    path = files.rules(text)
    assert failure(path) == f"{path}: holds no rule"


def test_two_rules_with_one_id_are_refused(files: Files) -> None:
    path = files.rules(f"{CART}---\n{CART}")
    assert failure(path) == f"{path}: two rules have the same id"


def test_a_file_that_is_not_there_or_no_text_is_named(files: Files) -> None:
    missing = files.folder / "missing.yaml"
    assert failure(missing) == f"{missing}: No such file or directory"
    binary = files.folder / "binary.yaml"
    binary.write_bytes(b"\xff\xfe")
    assert failure(binary) == f"{binary}: is not text in UTF-8"


# --- Events -----------------------------------------------------------------------------------------------------------


def test_a_cart_left_behind_is_found(files: Files) -> None:
    outcome = files.play(CART, line("added_to_cart", 0, event_id="cart"), line("page_viewed", HOUR))
    assert outcome == Outcome(
        [PlayedFiring("ada", "cart", BEGIN + HALF, [("cart", "added_to_cart", BEGIN)])], events=2, people=1
    )


def test_what_is_read_last_ends_the_back_test(files: Files) -> None:
    assert fired(files.play(CART, line("added_to_cart", 0))) == []
    bobs = line("page_viewed", HALF, user_id="bob")
    assert fired(files.play(CART, line("added_to_cart", 0), bobs)) == [("ada", "cart", HALF)]


def test_until_may_be_later_or_earlier_than_the_last_event(files: Files) -> None:
    events = [line("added_to_cart", 0), line("purchased", 2 * HOUR), line("added_to_cart", DAY)]
    for until, expected in [
        (HALF - 1, []),
        (HALF, [HALF]),
        (DAY + HALF - 1, [HALF]),
        (DAY + HALF, [HALF, DAY + HALF]),
    ]:
        assert [at for _, _, at in fired(files.play(CART, *events, until=until))] == expected


def test_what_came_after_until_is_not_seen(files: Files) -> None:
    late = line("a", 0, event_id="late", **received(HOUR))
    assert fired(files.play(ONCE, line("a", 1), late, until=HOUR - 1)) == []
    assert fired(files.play(ONCE, line("a", 1), late, until=HOUR)) == [("ada", "once", HOUR)]


def test_lines_are_taken_in_the_order_in_which_they_were_received(files: Files) -> None:
    events = [
        line("purchased", 10 * MINUTE, **received(10 * MINUTE)),
        line("added_to_cart", 0, **received(0)),
        line("page_viewed", DAY),
    ]
    for order in (events, events[::-1]):
        assert fired(files.play(CART, *order)) == []
    late = {**events[0], **received(HOUR)}
    for order in ([late, *events[1:]], [*events[:0:-1], late]):
        assert fired(files.play(CART, *order)) == [("ada", "cart", HALF)], "the purchase was not known in time"


def test_lines_received_at_the_same_instant_are_taken_in_the_order_of_the_file(files: Files) -> None:
    sent_before = [line("a", 0, event_id="one"), line("a", 0, event_id="two"), line("a", 0, event_id="three")]
    (firing,) = files.play("id: r\nwhen: {event: a}\naction: {email: {template: t}}\n", *sent_before).firings
    assert firing.because == [("one", "a", BEGIN)]


def test_and_so_are_those_of_people_who_turn_out_to_be_one(files: Files) -> None:
    device = line("a", 1, anonymous_id="a-1")
    signs_in = line("identify", 1, user_id="ada", anonymous_id="a-1")
    first = line("a", 0, anonymous_id="a-1")
    assert fired(files.play(ONCE, first, signs_in, device)) == [("ada", "once", 1)]
    assert fired(files.play(ONCE, first, device, signs_in)) == [("a-1", "once", 1)]


def test_a_line_that_is_there_twice_is_one_event(files: Files) -> None:
    once = line("a", 0, event_id="same")
    assert fired(files.play(ONCE, once, once)) == []
    assert fired(files.play(ONCE, line("a", 0), line("a", 0))) == [("ada", "once", 0)], "without an id they are two"


@pytest.mark.parametrize("end", ["", "\n", "\n\n \n", "\r\n"])
def test_how_the_file_ends_does_not_matter(files: Files, end: str) -> None:
    outcome = files.play(ONCE, line("a", 0), line("a", 1), end=end)
    assert (fired(outcome), outcome.events) == ([("ada", "once", 1)], 2)


def test_blank_lines_are_nothing_but_are_counted_in_line_numbers(files: Files) -> None:
    outcome = files.play(EVERY, "", line("a", 0), "   ", "", line("a", HOUR))
    assert [firing.because for firing in outcome.firings] == [
        [("line-2", "a", BEGIN)],
        [("line-5", "a", BEGIN + HOUR)],
    ]
    assert outcome.events == 2


def test_an_empty_file_is_no_events(files: Files) -> None:
    for end in ("", "\n", " \n\n"):
        assert files.play(CART, end=end) == Outcome([], 0, 0)


def test_a_file_of_events_that_cannot_be_opened_is_named(files: Files) -> None:
    for path, why in [(files.folder / "none", "No such file or directory"), (files.folder, "Is a directory")]:
        with pytest.raises(Failure) as caught:
            EventFile(path)
        assert (str(caught.value), caught.value.code) == (f"{path}: {why}", 2)


def test_firings_are_told_in_order_whosever_they_are(files: Files) -> None:
    outcome = files.play(
        f"{EVERY}---\n{ONCE}",
        line("a", 3 * SECOND, user_id="eve"),
        line("a", 0, user_id="bob"),
        line("a", 0, user_id="ada"),
        line("a", 9 * SECOND, user_id="ada"),
    )
    assert fired(outcome) == [
        ("ada", "every", 0),
        ("bob", "every", 0),
        ("eve", "every", 3 * SECOND),
        ("ada", "every", 9 * SECOND),
        ("ada", "once", 9 * SECOND),
    ]
    assert (outcome.events, outcome.people) == (4, 3)


def test_whoever_waits_is_told_how_far_it_is(files: Files) -> None:
    files.play(CART, line("a", 0), line("b", 0))
    assert files.progress[-1] == (2, 2)


# --- Lines that cannot be read ----------------------------------------------------------------------------------------


def test_every_bad_line_is_named_with_its_number(files: Files) -> None:
    path = files.folder / "events.ndjson"
    lines = [
        line("a", 0),
        "{",
        "",
        line("a/b", 0),
        {"event": "a", "user_id": "ada"},
        line("a", 1, user_id="bob"),
        {"event": "a", "timestamp": 0},
        line("a", 0, received_at="soon"),
    ]
    assert files.refused(CART, *lines) == [
        f"{path}:2: Input data was truncated",
        f"{path}:4: event: 'a/b' is not 1 to 64 letters, digits, spaces, or any of _ . : -",
        f"{path}:5: timestamp is missing: a file has no clock",
        f"{path}:7: user_id or anonymous_id is missing",
        f"{path}:8: received_at: 'soon' is neither RFC 3339 with a zone, like 2026-01-31T09:00:00Z, nor epoch seconds or "
        "milliseconds",
    ]


def test_at_most_ten_are_named_and_they_are_the_first_in_order(files: Files) -> None:
    path = files.folder / "events.ndjson"
    named = files.refused(CART, *[{"user_id": "ada"} for _ in range(12)])
    assert [one.split(": ")[0] for one in named] == [f"{path}:{number}" for number in range(1, 11)]


def test_bad_lines_of_several_people_are_all_named_in_order(files: Files) -> None:
    path = files.folder / "events.ndjson"
    bad = [{"user_id": f"p{number % 3}", "event": "a"} for number in range(9)]
    named = files.refused(CART, *bad)
    assert [one.split(": ")[0] for one in named] == [f"{path}:{number}" for number in range(1, 10)]


def test_lines_of_bytes_that_are_no_text_are_named_too(files: Files) -> None:
    path = files.events(line("a", 0))
    path.write_bytes(b'{"user_id": "\xff", "event": "x", "timestamp": 0}\n' + path.read_bytes())
    with pytest.raises(Failure, match=r"events\.ndjson:1: not UTF-8"):
        backtest(read_rules(files.rules(CART)), EventFile(path), None, None, lambda _, __: None)


# --- People who turn out to be one ------------------------------------------------------------------------------------


def test_people_that_turn_out_to_be_one_are_played_together(files: Files) -> None:
    outcome = files.play(
        CART,
        line("added_to_cart", 0, anonymous_id="a-1", event_id="cart"),
        line("page_viewed", 1, user_id="bob"),
        line("identify", 10 * MINUTE, user_id="ada", anonymous_id="a-1"),
        line("page_viewed", HOUR, user_id="bob"),
    )
    assert fired(outcome) == [("ada", "cart", HALF)]
    assert (outcome.events, outcome.people) == (4, 2)


@pytest.mark.parametrize("name", ["alias", "Alias", "ALIAS"])
def test_an_alias_ties_as_well(files: Files, name: str) -> None:
    tie = line(name, 10 * MINUTE, properties={"previous_id": "a-1"})
    outcome = files.play(CART, line("added_to_cart", 0, anonymous_id="a-1"), tie, until=HOUR)
    assert (fired(outcome), outcome.people) == ([("ada", "cart", HALF)], 1)


def test_a_chain_is_one_group_in_whatever_order_its_lines_stand(files: Files) -> None:
    rule = ONCE.replace("gte: 2", "gte: 3")
    lines = [
        line("a", 0, anonymous_id="phone"),
        line("a", 1, anonymous_id="laptop"),
        line("alias", 2, user_id="old", properties={"previous_id": "phone"}),
        line("identify", 3, user_id="ada", anonymous_id="laptop"),
        line("alias", 4, user_id="ada", properties={"previous_id": "old"}),
        line("a", 5, anonymous_id="phone"),
    ]
    for order in (lines, lines[::-1], lines[3:] + lines[:3]):
        outcome = files.play(rule, *order)
        assert (fired(outcome), outcome.people) == ([("ada", "once", 5)], 1)


def test_an_alias_without_trust_does_not_make_one_of_two_who_are_known(files: Files) -> None:
    lines = [
        line("a", 0, user_id="bob"),
        line("a", 1, user_id="ada"),
        line("alias", 2, user_id="ada", properties={"previous_id": "bob"}),
    ]
    assert fired(files.play(ONCE, *lines)) == [("ada", "once", 2)]
    outcome = files.play(ONCE, *lines[:2], {**lines[2], "trusted": False})
    assert (fired(outcome), outcome.people) == ([], 2)


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
