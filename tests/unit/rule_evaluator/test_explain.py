"""Why a rule holds for somebody or does not, part by part, and what comes next."""

from random import Random
from typing import Any

import msgspec
import pytest

from services.rule_evaluator.document import FOREVER
from services.rule_evaluator.explain import NAMED, Known, explain, shown
from shared.clock import DAY, HOUR, MINUTE, SECOND, Instant
from shared.messages import HistoryEvent, Person, RuleState
from shared.profile import merge
from shared.rules import Explained, Reason, RuleExplained
from tests.property import cases, model
from tests.unit.rule_evaluator.shopper import rule

CART = {
    "all": [
        {"event": "added_to_cart", "within": "24h"},
        {"not": {"event": "purchased", "since": "added_to_cart"}},
        {"elapsed": "30m", "since": "added_to_cart"},
    ]
}
HALF = 30 * MINUTE
WORLDS = 400
NOON = 20_000 * DAY + 12 * HOUR


def happened(name: str, at: Instant, source: str = "", **properties: Any) -> HistoryEvent:
    """``n`` is given by ``somebody``."""
    return HistoryEvent(0, "", name, at, at, properties, source=source)


def somebody(*events: HistoryEvent, **profile: Any) -> Person:
    history = [msgspec.structs.replace(event, n=n, id=f"e{n}") for n, event in enumerate(events, 1)]
    history.sort(key=lambda event: (event.timestamp, event.n))
    return Person("ada", profile, history, len(history))


def told(
    when: Any, person: Person, at: Instant = NOON, *, fired: tuple[Instant, ...] = (), status: str = "live", **more: Any
) -> RuleExplained:
    remembered = RuleState(1, False, at, 0, [(f"t{instant}", instant) for instant in fired]) if fired else None
    known = Known(rule(when, **more).rule, 3, status, 7 if status == "live" else None)
    return explain(known, person, remembered, at)


# --- The rule itself --------------------------------------------------------------------------------------------------


def test_a_rule_says_what_it_is() -> None:
    one = told(CART, somebody(), name="Cart left behind")
    assert (one.rule, one.version, one.name, one.status, one.live_since) == ("rule", 3, "Cart left behind", "live", 7)
    assert (one.fired, one.not_before, one.never_again) == ([], None, False)


def test_a_draft_is_explained_as_if_it_were_live() -> None:
    one = told(CART, somebody(happened("added_to_cart", NOON - 1)), status="draft")
    assert (one.status, one.live_since) == ("draft", None)
    assert (one.turns_true, one.unless) == (NOON - 1 + HALF, ["added_to_cart", "purchased"])


# --- The tree ---------------------------------------------------------------------------------------------------------


def test_the_tree_follows_the_document() -> None:
    one = told(
        {"any": [{"not": {"event": "a"}}, {"all": [{"profile": "country", "in": ["AT", "DE"]}, {"event": "b"}]}]},
        somebody(country="AT"),
    )
    assert one.when == Explained(
        "any of",
        True,
        parts=[
            Explained("not", True, parts=[Explained("event: a", False, found="0")]),
            Explained(
                "all of",
                False,
                parts=[Explained("profile: country, in: [AT, DE]", True), Explained("event: b", False, found="0")],
            ),
        ],
    )


def test_a_cart_that_waits_is_told_part_by_part() -> None:
    filled = NOON - 18 * MINUTE
    when = told(CART, somebody(happened("added_to_cart", filled, source="web"))).when
    cart, not_bought, elapsed = when.parts
    reason = Reason("added_to_cart", filled, "web")
    assert (when.text, when.holds) == ("all of", False)
    assert cart == Explained("event: added_to_cart, within: 24h", True, [reason], found="1", changes=filled + 24 * HOUR)
    assert (not_bought.text, not_bought.holds, not_bought.changes) == ("not", True, None)
    assert not_bought.parts == [Explained("event: purchased, since: added_to_cart", False, [reason], found="0")]
    assert elapsed == Explained("elapsed: 30m, since: added_to_cart", False, [reason], changes=filled + HALF)


def test_the_whole_tells_when_it_may_change() -> None:
    filled = NOON - 18 * MINUTE
    assert told(CART, somebody(happened("added_to_cart", filled))).when.changes == filled + HALF
    assert told({"event": "a"}, somebody(happened("a", NOON - 1))).when.changes is None
    assert told({"event": "a", "within": "1h"}, somebody(happened("a", NOON - 1))).when.changes == NOON - 1 + HOUR


