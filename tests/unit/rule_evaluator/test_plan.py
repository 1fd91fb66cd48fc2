"""Rules made ready to run together: what they need remembered, and which of them an event touches."""

from typing import Any

import pytest

from services.rule_evaluator.plan import Plan
from services.rule_evaluator.view import Selector
from shared.clock import DAY, HOUR, MINUTE
from shared.messages import HistoryEvent, Need, Person
from shared.outcomes import TAKEN_BACK
from tests.unit.rule_evaluator.shopper import rule

TRIGGERS_TAKEN_BACK = [Need(name, last=8, properties=("beside_mail", "trigger_id")) for name in sorted(TAKEN_BACK)]


def plan(*whens: Any) -> Plan:
    return Plan([rule(when, id=f"rule-{number}") for number, when in enumerate(whens)])


def needs(*whens: Any) -> list[Need]:
    """Without what every rule needs."""
    return [need for need in plan(*whens).needs() if need not in TRIGGERS_TAKEN_BACK]


# --- What must be remembered ------------------------------------------------------------------------------------------


def test_without_rules_nothing_is_needed() -> None:
    assert Plan([]).needs() == []


def test_every_rule_wants_to_know_which_of_its_firings_came_to_nothing() -> None:
    found = plan({"event": "a"}).needs()
    assert [need for need in found if need.name in TAKEN_BACK] == TRIGGERS_TAKEN_BACK


@pytest.mark.parametrize(
    ("when", "needed"),
    [
        ({"event": "a"}, [Need("a", last=20)]),
        ({"event": "a", "within": "2h"}, [Need("a", last=20, horizon=2 * HOUR)]),
        ({"event": "a", "count": {"gte": 50}}, [Need("a", last=52)]),
        ({"event": "a", "where": {"p": 1, "q": 2}}, [Need("a", properties=("p", "q"))]),
        ({"event": "a", "same": "p", "within": "1d"}, [Need("a", horizon=DAY, properties=("p",))]),
        ({"event": "a", "since": "b"}, [Need("a", last=20), Need("b", last=1)]),
        ({"event": "a", "since": "activity"}, [Need(None, last=1), Need("a", last=20)]),
        ({"elapsed": "14d", "since": "activity"}, [Need(None, last=1)]),
        ({"elapsed": "1h", "since": "a", "where": {"p": 1}}, [Need("a", properties=("p",))]),
        (
            {"sequence": [{"event": "a"}, {"event": "b"}], "within": "1h"},
            [Need("a", horizon=HOUR), Need("b", horizon=HOUR)],
        ),
        ({"profile": "country", "eq": "AT"}, [Need("identify", last=0)]),
    ],
)
def test_what_a_condition_needs(when: Any, needed: list[Need]) -> None:
    assert needs(when) == needed


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ({"event": "a"}, {"elapsed": "1h", "since": "a"}),
        ({"event": "a"}, {"event": "a", "within": "1h"}),
        ({"event": "a", "within": "2h"}, {"event": "a", "within": "1h"}),
        ({"event": "a", "count": {"gte": 50}}, {"event": "a", "count": {"gte": 30}}),
        ({"event": "a", "where": {"p": 1}}, {"event": "a"}),
        ({"event": "a", "where": {"p": 1, "q": 1}}, {"event": "a", "where": {"q": 5}}),
        ({"event": "a", "same": "p"}, {"event": "a", "distinct": "p"}),
    ],
)
def test_a_need_that_another_includes_is_not_told(wide: Any, narrow: Any) -> None:
    assert needs(wide, narrow) == needs(narrow, wide) == needs(wide)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"event": "a"}, {"event": "b"}),
        ({"event": "a"}, {"elapsed": "1h", "since": "activity"}),
        ({"event": "a", "within": "1h", "same": "p"}, {"event": "a"}),
        ({"event": "a", "where": {"p": 1}}, {"event": "a", "where": {"q": 1}}),
        ({"event": "a", "where": {"p": 1}, "within": "1h"}, {"event": "a", "where": {"p": 1, "q": 1}, "within": "30m"}),
    ],
)
def test_needs_that_do_not_include_each_other_are_both_told(one: Any, other: Any) -> None:
    assert len(needs(one, other)) == 2


