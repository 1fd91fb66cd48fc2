"""Histories, and what fires on the way."""

import pytest

from services.rule_evaluator.advance import advance
from services.rule_evaluator.document import FOREVER
from services.rule_evaluator.plan import Plan
from shared.clock import DAY, HOUR, MINUTE, SECOND
from shared.messages import Case, HistoryEvent, Person, Step
from shared.outcomes import IMPORTED
from tests.unit.rule_evaluator.shopper import CART, HALF, Shopper, rule

# --- The rules everybody knows ----------------------------------------------------------------------------------------


def test_a_cart_left_behind() -> None:
    ada = Shopper(rule(CART, expires="2h"))
    ada.does("added_to_cart", at=HOUR)
    assert (ada.fired, ada.wake) == ([], HOUR + HALF)
    ada.waits(HOUR + HALF - 1)
    assert ada.fired == []
    ada.waits(HOUR + HALF)
    (fire,) = ada.fires
    assert (fire.at, fire.because, fire.timer, fire.expires) == (HOUR + HALF, [1], True, 3 * HOUR + HALF)
    assert ada.wake == 25 * HOUR, "the cart drops out of the window then"
    ada.waits(25 * HOUR)
    assert (len(ada.fires), ada.wake) == (1, None)


def test_a_cart_that_was_bought() -> None:
    ada = Shopper(rule(CART))
    ada.does("added_to_cart", at=0)
    ada.does("purchased", at=29 * MINUTE)
    assert ada.wake is None
    ada.waits(DAY)
    assert ada.fired == []


def test_bought_in_the_very_instant_comes_too_late() -> None:
    ada = Shopper(rule(CART))
    ada.does("added_to_cart", at=0)
    ada.does("purchased", at=HALF)
    assert ada.fired == [HALF]


def test_what_an_import_makes_true_does_not_fire_and_what_becomes_true_after_it_does() -> None:
    silence = rule({"elapsed": "14d", "since": "activity"})
    ada, ben = Shopper(silence), Shopper(silence)
    ada.does("page_viewed", at=100 * DAY, dated=40 * DAY, source=IMPORTED)
    ada.waits(200 * DAY)
    assert (ada.fired, ada.wake) == ([], None), "silent for 60 days when it was imported"
    ada.does("page_viewed", at=201 * DAY)
    ada.waits(215 * DAY)
    assert ada.fired == [215 * DAY]

    ben.does("page_viewed", at=100 * DAY, dated=40 * DAY, source=IMPORTED)
    ben.does("page_viewed", at=100 * DAY, dated=90 * DAY, source=IMPORTED)
    assert ben.wake == 104 * DAY
    ben.waits(104 * DAY)
    assert ben.fired == [104 * DAY]


def test_two_who_turn_out_to_be_one_make_nothing_fire_by_what_is_imported() -> None:
    twice = rule({"event": "purchased", "count": {"gte": 2}})
    ada, guest = Shopper(twice), Shopper(twice)
    ada.does("purchased", at=100 * DAY, dated=10 * DAY, source=IMPORTED)
    guest.does("purchased", at=100 * DAY, dated=20 * DAY, source=IMPORTED)
    ada.is_joined_by(guest, at=101 * DAY)
    ada.waits(200 * DAY)
    assert ada.fired == []

    ben, visitor = Shopper(twice), Shopper(twice)
    ben.does("purchased", at=100 * DAY, dated=10 * DAY, source=IMPORTED)
    visitor.does("purchased", at=100 * DAY)
    ben.is_joined_by(visitor, at=101 * DAY)
    assert ben.fired == [101 * DAY], "the visitor's was bought just now"


def test_each_touch_of_the_cart_starts_the_wait_anew() -> None:
    ada = Shopper(rule(CART))
    ada.does("added_to_cart", at=0)
    ada.does("added_to_cart", at=20 * MINUTE)
    ada.waits(HALF)
    assert ada.fired == []
    ada.waits(HOUR)
    assert ada.fired == [50 * MINUTE], "at its own instant, however late the look"


def test_an_event_that_comes_late_counts_from_when_it_happened() -> None:
    ada = Shopper(rule(CART))
    ada.does("added_to_cart", at=HOUR, dated=HALF + 3 * SECOND)
    assert (ada.fired, ada.wake) == ([], HOUR + 3 * SECOND)
    bob = Shopper(rule(CART))
    bob.does("added_to_cart", at=HOUR, dated=10 * MINUTE)
    (fire,) = bob.fires
    assert (fire.at, fire.timer) == (HOUR, False), "not before it was known"


