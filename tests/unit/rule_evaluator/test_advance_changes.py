"""What changes on the way of a history: rules, who people are, and what the clocks say."""

from collections.abc import Iterator

import pytest
from msgspec import structs

from services.rule_evaluator.advance import advance
from services.rule_evaluator.code import Code, calling
from services.rule_evaluator.plan import Plan
from services.rule_evaluator.view import Selector
from shared.clock import DAY, HOUR, MINUTE, Instant
from shared.messages import Case, HistoryEvent, Joined, Person, RuleState, Step
from tests.unit.rule_evaluator.shopper import CART, HALF, Shopper, rule

# --- Versions and replicas --------------------------------------------------------------------------------------------


def test_a_new_version_starts_anew_but_remembers_what_fired() -> None:
    ada = Shopper(rule({"event": "a", "within": "1s"}, reentry="24h"))
    ada.does("a", at=HOUR)
    ada.rules = [rule({"event": "b", "within": "1s"}, reentry="24h", version=2, live_since=2 * HOUR)]
    ada.does("b", at=3 * HOUR)
    ada.does("b", at=26 * HOUR)
    assert ada.fired == [HOUR, 26 * HOUR]
    assert ada.fires[1].version == 2


def test_what_came_to_nothing_meanwhile_does_not_count_for_the_new_version() -> None:
    ada = Shopper(rule({"event": "a", "within": "1s"}, reentry="24h"))
    ada.does("a", at=HOUR)
    trigger = ada.fires[0].trigger
    ada.rules = []
    ada.does("email_failed", at=2 * HOUR, trigger_id=trigger)
    ada.rules = [rule({"event": "a", "within": "1s"}, reentry="24h", version=2, live_since=3 * HOUR)]
    ada.does("a", at=4 * HOUR)
    assert ada.fired == [HOUR, 4 * HOUR]


def test_what_a_replica_did_not_know_is_made_up_for_in_order() -> None:
    ada = Shopper(rule(CART))
    ada.does("page_viewed", at=1)
    ada.is_missed("added_to_cart", at=MINUTE)
    ada.is_missed("added_to_cart", at=2 * HOUR)
    ada.is_missed("purchased", at=2 * HOUR + MINUTE)
    ada.waits(DAY)
    assert ada.fired == [MINUTE + HALF]
    assert ada.states["rule"].seen == 4


def test_a_wake_before_the_first_missed_event_is_not_lost() -> None:
    ada = Shopper(rule(CART))
    ada.does("added_to_cart", at=0)
    ada.is_missed("purchased", at=HOUR)
    ada.waits(DAY)
    assert ada.fired == [HALF]


def test_what_this_replica_does_not_know_is_handed_on_untouched() -> None:
    newer = RuleState(7, True, HOUR, 3, [("t", HOUR)], 2 * HOUR)
    unknown = RuleState(1, False, HOUR, 3, [], 2 * HOUR)
    event = HistoryEvent(4, "e4", "a", DAY, DAY, {})
    case = Case(Person("ada", count=3), {"rule": newer, "unknown": unknown}, [Step(DAY, event)])
    verdict = advance(Plan([rule({"event": "a"}, version=6)]), case)
    assert (verdict.rules, verdict.fires, verdict.wake) == ({"rule": newer, "unknown": unknown}, [], None)


# --- Two that turn out to be one ---------------------------------------------------------------------------------------


def signs_in(visitor: Shopper, ada: Shopper, at: Instant) -> None:
    """What the visitor was told until then becomes Ada's."""
    visitor.waits(at)
    ada.is_joined_by(visitor, at)


def test_a_rule_half_satisfied_before_signing_in_completes_after_it() -> None:
    watching = rule(CART)
    visitor, ada = Shopper(watching), Shopper(watching)
    visitor.does("added_to_cart", at=0)
    signs_in(visitor, ada, at=10 * MINUTE)
    ada.waits(HOUR)
    assert (visitor.fired, ada.fired) == ([], [HALF])


def test_what_one_of_them_did_stops_a_rule_of_the_other() -> None:
    watching = rule(CART)
    visitor, ada = Shopper(watching), Shopper(watching)
    ada.does("added_to_cart", at=0)
    visitor.does("purchased", at=5 * MINUTE)
    signs_in(visitor, ada, at=10 * MINUTE)
    ada.waits(HOUR)
    assert ada.fired == []


