"""Back-tests of rules and events in files: what is read, what is refused with its place, and what fires."""

import json
from pathlib import Path

import pytest

from services.cli.failure import Failure
from services.cli.offline import EventFile, Outcome, backtest, read_rules
from shared.clock import DAY, HOUR, MINUTE, SECOND
from shared.rules import PlayedFiring
from tests.support.offline import BEGIN, CART, EVERY, HALF, ONCE, Files, fired, line, received
from tests.support.stack import ROOT

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
