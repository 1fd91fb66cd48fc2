"""Each condition at its boundaries: when it is true, and until when that can be relied on."""

from typing import Any

import pytest

from services.rule_evaluator.code import look
from services.rule_evaluator.conditions import holds_at
from services.rule_evaluator.view import NEVER, Slots, View
from shared.clock import DAY, HOUR, MINUTE, Instant
from shared.messages import HistoryEvent
from shared.outcomes import OUTCOMES
from tests.unit.rule_evaluator.shopper import rule


def happened(*events: tuple[Any, ...]) -> list[HistoryEvent]:
    """(name, instant) or (name, instant, properties), in the order of arrival."""
    history = [
        HistoryEvent(n, f"e{n}", name, at, at, *properties)
        if properties
        else HistoryEvent(n, f"e{n}", name, at, at, {})
        for n, (name, at, *properties) in enumerate(events, 1)
    ]
    return sorted(history, key=lambda event: (event.timestamp, event.n))


def truth(when: Any, history: list[HistoryEvent], t: Instant, **profile: Any) -> tuple[bool, Instant]:
    """Whether it holds, and when that may change: by itself, or because something dated ahead happens."""
    slots = Slots()
    one = look([rule(when).rule.when.code(slots)], decisive=True)
    view = View(slots, profile, history, t)
    holds, change = one(view, t)
    return holds, min(change, view.next_ahead())


def because(when: Any, history: list[HistoryEvent], t: Instant) -> list[int]:
    condition = rule(when).rule.when
    view = View(Slots(), {}, history, t)
    return sorted({event.n for event in condition.because(view, t, wanted=holds_at(condition, view, t))})


# --- event ------------------------------------------------------------------------------------------------------------


def test_a_window_excludes_its_lower_bound_and_includes_now() -> None:
    history = happened(("a", HOUR))
    when = {"event": "a", "within": "1h"}
    assert truth(when, history, HOUR - 1) == (False, HOUR)
    assert truth(when, history, HOUR) == (True, 2 * HOUR)
    assert truth(when, history, 2 * HOUR - 1) == (True, 2 * HOUR)
    assert truth(when, history, 2 * HOUR) == (False, NEVER)


def test_the_default_window_is_forever() -> None:
    assert truth({"event": "a"}, happened(("a", 0)), 1000 * DAY) == (True, NEVER)
    assert truth({"event": "a"}, happened(("b", 0)), 1000 * DAY) == (False, NEVER)


def test_the_last_one_keeps_it_true_and_no_look_is_wasted_before() -> None:
    history = happened(("a", 0), ("a", 10 * MINUTE), ("a", 20 * MINUTE))
    assert truth({"event": "a", "within": "1h"}, history, 30 * MINUTE) == (True, 80 * MINUTE)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        ({"gte": 2}, (True, 70 * MINUTE)),
        ({"gt": 2}, (True, 60 * MINUTE)),
        (3, (True, 60 * MINUTE)),
        ({"lt": 3}, (False, 60 * MINUTE)),
        ({"lte": 1}, (False, 70 * MINUTE)),
        ({"gte": 4}, (False, NEVER)),
        ({"gte": 0}, (True, NEVER)),
        ({"ne": 1}, (True, 70 * MINUTE)),
        ({"in": [1, 7]}, (False, 70 * MINUTE)),
        ({"gte": 1, "lt": 3}, (False, 60 * MINUTE)),
        ({"gte": 1.5}, (True, 70 * MINUTE)),
        (0, (False, 80 * MINUTE)),
    ],
)
def test_counts_and_when_they_turn(count: Any, expected: tuple[bool, Instant]) -> None:
    history = happened(("a", 0), ("a", 10 * MINUTE), ("a", 20 * MINUTE))
    assert truth({"event": "a", "within": "1h", "count": count}, history, 30 * MINUTE) == expected


def test_since_counts_what_came_after_the_last_one() -> None:
    when = {"event": "a", "since": "b"}
    assert truth(when, happened(("a", 5)), 10) == (False, NEVER), "there never was one: the window is empty"
    assert truth(when, happened(("a", 5), ("b", 6)), 10)[0] is False
    assert truth(when, happened(("a", 5), ("b", 6), ("a", 7)), 10)[0] is True
    assert truth(when, happened(("b", 4), ("a", 5), ("b", 6)), 10)[0] is False


def test_at_the_same_instant_the_order_of_arrival_decides() -> None:
    when = {"event": "a", "since": "b"}
    assert truth(when, happened(("b", 5), ("a", 5)), 5)[0] is True
    assert truth(when, happened(("a", 5), ("b", 5)), 5)[0] is False