def test_a_late_purchase_stops_what_has_not_fired_yet() -> None:
    ada = Shopper(rule(CART))
    ada.does("added_to_cart", at=0)
    ada.does("purchased", at=25 * MINUTE, dated=10 * MINUTE)
    ada.waits(DAY)
    assert ada.fired == []


def test_a_purchase_dated_before_the_cart_stops_nothing() -> None:
    ada = Shopper(rule(CART))
    ada.does("added_to_cart", at=10 * MINUTE)
    ada.does("purchased", at=20 * MINUTE, dated=5 * MINUTE)
    ada.waits(DAY)
    assert ada.fired == [40 * MINUTE]


def test_an_event_dated_ahead_counts_when_its_time_comes() -> None:
    ada = Shopper(rule({"event": "a"}))
    ada.does("a", at=0, dated=4 * MINUTE)
    assert (ada.fired, ada.wake) == ([], 4 * MINUTE)
    ada.waits(HOUR)
    assert ada.fired == [4 * MINUTE]


def test_the_third_look_at_an_expensive_product() -> None:
    interest = rule(
        {"event": "viewed", "where": {"price": {"gte": 500}}, "same": "id", "count": {"gte": 3}, "within": "24h"}
    )
    ada = Shopper(interest)
    ada.does("viewed", at=0, id="p1", price=900)
    ada.does("viewed", at=1, id="p2", price=900)
    ada.does("viewed", at=2, id="p1", price=900)
    ada.does("viewed", at=3, id="p1", price=20)
    ada.does("viewed", at=DAY - 1, id="p1", price=900)
    assert [(fire.at, fire.because, fire.timer) for fire in ada.fires] == [(DAY - 1, [1, 3, 5], False)]


def test_nothing_heard_for_two_weeks() -> None:
    ada = Shopper(rule({"elapsed": "14d", "since": "activity"}))
    ada.does("page_viewed", at=0)
    ada.does("email_sent", at=DAY)
    ada.does("email_opened", at=2 * DAY)
    ada.does("identify", at=3 * DAY, first_name="Ada")
    ada.waits(100 * DAY)
    assert ada.fired == [16 * DAY]


# --- Edges, and how often ---------------------------------------------------------------------------------------------


def test_a_rule_fires_when_it_turns_true_and_not_while_it_is() -> None:
    ada = Shopper(rule({"event": "a", "within": "1h"}))
    for minute in (1, 10, 20):
        ada.does("a", at=minute * MINUTE)
    ada.does("a", at=3 * HOUR)
    assert ada.fired == [MINUTE, 3 * HOUR]


@pytest.mark.parametrize(("apart", "times"), [(DAY - 1, 1), (DAY, 2)])
def test_reentry_ends_exactly(apart: int, times: int) -> None:
    ada = Shopper(rule({"event": "a", "within": "1s"}, reentry="24h"))
    ada.does("a", at=HOUR)
    ada.does("a", at=HOUR + apart)
    assert len(ada.fires) == times


def test_never_again() -> None:
    ada = Shopper(rule({"event": "a", "within": "1s"}, reentry="never"))
    for year in range(1, 4):
        ada.does("a", at=year * 365 * DAY)
    assert ada.fired == [365 * DAY]
    assert 4 * 365 * DAY < FOREVER


def test_a_firing_held_back_by_reentry_is_not_made_up_for() -> None:
    ada = Shopper(rule({"event": "a", "within": "2h"}, reentry="24h"))
    ada.does("a", at=HOUR)
    ada.does("a", at=HOUR + 23 * HOUR)
    ada.waits(HOUR + 30 * HOUR)
    assert ada.fired == [HOUR]


def test_a_firing_that_came_to_nothing_does_not_count() -> None:
    ada = Shopper(rule({"event": "a", "within": "1s"}, reentry="24h"))
    ada.does("a", at=HOUR)
    ada.does("trigger_suppressed", at=2 * HOUR, trigger_id=ada.fires[0].trigger)
    ada.does("a", at=3 * HOUR)
    ada.does("trigger_suppressed", at=4 * HOUR, trigger_id="of another rule")
    ada.does("a", at=5 * HOUR)
    assert ada.fired == [HOUR, 3 * HOUR]


@pytest.mark.parametrize("outcome", ["email_sent", "trigger_held_out", "email_uncertain", "email_bounced"])
def test_a_firing_that_came_to_something_counts(outcome: str) -> None:
    ada = Shopper(rule({"event": "a", "within": "1s"}, reentry="24h"))
    ada.does("a", at=HOUR)
    ada.does(outcome, at=2 * HOUR, trigger_id=ada.fires[0].trigger)
    ada.does("a", at=3 * HOUR)
    assert ada.fired == [HOUR]