@pytest.mark.parametrize(
    ("when", "holds", "found"),
    [
        ({"event": "a"}, True, "3"),
        ({"event": "a", "count": {"gte": 4}}, False, "3"),
        ({"event": "a", "within": "1h"}, True, "1"),
        ({"event": "a", "since": "b"}, True, "2"),
        ({"event": "a", "since": "c"}, False, "0"),
        ({"event": "a", "same": "p", "count": {"gte": 2}}, True, "2"),
        ({"event": "a", "distinct": "p", "count": {"gte": 3}}, False, "2"),
        ({"event": "a", "sum": "price", "count": {"gte": 100}}, False, "0.6"),
        ({"event": "a", "where": {"p": "x"}, "count": 0}, False, "2"),
        ({"sequence": [{"event": "a"}, {"event": "b"}, {"event": "c"}], "within": "1d"}, False, "2 of 3 steps"),
        ({"sequence": [{"event": "c"}, {"event": "a"}], "within": "1d"}, False, "0 of 2 steps"),
        ({"sequence": [{"event": "b"}, {"event": "a"}], "within": "1d"}, True, "2 of 2 steps"),
        ({"profile": "country", "eq": "AT"}, False, ""),
        ({"elapsed": "1m", "since": "a"}, True, ""),
    ],
)
def test_what_was_found_is_what_the_test_was_put_to(when: Any, holds: bool, found: str) -> None:
    events = [
        happened("a", NOON - 5 * HOUR, p="x", price=0.1),
        happened("b", NOON - 4 * HOUR),
        happened("a", NOON - 3 * HOUR, p="y", price=0.2),
        happened("a", NOON - 10 * MINUTE, p="x", price=0.3),
    ]
    one = told(when, somebody(*events)).when
    assert (one.holds, one.found) == (holds, found)


def test_a_sequence_names_its_match_as_reasons() -> None:
    events = [happened("a", NOON - 4), happened("a", NOON - 3), happened("b", NOON - 2), happened("x", NOON - 1)]
    whole = told({"sequence": [{"event": "a"}, {"event": "b"}], "within": "1h"}, somebody(*events)).when
    assert whole.reasons == [Reason("a", NOON - 3), Reason("b", NOON - 2)]
    assert whole.changes == NOON - 3 + HOUR


def test_reasons_are_the_latest_in_the_order_in_which_they_happened() -> None:
    events = [happened("a", NOON - second * SECOND) for second in range(NAMED + 5, 0, -1)]
    one = told({"event": "a"}, somebody(*events)).when
    assert (one.found, len(one.reasons)) == ("15", NAMED)
    assert [reason.timestamp for reason in one.reasons] == [NOON - second * SECOND for second in range(NAMED, 0, -1)]


def test_too_few_events_are_found_but_are_no_reasons() -> None:
    events = somebody(happened("b", NOON - 3), happened("a", NOON - 2), happened("a", NOON - 1))
    counted = told({"event": "a", "count": {"gte": 3}}, events).when
    assert (counted.found, counted.reasons) == ("2", [])
    since = told({"event": "a", "since": "b", "count": {"gte": 3}}, events).when
    assert (since.found, since.reasons) == ("2", [Reason("b", NOON - 3)]), "but since when is one"
    steps = told({"sequence": [{"event": "b"}, {"event": "a"}, {"event": "c"}], "within": "1h"}, events).when
    assert (steps.found, steps.reasons) == ("2 of 3 steps", [])


def test_the_events_that_keep_a_not_from_holding_are_its_reasons() -> None:
    when = told({"not": {"event": "purchased"}}, somebody(happened("purchased", NOON - HOUR))).when
    assert (when.holds, when.parts[0].holds) == (False, True)
    assert when.parts[0].reasons == [Reason("purchased", NOON - HOUR)]


def test_what_is_dated_ahead_is_when_it_may_change_and_not_found_yet() -> None:
    one = told({"event": "a"}, somebody(happened("a", NOON + MINUTE)))
    assert (one.when.holds, one.when.found, one.when.reasons) == (False, "0", [])
    assert (one.when.changes, one.turns_true) == (NOON + MINUTE, NOON + MINUTE)


# --- What comes next --------------------------------------------------------------------------------------------------


def test_a_cart_fires_in_half_an_hour_unless_it_is_bought_or_touched() -> None:
    one = told(CART, somebody(happened("added_to_cart", NOON - SECOND)))
    assert one.turns_true == NOON - SECOND + HALF
    assert one.unless == ["added_to_cart", "purchased"]