def test_none_since_none_ever_is_none() -> None:
    assert truth({"event": "a", "since": "b", "count": 0}, happened(("a", 5)), 10)[0] is True
    assert truth({"not": {"event": "a", "since": "b"}}, happened(("a", 5)), 10)[0] is True


def test_since_the_event_itself() -> None:
    assert truth({"event": "a", "since": "a"}, happened(("a", 5), ("a", 6)), 10)[0] is False


def test_within_and_since_both_hold() -> None:
    when = {"event": "a", "since": "b", "within": "1h"}
    history = happened(("b", 0), ("a", 10 * MINUTE))
    assert truth(when, history, 20 * MINUTE) == (True, 70 * MINUTE)
    assert truth(when, history, 70 * MINUTE) == (False, NEVER)


def test_the_largest_group_is_counted() -> None:
    when = {"event": "v", "same": "p", "count": {"gte": 2}, "within": "1h"}
    history = happened(
        ("v", 0, {"p": "x"}), ("v", 10 * MINUTE, {"p": "y"}), ("v", 20 * MINUTE, {}), ("v", 30 * MINUTE, {"p": None})
    )
    assert truth(when, history, 40 * MINUTE) == (False, NEVER)
    again = happened(*((e.name, e.timestamp, e.properties) for e in history), ("v", 40 * MINUTE, {"p": "x"}))
    assert truth(when, again, 40 * MINUTE) == (True, 60 * MINUTE), "until the first look at x drops out"
    assert because(when, again, 40 * MINUTE) == [1, 5]
    both = happened(*((e.name, e.timestamp, e.properties) for e in again), ("v", 50 * MINUTE, {"p": "y"}))
    assert truth(when, both, 50 * MINUTE) == (True, 70 * MINUTE), "then y still makes it true"
    assert because(when, both, 50 * MINUTE) == [2, 6], "of equal groups, the one that grew last"


def test_different_values_are_counted() -> None:
    when = {"event": "v", "distinct": "p", "count": {"gte": 2}, "within": "1h"}
    history = happened(
        ("v", 0, {"p": "x"}), ("v", 10 * MINUTE, {"p": "x"}), ("v", 20 * MINUTE, {}), ("v", 30 * MINUTE, {"p": "y"})
    )
    assert truth(when, history[:2], 15 * MINUTE) == (False, NEVER)
    assert truth(when, history, 30 * MINUTE) == (True, 70 * MINUTE), "until the last look at x drops out"
    assert truth({**when, "count": {"lt": 2}}, history, 30 * MINUTE) == (False, 70 * MINUTE)
    assert because(when, history, 40 * MINUTE) == [1, 2, 3, 4]


def test_a_value_seen_again_late_does_not_count_as_later() -> None:
    when = {"event": "v", "distinct": "p", "count": {"gte": 2}, "within": "1h"}
    slots = Slots()
    one = look([rule(when).rule.when.code(slots)], decisive=True)
    early, late = (
        happened(("v", 30 * MINUTE, {"p": "x"}), ("v", 40 * MINUTE, {"p": "y"})),
        happened(("v", 0, {"p": "x"})),
    )
    view = View(slots, {}, early, 40 * MINUTE)
    assert one(view, 40 * MINUTE) == (True, 90 * MINUTE)
    view.add(late[0], 50 * MINUTE)
    assert one(view, 50 * MINUTE) == (True, 90 * MINUTE)


@pytest.mark.parametrize(
    ("count", "expected"),
    [
        ({"gte": 60}, (True, 60 * MINUTE)),
        ({"gte": 50}, (True, 80 * MINUTE)),
        ({"gt": 60}, (False, 70 * MINUTE)),
        ({"lt": 40}, (False, 80 * MINUTE)),
        (60, (True, 60 * MINUTE)),
        ({"gte": 100}, (False, NEVER)),
    ],
)
def test_a_property_is_added_up(count: Any, expected: tuple[bool, Instant]) -> None:
    history = happened(
        ("p", 0, {"total": 10}),
        ("p", 10 * MINUTE, {"total": -20}),
        ("p", 20 * MINUTE, {"total": 70}),
        ("p", 25 * MINUTE, {"total": "much"}),
        ("p", 25 * MINUTE, {"total": True}),
        ("p", 25 * MINUTE, {}),
    )
    assert truth({"event": "p", "sum": "total", "count": count, "within": "1h"}, history, 30 * MINUTE) == expected