def test_together_they_reach_what_neither_did_alone() -> None:
    watching = rule({"event": "a", "count": {"gte": 2}})
    visitor, ada = Shopper(watching), Shopper(watching)
    visitor.does("a", at=0)
    ada.does("a", at=1)
    signs_in(visitor, ada, at=10)
    assert (ada.fired, ada.fires[0].because) == ([10], [2, 1]), "in the order in which it happened"


def test_what_fired_for_the_visitor_does_not_fire_again() -> None:
    for reentry in ({}, {"reentry": "24h"}):
        watching = rule({"event": "a", "count": {"gte": 2}}, **reentry)
        visitor, ada = Shopper(watching), Shopper(watching)
        visitor.does("a", at=0)
        visitor.does("a", at=1)
        signs_in(visitor, ada, at=10)
        assert (visitor.fired, ada.fired) == ([1], [])


def test_reentry_counts_what_fired_for_either() -> None:
    watching = rule({"event": "a", "within": "1h"}, reentry="24h")
    visitor, ada = Shopper(watching), Shopper(watching)
    visitor.does("a", at=1)
    signs_in(visitor, ada, at=2 * HOUR)
    ada.does("a", at=3 * HOUR)
    ada.does("a", at=25 * HOUR)
    assert (visitor.fired, ada.fired) == ([1], [25 * HOUR])


def test_the_known_persons_own_attributes_go_before_the_visitors() -> None:
    watching = rule({"all": [{"profile": "country", "eq": "AT"}, {"profile": "size", "eq": "M"}]})
    visitor, ada = Shopper(watching), Shopper(watching)
    visitor.does("identify", at=0, country="DE", size="M")
    ada.does("identify", at=1, country="AT")
    signs_in(visitor, ada, at=10)
    assert ada.fired == [10]


def test_what_is_remembered_of_a_rule_not_known_here_is_joined_too() -> None:
    states = {"unknown": RuleState(3, True, HOUR, 2, [("t", HOUR)], 2 * HOUR)}
    own = {"unknown": RuleState(3, False, HOUR, 5, [("u", HOUR + 1)], 2 * HOUR)}
    step = Step(DAY, joined=Joined({}, [], states))
    verdict = advance(Plan([]), Case(Person("ada"), own, [step]))
    assert verdict.rules["unknown"] == RuleState(3, True, HOUR, 5, [("t", HOUR), ("u", HOUR + 1)], 2 * HOUR)


# --- Clocks -----------------------------------------------------------------------------------------------------------


def test_time_never_goes_backwards() -> None:
    ada = Shopper(rule({"event": "a", "within": "1h"}))
    ada.waits(10 * HOUR)
    ada.does("a", at=9 * HOUR)
    assert ada.states["rule"].at == 10 * HOUR
    assert ada.fired == [], "an hour ago is over"
    ada.does("a", at=9 * HOUR + 1)
    assert ada.fired == [10 * HOUR]


def test_a_case_without_steps_changes_nothing_that_counts() -> None:
    ada = Shopper(rule(CART))
    ada.does("added_to_cart", at=0)
    before, wake = ada.states, ada.wake
    ada.goes_through([])
    assert (ada.states, ada.wake) == (before, wake)


def test_a_state_from_before_changes_were_remembered_finds_its_wake() -> None:
    history = [HistoryEvent(1, "e1", "added_to_cart", 0, 0, {})]
    case = Case(Person("ada", {}, history, 1), {"rule": RuleState(1, False, 0, 1)}, [Step(HOUR)])
    assert [fire.at for fire in advance(Plan([rule(CART)]), case).fires] == [HALF]


def test_a_rule_that_cannot_say_when_it_changes_is_an_error_and_no_endless_loop() -> None:
    class Stuck:
        def code(self, slots: object) -> Code:
            return calling(lambda view, t: (False, t))

        def selectors(self) -> Iterator[Selector]:
            return iter(())

    sane = rule(CART)
    broken = sane._replace(rule=structs.replace(sane.rule, when=Stuck()))
    case = Case(Person("ada"), {"rule": RuleState(1, False, 0, 0, [], 1)}, [Step(HOUR)])
    with pytest.raises(RuntimeError, match="rule rule: a wake at 1, not after 1"):
        advance(Plan([broken]), case)