def test_what_would_not_prevent_it_is_not_named() -> None:
    when = {"all": [{"elapsed": "1h", "since": "a"}, {"event": "b", "count": {"gte": 1}}]}
    one = told(when, somebody(happened("a", NOON - MINUTE), happened("b", NOON)))
    assert (one.turns_true, one.unless) == (NOON + 59 * MINUTE, ["a"])


def test_an_event_that_makes_it_true_at_once_may_keep_it_from_turning_true_later() -> None:
    when = {"any": [{"elapsed": "1h", "since": "a"}, {"event": "b", "within": "10m"}, {"event": "c", "within": "2h"}]}
    one = told(when, somebody(happened("a", NOON - MINUTE)))
    assert one.turns_true == NOON + 59 * MINUTE
    assert one.unless == ["a", "b", "c"], "b too, if it comes late enough to hold by then"


def test_what_may_still_happen_on_the_way_is_named_as_well_as_what_may_happen_now() -> None:
    when = {"all": [{"elapsed": "15m", "since": "checkout"}, {"elapsed": "10m", "since": "activity"}]}
    one = told(when, somebody(happened("checkout", NOON - MINUTE)))
    assert (one.turns_true, one.unless) == (NOON + 14 * MINUTE, ["checkout", "any activity"])


def test_any_activity_is_named_if_a_rule_looks_at_it() -> None:
    one = told({"elapsed": "14d", "since": "activity"}, somebody(happened("page_viewed", NOON - DAY)))
    assert (one.turns_true, one.unless) == (NOON + 13 * DAY, ["any activity"])


def test_any_activity_is_named_beside_events() -> None:
    when = {
        "all": [
            {"event": "checkout_started", "within": "24h"},
            {"not": {"event": "purchased", "since": "checkout_started"}},
            {"elapsed": "10m", "since": "activity"},
        ]
    }
    one = told(when, somebody(happened("checkout_started", NOON - 3 * MINUTE)))
    assert one.turns_true == NOON + 7 * MINUTE
    assert one.unless == ["checkout_started", "purchased", "any activity"]


def test_it_may_turn_true_by_forgetting() -> None:
    when = {"all": [{"event": "a"}, {"not": {"event": "b", "within": "2h"}}]}
    one = told(when, somebody(happened("a", NOON - DAY), happened("b", NOON - HOUR)))
    assert (one.when.holds, one.turns_true, one.unless) == (False, NOON + HOUR, ["b"])


def test_what_holds_now_turns_true_only_after_it_has_turned_false() -> None:
    held = told(CART, somebody(happened("added_to_cart", NOON - HOUR)))
    assert (held.when.holds, held.turns_true, held.unless) == (True, None, [])


def test_what_holds_and_goes_on_to_hold_does_not_turn_true() -> None:
    events = somebody(happened("a", NOON - HOUR), happened("b", NOON + MINUTE))
    assert told({"event": "a"}, events).turns_true is None


def test_time_alone_does_not_change_it() -> None:
    one = told(CART, somebody(happened("added_to_cart", NOON - HOUR), happened("purchased", NOON - HALF)))
    assert (one.when.holds, one.turns_true, one.unless) == (False, None, [])
    nothing = told({"elapsed": "14d", "since": "activity"}, somebody())
    assert (nothing.when.holds, nothing.when.changes, nothing.turns_true) == (False, None, None)


def test_a_window_that_ends_before_the_wait_is_over_never_turns_true() -> None:
    when = {"all": [{"event": "a", "within": "10m"}, {"elapsed": "30m", "since": "a"}]}
    one = told(when, somebody(happened("a", NOON)))
    assert (one.turns_true, one.unless) == (None, [])


def test_an_event_is_taken_to_pass_whatever_test_it_is_put_to() -> None:
    when = {
        "all": [
            {"elapsed": "1h", "since": "a"},
            {"not": {"event": "b", "where": {"price": {"gt": 500}}, "within": "2h"}},
        ]
    }
    one = told(when, somebody(happened("a", NOON - MINUTE)))
    assert (one.turns_true, one.unless) == (NOON + 59 * MINUTE, ["a", "b"])


def test_a_change_of_the_profile_is_no_event_that_could_be_named() -> None:
    when = {"all": [{"elapsed": "1h", "since": "a"}, {"profile": "country", "eq": "AT"}]}
    one = told(when, somebody(happened("a", NOON - MINUTE), country="AT"))
    assert (one.turns_true, one.unless) == (NOON + 59 * MINUTE, ["a"])


def test_an_identify_that_a_rule_waits_for_is_named() -> None:
    one = told({"elapsed": "1h", "since": "identify"}, somebody(happened("identify", NOON - MINUTE)))
    assert (one.turns_true, one.unless) == (NOON + 59 * MINUTE, ["identify"])