@pytest.mark.parametrize("outcome", ["webhook_failed", "trigger_suppressed"])
def test_what_became_of_the_webhook_beside_a_mail_takes_nothing_back(outcome: str) -> None:
    ada = Shopper(rule({"event": "a", "within": "1s"}, reentry="24h"))
    ada.does("a", at=HOUR)
    ada.does(outcome, at=2 * HOUR, trigger_id=ada.fires[0].trigger, beside_mail=True)
    ada.does("a", at=3 * HOUR)
    assert ada.fired == [HOUR]


def test_only_firings_that_still_count_are_remembered() -> None:
    ada = Shopper(rule({"event": "a", "within": "1s"}, reentry="1h"))
    for hour in range(1, 20):
        ada.does("a", at=hour * HOUR)
    assert len(ada.fires) == 19
    assert [at for _, at in ada.states["rule"].fired] == [19 * HOUR]


def test_identify_is_taken_in_before_the_rule_looks() -> None:
    ada = Shopper(rule({"profile": "country", "eq": "DE"}))
    ada.does("identify", at=1, country="AT")
    ada.does("identify", at=2, country="DE")
    ada.does("identify", at=3, country=None)
    ada.does("identify", at=4, country="DE")
    assert ada.fired == [2, 4]


def test_the_latest_twenty_reasons() -> None:
    ada = Shopper(rule({"event": "a", "count": {"gte": 30}}))
    for second in range(1, 31):
        ada.does("a", at=second * SECOND)
    assert ada.fires[0].because == list(range(11, 31))


# --- Triggers' ids ----------------------------------------------------------------------------------------------------


def test_a_replayed_step_gives_the_same_trigger_and_any_other_another() -> None:
    watching = [rule({"event": "a", "within": "1h"}), rule({"elapsed": "2h", "since": "a"}, id="other")]
    steps = [Step(at, HistoryEvent(n, f"e{n}", "a", at, at, {})) for n, at in enumerate((HOUR, 4 * HOUR, 9 * HOUR), 1)]
    steps.append(Step(DAY))
    first, again = (advance(Plan(watching), Case(Person("ada"), {}, steps)).fires for _ in range(2))
    assert first == again
    bob = advance(Plan(watching), Case(Person("bob"), {}, steps)).fires
    next_version = [rule({"event": "a", "within": "1h"}, version=2)]
    edited = advance(Plan(next_version), Case(Person("ada"), {}, steps)).fires
    ids = [fire.trigger for fire in [*first, *bob, *edited]]
    assert len(ids) == len(set(ids)) == 6 + 6 + 3
    assert all(len(trigger) == 32 for trigger in ids)


# --- Going live -------------------------------------------------------------------------------------------------------


def test_what_was_true_when_the_rule_went_live_does_not_fire() -> None:
    ada = Shopper()
    ada.does("a", at=HOUR)
    ada.rules = [rule({"event": "a", "within": "24h"}, live_since=2 * HOUR)]
    ada.does("b", at=3 * HOUR)
    assert (ada.fired, ada.wake) == ([], 25 * HOUR)
    ada.does("a", at=30 * HOUR)
    assert ada.fired == [30 * HOUR], "but what turns true later does"


def test_who_was_half_way_when_the_rule_went_live_is_not_forgotten() -> None:
    ada = Shopper()
    ada.does("added_to_cart", at=0)
    ada.rules = [rule(CART, live_since=10 * MINUTE)]
    ada.does("page_viewed", at=HOUR)
    assert ada.fired == [HALF], "at the moment it became true"


def test_an_event_of_the_very_instant_belongs_to_the_time_before() -> None:
    ada = Shopper(rule({"event": "a"}, live_since=HOUR))
    ada.does("a", at=HOUR)
    assert (ada.states, ada.fired) == ({}, [])
    ada.does("a", at=HOUR + 1)
    assert ada.fired == []
    assert ada.states["rule"].holds


def test_until_time_has_passed_its_start_a_rule_remembers_nothing_but_wants_to_be_woken() -> None:
    ada = Shopper(rule({"elapsed": "30m", "since": "a"}, live_since=HOUR))
    ada.does("a", at=50 * MINUTE)
    assert (ada.states, ada.wake) == ({}, 80 * MINUTE)
    ada.waits(80 * MINUTE)
    assert ada.fired == [80 * MINUTE]