def test_sums_are_exact_as_on_an_invoice() -> None:
    dimes = happened(*(("p", n, {"total": 0.1}) for n in range(3)))
    assert truth({"event": "p", "sum": "total", "count": 0.3}, dimes, 10)[0] is True
    much = happened(("p", 0, {"total": 1e300}), ("p", 1, {"total": 0.1}), ("p", 2, {"total": -1e300}))
    assert truth({"event": "p", "sum": "total", "count": 0.1}, much, 10)[0] is True
    assert truth({"event": "p", "sum": "total", "count": {"lte": 0}}, [], 10)[0] is True, "nothing adds up to 0"
    infinite = happened(("p", 0, {"total": float("inf")}), ("p", 1, {"total": 5}))
    assert truth({"event": "p", "sum": "total", "count": 5}, infinite, 10)[0] is True


@pytest.mark.parametrize(
    ("values", "largest"), [([1, 1.0, True], 2), (["1", 1], 1), ([True, True, 1], 2), ([[1], [1.0], [True]], 2)]
)
def test_groups_share_equal_values_of_like_types(values: list[Any], largest: int) -> None:
    history = happened(*(("v", n, {"p": value}) for n, value in enumerate(values)))
    assert truth({"event": "v", "same": "p", "count": largest}, history, 10)[0] is True


def test_where_asks_for_properties_and_for_trust() -> None:
    cheap, dear = ("v", 1, {"price": 20}), ("v", 2, {"price": 900}, True)
    when = {"event": "v", "where": {"price": {"gte": 500}}}
    assert truth(when, happened(cheap), 5)[0] is False
    assert truth(when, happened(cheap, dear), 5)[0] is True
    assert truth({"event": "v", "where": {"$trusted": True}}, happened(cheap), 5)[0] is False
    assert truth({"event": "v", "where": {"$trusted": True}}, happened(cheap, dear), 5)[0] is True
    assert truth({"event": "v", "where": {"$trusted": False, "price": 20}}, happened(cheap, dear), 5)[0] is True
    assert truth({"event": "v", "where": {"$trusted": {"exists": False}}}, happened(cheap, dear), 5)[0] is False


def test_an_event_dated_ahead_has_not_happened_yet() -> None:
    history = happened(("a", 0), ("a", 10 * MINUTE))
    assert truth({"event": "a", "count": {"gte": 2}}, history, 5 * MINUTE) == (False, 10 * MINUTE)
    assert truth({"event": "b", "since": "a"}, history, 5 * MINUTE) == (False, 10 * MINUTE)
    assert truth({"elapsed": "1h", "since": "a"}, history, 5 * MINUTE) == (False, 10 * MINUTE)
    assert truth({"elapsed": "1h", "since": "a"}, history, 10 * MINUTE) == (False, 70 * MINUTE)


# --- elapsed ----------------------------------------------------------------------------------------------------------


def test_elapsed_is_true_from_the_very_instant() -> None:
    history = happened(("a", 0), ("a", 10 * MINUTE))
    when = {"elapsed": "30m", "since": "a"}
    assert truth(when, history, 40 * MINUTE - 1) == (False, 40 * MINUTE)
    assert truth(when, history, 40 * MINUTE) == (True, NEVER)


def test_elapsed_since_nothing_is_false() -> None:
    assert truth({"elapsed": "30m", "since": "a"}, happened(("b", 0)), DAY) == (False, NEVER)
    assert truth({"elapsed": "30m", "since": "activity"}, [], DAY) == (False, NEVER)


def test_elapsed_since_the_last_that_passes() -> None:
    history = happened(("a", 0, {"p": 1}), ("a", HOUR, {"p": 2}))
    assert truth({"elapsed": "30m", "since": "a", "where": {"p": 1}}, history, HOUR)[0] is True


@pytest.mark.parametrize("name", sorted(OUTCOMES | {"identify", "alias", "page_viewed", "cart_abandonment"}))
def test_activity_is_what_a_person_caused(name: str) -> None:
    caused = name in {"page_viewed", "cart_abandonment", "email_opened", "email_clicked"}
    assert truth({"elapsed": "1h", "since": "activity"}, happened((name, 0)), HOUR)[0] is caused
    assert rule({"elapsed": "1h", "since": "activity"}).rule.concerns.covers(name) is caused


# --- sequence ---------------------------------------------------------------------------------------------------------

VIEW_CART_BUY = {
    "sequence": [{"event": "view"}, {"event": "cart", "where": {"price": {"gte": 5}}}, {"event": "buy"}],
    "within": "1h",
}


def test_steps_in_order() -> None:
    in_order = happened(("view", 0), ("cart", 10 * MINUTE, {"price": 9}), ("view", 11 * MINUTE), ("buy", 20 * MINUTE))
    assert truth(VIEW_CART_BUY, in_order, 20 * MINUTE) == (True, 60 * MINUTE), "until its first step drops out"
    assert because(VIEW_CART_BUY, in_order, 20 * MINUTE) == [1, 2, 4]
    assert truth(VIEW_CART_BUY, in_order, 60 * MINUTE) == (False, NEVER)
    cheap = happened(("view", 0), ("cart", 1, {"price": 1}), ("buy", 2))
    assert truth(VIEW_CART_BUY, cheap, 5) == (False, NEVER)
    assert truth(VIEW_CART_BUY, happened(("cart", 0, {"price": 9}), ("view", 1), ("buy", 2)), 5) == (False, NEVER)