# --- How often --------------------------------------------------------------------------------------------------------


def test_after_it_fired_it_may_not_again_before_reentry_is_over() -> None:
    person = somebody(happened("added_to_cart", NOON))
    one = told(CART, person, fired=(NOON - 30 * HOUR, NOON - HOUR), reentry="24h")
    assert one.fired == [NOON - 30 * HOUR, NOON - HOUR]
    assert (one.not_before, one.never_again) == (NOON + 23 * HOUR, False)
    assert one.turns_true == NOON + HALF, "which says nothing of when the condition turns true"


@pytest.mark.parametrize(("ago", "not_before"), [(24 * HOUR - 1, NOON + 1), (24 * HOUR, None), (25 * HOUR, None)])
def test_reentry_ends_exactly(ago: int, not_before: Instant | None) -> None:
    assert told(CART, somebody(), fired=(NOON - ago,), reentry="24h").not_before == not_before


def test_once_in_a_lifetime_is_never_again() -> None:
    one = told(CART, somebody(), fired=(NOON - 3000 * DAY,), reentry="never")
    assert (one.not_before, one.never_again) == (None, True)
    assert NOON < FOREVER
    fresh = told(CART, somebody(), reentry="never")
    assert (fresh.not_before, fresh.never_again) == (None, False)


def test_without_reentry_nothing_is_in_the_way() -> None:
    one = told(CART, somebody(), fired=(NOON - 1,))
    assert (one.fired, one.not_before, one.never_again) == ([NOON - 1], None, False)


# --- Against the brute-force model ------------------------------------------------------------------------------------


def test_what_holds_and_when_it_turns_true_is_what_the_model_says() -> None:
    """At a moment in the midst of each random world, with nothing of it that comes later."""
    turned = 0
    for seed in range(WORLDS):
        chance = Random(seed)
        world = cases.world(chance)
        at = chance.randint(0, 30) * SECOND
        history, profile = [], {}
        for happening in world.happenings:
            if isinstance(happening, cases.Come) and happening.arrived <= at:
                event = happening.event
                n = len(history) + 1
                history.append(
                    HistoryEvent(
                        n, event.id, event.name, event.timestamp, happening.arrived, event.properties, event.trusted
                    )
                )
                if event.name == "identify":
                    profile = merge(profile, event.properties)
        arrived = [model.Happening(e.n, e.name, e.timestamp, e.arrived, e.properties, e.trusted) for e in history]
        history.sort(key=lambda event: (event.timestamp, event.n))
        for document, live in world.rules:
            when = document["when"]
            one = explain(Known(live.rule, 1, "live", 0), Person("ada", profile, history, len(history)), None, at)
            assert one.when.holds == model.true_at(when, arrived, profile, at), f"seed {seed}"
            offsets = [0, *model.durations(when)]
            moments = sorted({m for e in arrived for offset in offsets if (m := e.timestamp + offset) > at})
            truths = [model.true_at(when, arrived, profile, moment) for moment in [at, *moments]]
            turns = [m for m, before, after in zip(moments, truths, truths[1:], strict=False) if after and not before]
            assert one.turns_true == (turns[0] if turns else None), f"seed {seed}"
            turned += bool(turns)
    assert turned > WORLDS / 50, "and some do turn"


# --- As one would write it --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "line"),
    [
        ({"within": "24h", "event": "a"}, "event: a, within: 24h"),
        ({"since": "activity", "elapsed": "14d"}, "elapsed: 14d, since: activity"),
        ({"where": {"price": {"lt": 9, "gte": 500}}, "event": "a"}, "event: a, where: {price: {gte: 500, lt: 9}}"),
        ({"where": {"$trusted": True}, "event": "a"}, "event: a, where: {$trusted: true}"),
        ({"exists": False, "profile": "a.b"}, "profile: a.b, exists: false"),
        ({"profile": "size", "in": ["M", 2, 0.5]}, "profile: size, in: [M, 2, 0.5]"),
        (
            {"within": "1h", "sequence": [{"event": "a"}, {"where": {"p": 1}, "event": "b"}]},
            "sequence: [{event: a}, {event: b, where: {p: 1}}], within: 1h",
        ),
        ({"same": "id", "event": "a", "count": {"gte": 3}}, "event: a, count: {gte: 3}, same: id"),
        ("a text", "a text"),
        (7, "7"),
        (False, "false"),
        ([], "[]"),
    ],
)
def test_conditions_are_shown_on_a_line(written: Any, line: str) -> None:
    assert shown(written) == line