def test_what_several_rules_need_is_told_once_and_in_order() -> None:
    cart = {"all": [{"event": "b"}, {"elapsed": "30m", "since": "a"}]}
    assert needs(cart, cart, {"elapsed": "1h", "since": "activity"}) == [
        Need(None, last=1),
        Need("a", last=1),
        Need("b", last=20),
    ]


# --- What an event touches --------------------------------------------------------------------------------------------


def slots(of: Plan, *names: str | None) -> tuple[int, ...]:
    return tuple(of.slots.number(Selector(name)) for name in names)


def test_an_event_touches_the_rules_and_the_parts_that_look_at_it() -> None:
    made = plan(
        {"all": [{"event": "a"}, {"event": "b"}, {"not": {"event": "a", "since": "b"}}]},
        {"event": "c"},
        {"any": [{"event": "a"}, {"event": "c"}]},
    )
    assert made.touched(slots(made, "a")) == ((0, frozenset({0, 2})), (2, frozenset({0})))
    assert made.touched(slots(made, "b")) == ((0, frozenset({1, 2})),)
    assert made.touched(slots(made, "c")) == ((1, frozenset({0})), (2, frozenset({0})))
    assert made.touched(slots(made, "b", "c")) == (
        (0, frozenset({1, 2})),
        (1, frozenset({0})),
        (2, frozenset({0})),
    )
    assert made.touched(()) == ()


def test_asking_again_gives_the_same() -> None:
    made = plan({"event": "a"}, {"event": "b"})
    assert made.touched(slots(made, "a")) == made.touched(slots(made, "a")) == ((0, frozenset({0})),)


def test_a_change_of_the_profile_touches_the_rules_that_test_it() -> None:
    made = plan({"event": "a"}, {"all": [{"event": "a"}, {"profile": "country", "eq": "AT"}]})
    assert made.touched(made.profile) == ((1, frozenset({1})),)


def test_selectors_that_say_the_same_share_a_slot() -> None:
    made = plan(
        {"event": "a", "where": {"p": 1, "q": 2}},
        {"event": "a", "where": {"q": 2, "p": 1}, "within": "1h"},
        {"event": "a", "where": {"p": 1}},
    )
    assert [rule.slots for rule in made.rules[:2]] == [made.rules[0].slots] * 2
    assert made.rules[2].slots != made.rules[0].slots


# --- Does it hold? ----------------------------------------------------------------------------------------------------


def test_the_rule_that_is_asked_for_is_looked_at_with_all_its_parts() -> None:
    made = plan(
        {"all": [{"event": "a", "within": "1h"}, {"elapsed": "30m", "since": "a"}, {"profile": "country", "eq": "AT"}]},
        {"event": "b"},
    )
    ada = Person("ada", {"country": "AT"}, [HistoryEvent(1, "e1", "a", HOUR, HOUR, {})], 1)
    instants = [HOUR, HOUR + 30 * MINUTE - 1, HOUR + 30 * MINUTE, 2 * HOUR - 1, 2 * HOUR]
    assert [made.holds("rule-0", ada, at) for at in instants] == [False, False, True, True, False]
    assert not made.holds("rule-0", Person("bob", {}, ada.history, 1), HOUR + 30 * MINUTE)
    assert not made.holds("rule-1", ada, HOUR)


def test_what_has_not_happened_yet_is_not_seen() -> None:
    made = plan({"event": "a"})
    ada = Person("ada", {}, [HistoryEvent(1, "e1", "a", HOUR, 0, {})], 1)
    assert [made.holds("rule-0", ada, at) for at in (HOUR - 1, HOUR)] == [False, True]


def test_a_rule_that_is_not_in_the_plan_cannot_be_asked_for() -> None:
    with pytest.raises(ValueError):
        plan({"event": "a"}).holds("rule-7", Person("ada"), HOUR)