def test_the_match_that_begins_last_counts() -> None:
    when = {"sequence": [{"event": "a"}, {"event": "b"}], "within": "1h"}
    history = happened(("a", 0), ("a", 10 * MINUTE), ("b", 20 * MINUTE), ("a", 30 * MINUTE))
    assert truth(when, history, 30 * MINUTE) == (True, 70 * MINUTE)


def test_each_step_is_an_event_of_its_own() -> None:
    twice = {"sequence": [{"event": "a"}, {"event": "a"}], "within": "1h"}
    assert truth(twice, happened(("a", 5)), 5)[0] is False
    assert truth(twice, happened(("a", 5), ("a", 5)), 5)[0] is True, "at the same instant, in the order of arrival"


# --- profile ----------------------------------------------------------------------------------------------------------


def test_profiles_change_only_by_events() -> None:
    when = {"profile": "country", "in": ["DE", "AT"]}
    assert truth(when, [], 0, country="AT") == (True, NEVER)
    assert truth(when, [], 0, country="CH") == (False, NEVER)
    assert truth(when, [], 0) == (False, NEVER)
    assert truth({"profile": "address.city", "starts_with": "G"}, [], 0, address={"city": "Graz"})[0] is True
    assert rule(when).rule.concerns.covers("identify")


# --- all, any, not ----------------------------------------------------------------------------------------------------

A_UNTIL_1H = {"event": "a", "within": "1h"}
B_UNTIL_2H = {"event": "b", "within": "2h"}
C_FROM_3H = {"elapsed": "3h", "since": "c"}
D_FROM_4H = {"elapsed": "4h", "since": "d"}
EVERYTHING = happened(("a", 0), ("b", 0), ("c", 0), ("d", 0))


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({"all": [A_UNTIL_1H, B_UNTIL_2H]}, (True, HOUR)),
        ({"any": [A_UNTIL_1H, B_UNTIL_2H]}, (True, 2 * HOUR)),
        ({"all": [C_FROM_3H, D_FROM_4H]}, (False, 4 * HOUR)),
        ({"any": [C_FROM_3H, D_FROM_4H]}, (False, 3 * HOUR)),
        ({"all": [A_UNTIL_1H, C_FROM_3H]}, (False, 3 * HOUR)),
        ({"any": [A_UNTIL_1H, C_FROM_3H]}, (True, HOUR)),
        ({"all": [C_FROM_3H, {"event": "never"}]}, (False, NEVER)),
        ({"any": [A_UNTIL_1H, {"event": "a"}]}, (True, NEVER)),
        ({"not": A_UNTIL_1H}, (False, HOUR)),
        ({"not": {"not": C_FROM_3H}}, (False, 3 * HOUR)),
        ({"not": {"all": [C_FROM_3H, D_FROM_4H]}}, (True, 4 * HOUR)),
        ({"all": [{"any": [C_FROM_3H, D_FROM_4H]}, {"not": A_UNTIL_1H}]}, (False, 3 * HOUR)),
    ],
)
def test_the_whole_changes_no_sooner_than_its_parts_allow(when: Any, expected: tuple[bool, Instant]) -> None:
    assert truth(when, EVERYTHING, MINUTE) == expected


# --- because ----------------------------------------------------------------------------------------------------------


def test_reasons_of_an_abandoned_cart() -> None:
    when = {
        "all": [
            {"event": "added_to_cart", "within": "24h"},
            {"not": {"event": "purchased", "since": "added_to_cart"}},
            {"elapsed": "30m", "since": "added_to_cart"},
        ]
    }
    history = happened(("page_viewed", 0), ("added_to_cart", 1), ("purchased", 2), ("added_to_cart", 3))
    assert because(when, history, HOUR) == [2, 4]


def test_reasons_come_from_what_decides() -> None:
    history = happened(("a", 1), ("b", 2))
    assert because({"any": [{"event": "a"}, {"event": "c"}]}, history, 5) == [1]
    assert because({"not": {"event": "c"}}, history, 5) == []
    assert because({"not": {"event": "c", "since": "b"}}, history, 5) == [2]
    assert because({"all": [{"event": "a"}, {"profile": "x", "exists": True}]}, history, 5) == []
    assert because({"all": [{"event": "a"}, {"not": {"profile": "x", "exists": True}}]}, history, 5) == [1]
