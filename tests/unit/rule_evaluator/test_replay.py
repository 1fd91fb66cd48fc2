"""Histories of several people played again: what fires for whom, also when some of them turn out to be one."""

import itertools
from typing import Any

import pytest

from services.rule_evaluator.replay import Firing, Replay, live_from_the_beginning
from shared.clock import DAY, HOUR, MINUTE, SECOND, Instant
from shared.messages import Event
from shared.outcomes import TAKEN_BACK
from tests.unit.rule_evaluator.shopper import rule

CART = {
    "all": [
        {"event": "added_to_cart", "within": "24h"},
        {"not": {"event": "purchased", "since": "added_to_cart"}},
        {"elapsed": "30m", "since": "added_to_cart"},
    ]
}
HALF = 30 * MINUTE


class History:
    """A replay told event by event."""

    def __init__(self, *whens: Any, **document: Any) -> None:
        rules = [rule(when, id=f"rule-{number}", **document).rule for number, when in enumerate(whens)]
        self.replay = Replay(live_from_the_beginning(rules))
        self.firings: list[Firing] = []
        self._numbers = itertools.count(1)

    @property
    def fired(self) -> list[tuple[str, Instant]]:
        return [(firing.person, firing.fire.at) for firing in self.firings]

    def happens(
        self,
        name: str,
        at: Instant,
        *,
        user: str | None = None,
        visitor: str | None = None,
        dated: Instant | None = None,
        event_id: str | None = None,
        trusted: bool = True,
        **properties: Any,
    ) -> None:
        """``user`` is a user_id, ``visitor`` an anonymous_id; ada's, if there is neither."""
        user = "ada" if user is None and visitor is None else user
        event = Event(
            id=event_id if event_id is not None else f"e{next(self._numbers)}",
            person=user or visitor or "",
            name=name,
            timestamp=at if dated is None else dated,
            received=at,
            properties=properties,
            user_id=user,
            anonymous_id=visitor,
            trusted=trusted,
        )
        self.firings += self.replay.take(event, at)

    def ends(self, at: Instant) -> None:
        self.firings += self.replay.finish(at)


# --- One person -------------------------------------------------------------------------------------------------------


def test_a_cart_left_behind_fires_half_an_hour_later() -> None:
    history = History(CART)
    history.happens("added_to_cart", at=HOUR, event_id="cart")
    assert history.fired == []
    history.ends(at=HOUR + HALF - 1)
    assert history.fired == []
    history.ends(at=HOUR + HALF)
    (firing,) = history.firings
    assert (firing.person, firing.fire.rule, firing.fire.at) == ("ada", "rule-0", HOUR + HALF)
    assert [(event.id, event.name) for event in firing.because] == [("cart", "added_to_cart")]


def test_what_fires_by_itself_is_told_with_the_next_event_of_that_person() -> None:
    history = History(CART)
    history.happens("added_to_cart", at=0)
    history.happens("page_viewed", at=HOUR, user="bob")
    assert history.fired == []
    history.happens("purchased", at=DAY)
    assert history.fired == [("ada", HALF)]


def test_a_cart_that_was_bought_does_not_fire() -> None:
    history = History(CART)
    history.happens("added_to_cart", at=0)
    history.happens("purchased", at=29 * MINUTE)
    history.ends(at=DAY)
    assert history.fired == []


def test_an_event_that_comes_late_fires_when_it_came() -> None:
    history = History(CART)
    history.happens("added_to_cart", at=HOUR, dated=0)
    assert history.fired == [("ada", HOUR)]


def test_an_event_dated_ahead_fires_when_its_time_comes() -> None:
    history = History({"event": "a"})
    history.happens("a", at=0, dated=4 * MINUTE)
    history.ends(at=4 * MINUTE - 1)
    assert history.fired == []
    history.ends(at=HOUR)
    assert history.fired == [("ada", 4 * MINUTE)]


def test_the_first_event_of_all_may_fire() -> None:
    history = History({"event": "a"})
    history.happens("a", at=0)
    assert history.fired == [("ada", 0)]


def test_reasons_are_events_in_the_order_in_which_they_happened() -> None:
    history = History({"event": "a", "count": {"gte": 3}})
    history.happens("a", at=1, event_id="one")
    history.happens("a", at=9, event_id="two")
    history.happens("a", at=10, dated=5, event_id="late")
    assert [[event.id for event in firing.because] for firing in history.firings] == [["one", "late", "two"]]


def test_an_event_that_came_twice_is_one() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("a", at=0, event_id="same")
    history.happens("a", at=1, event_id="same")
    assert history.fired == []
    history.happens("a", at=2, event_id="other")
    assert history.fired == [("ada", 2)]


def test_the_same_id_at_two_people_is_two_events() -> None:
    history = History({"event": "a"})
    history.happens("a", at=0, user="ada", event_id="same")
    history.happens("a", at=1, user="bob", event_id="same")
    assert history.fired == [("ada", 0), ("bob", 1)]


def test_what_is_true_before_the_first_event_does_not_fire() -> None:
    history = History({"not": {"event": "a"}}, {"event": "a", "count": {"lt": 3}})
    history.happens("b", at=HOUR)
    history.ends(at=DAY)
    assert history.fired == []


def test_but_it_does_when_it_turns_true_again() -> None:
    history = History({"not": {"event": "a", "within": "1h"}})
    history.happens("a", at=HOUR)
    history.ends(at=DAY)
    assert history.fired == [("ada", 2 * HOUR)]


def test_the_profile_is_what_identify_said_last() -> None:
    history = History({"profile": "country", "eq": "AT"})
    history.happens("identify", at=1, country="DE")
    history.happens("identify", at=2, country="AT")
    history.happens("identify", at=3, country=None)
    history.happens("identify", at=4, country="AT")
    assert history.fired == [("ada", 2), ("ada", 4)]


def test_every_rule_looks_whatever_its_status() -> None:
    history = History({"event": "a"}, {"elapsed": "1h", "since": "a"}, status="paused")
    history.happens("a", at=0)
    history.ends(at=DAY)
    assert [(firing.fire.rule, firing.fire.at) for firing in history.firings] == [("rule-0", 0), ("rule-1", HOUR)]


# --- Reentry ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("apart", "times"), [(DAY - 1, 1), (DAY, 2)])
def test_every_firing_counts_towards_reentry(apart: int, times: int) -> None:
    history = History({"event": "a", "within": "1s"}, reentry="24h")
    history.happens("a", at=HOUR)
    history.happens("a", at=HOUR + apart)
    assert len(history.fired) == times


@pytest.mark.parametrize("outcome", sorted(TAKEN_BACK))
def test_no_outcome_takes_a_firing_back(outcome: str) -> None:
    history = History({"event": "a", "within": "1s"}, reentry="24h")
    history.happens("a", at=HOUR)
    trigger = history.firings[0].fire.trigger
    history.happens(outcome, at=2 * HOUR, trigger_id=trigger, event_id=f"beckon:{trigger}.{outcome}")
    history.happens("a", at=3 * HOUR)
    assert history.fired == [("ada", HOUR)]


def test_other_outcomes_are_events_like_any() -> None:
    history = History({"event": "email_sent", "where": {"rule": "win-back"}})
    history.happens("email_sent", at=HOUR, event_id="beckon:t.email_sent", rule="win-back")
    assert history.fired == [("ada", HOUR)]


# --- Several people ---------------------------------------------------------------------------------------------------


def test_people_do_not_mix() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    for person in ("ada", "bob"):
        history.happens("a", at=1, user=person)
    history.happens("a", at=2, user="bob")
    assert history.fired == [("bob", 2)]
    assert history.replay.people == 2


def test_at_the_end_everybody_is_looked_at() -> None:
    history = History(CART)
    history.happens("added_to_cart", at=0, user="ada")
    history.happens("added_to_cart", at=MINUTE, user="bob")
    history.ends(at=HALF)
    assert history.fired == [("ada", HALF)]
    history.ends(at=HOUR)
    assert history.fired == [("ada", HALF), ("bob", HALF + MINUTE)]


def test_nobody_is_nobody() -> None:
    history = History(CART)
    history.ends(at=DAY)
    assert (history.fired, history.replay.people) == ([], 0)


# --- Two that turn out to be one --------------------------------------------------------------------------------------


def test_a_visitor_who_signs_in_brings_half_a_rule_along() -> None:
    history = History(CART)
    history.happens("added_to_cart", at=0, visitor="a-1", event_id="cart")
    assert history.replay.people == 1
    history.happens("identify", at=10 * MINUTE, user="ada", visitor="a-1")
    history.ends(at=HOUR)
    (firing,) = history.firings
    assert (firing.person, firing.fire.at, [event.id for event in firing.because]) == ("ada", HALF, ["cart"])
    assert history.replay.people == 1


@pytest.mark.parametrize("name", ["previous_id", "previousId"])
def test_an_alias_with_a_previous_id_brings_it_along_too(name: str) -> None:
    history = History(CART)
    history.happens("added_to_cart", at=0, visitor="a-1")
    history.happens("alias", at=10 * MINUTE, user="ada", **{name: "a-1"})
    history.ends(at=HOUR)
    assert history.fired == [("ada", HALF)]
    assert history.replay.people == 1


def test_any_other_event_with_both_ids_ties_nothing() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("a", at=0, visitor="a-1")
    history.happens("a", at=1, user="ada", visitor="a-1")
    history.ends(at=DAY)
    assert history.fired == []
    assert history.replay.people == 2


def test_what_the_visitor_does_on_the_device_afterwards_is_theirs() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("identify", at=0, user="ada", visitor="a-1")
    history.happens("a", at=1, visitor="a-1")
    history.happens("a", at=2, user="ada")
    assert history.fired == [("ada", 2)]
    assert history.replay.people == 1


def test_together_they_reach_what_neither_did_alone() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("a", at=1, visitor="a-1", event_id="of-the-visitor")
    history.happens("a", at=2, user="ada", event_id="of-ada")
    history.happens("identify", at=10, user="ada", visitor="a-1")
    (firing,) = history.firings
    assert (firing.person, firing.fire.at) == ("ada", 10)
    assert [event.id for event in firing.because] == ["of-the-visitor", "of-ada"]


def test_what_one_of_them_did_stops_a_rule_of_the_other() -> None:
    history = History(CART)
    history.happens("added_to_cart", at=0, user="ada")
    history.happens("purchased", at=5 * MINUTE, visitor="a-1")
    history.happens("identify", at=10 * MINUTE, user="ada", visitor="a-1")
    history.ends(at=DAY)
    assert history.fired == []


def test_what_was_due_for_the_visitor_fires_for_the_visitor() -> None:
    history = History(CART, reentry="24h")
    history.happens("added_to_cart", at=0, visitor="a-1")
    history.happens("identify", at=HOUR, user="ada", visitor="a-1")
    history.ends(at=DAY)
    assert history.fired == [("a-1", HALF)], "and not a second time for ada"


def test_what_fired_for_the_visitor_counts_towards_adas_reentry() -> None:
    history = History({"event": "a", "within": "1h"}, reentry="24h")
    history.happens("a", at=MINUTE, visitor="a-1")
    history.happens("identify", at=2 * HOUR, user="ada", visitor="a-1")
    history.happens("a", at=3 * HOUR, user="ada")
    history.happens("a", at=24 * HOUR + MINUTE, user="ada")
    assert history.fired == [("a-1", MINUTE), ("ada", 24 * HOUR + MINUTE)]


def test_an_event_that_both_had_is_one() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("a", at=0, visitor="a-1", event_id="same")
    history.happens("a", at=1, user="ada", event_id="same")
    history.happens("identify", at=2, user="ada", visitor="a-1")
    history.happens("a", at=3, visitor="a-1", event_id="same")
    assert history.fired == []


def test_an_event_of_the_visitor_that_comes_again_after_signing_in_is_one() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("a", at=0, visitor="a-1", event_id="same")
    history.happens("identify", at=1, user="ada", visitor="a-1")
    history.happens("a", at=2, visitor="a-1", event_id="same")
    history.happens("a", at=3, user="ada", event_id="same")
    assert history.fired == []


def test_reasons_may_be_of_before_and_after_signing_in() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("a", at=0, visitor="a-1", event_id="before")
    history.happens("identify", at=1, user="ada", visitor="a-1")
    history.happens("a", at=2, user="ada", event_id="after")
    (firing,) = history.firings
    assert [event.id for event in firing.because] == ["before", "after"]


def test_attributes_of_the_known_person_go_before_the_visitors() -> None:
    history = History({"all": [{"profile": "country", "eq": "AT"}, {"profile": "size", "eq": "M"}]})
    history.happens("identify", at=0, visitor="a-1", country="DE", size="M")
    history.happens("identify", at=1, user="ada", country="AT")
    history.happens("alias", at=2, user="ada", visitor="a-1")
    assert history.fired == [("ada", 2)]


def test_what_is_dated_ahead_is_brought_along() -> None:
    history = History({"event": "a"})
    history.happens("a", at=0, dated=4 * MINUTE, visitor="a-1")
    history.happens("identify", at=MINUTE, user="ada", visitor="a-1")
    history.ends(at=HOUR)
    assert history.fired == [("ada", 4 * MINUTE)]


def test_a_device_that_is_shared_changes_hands_with_what_is_done_on_it_from_then_on() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("a", at=0, visitor="tablet")
    history.happens("identify", at=1, user="ada", visitor="tablet")
    history.happens("identify", at=2, user="bob", visitor="tablet")
    history.happens("a", at=3, visitor="tablet")
    assert history.fired == [], "one is ada's, one is bob's"
    history.happens("a", at=4, visitor="tablet")
    assert history.fired == [("bob", 4)]
    history.happens("identify", at=5, user="ada", visitor="tablet")
    history.happens("a", at=6, visitor="tablet")
    assert history.fired == [("bob", 4), ("ada", 6)]
    assert history.replay.people == 2


def test_two_known_people_are_not_one_because_somebody_identified() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("a", at=0, user="ada")
    history.happens("a", at=1, user="bob")
    history.happens("identify", at=2, user="ada", visitor="bob")
    history.happens("alias", at=3, user="ada", previous_id="bob", trusted=False)
    history.ends(at=DAY)
    assert (history.fired, history.replay.people) == ([], 2)


def test_two_known_people_are_one_if_an_alias_with_a_secret_key_says_so() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("a", at=0, user="ada")
    history.happens("a", at=1, user="bob")
    history.happens("alias", at=2, user="ada", previous_id="bob", trusted=True)
    assert (history.fired, history.replay.people) == ([("ada", 2)], 1)
    history.happens("a", at=3, user="bob")
    history.ends(at=DAY)
    assert history.fired == [("ada", 2)], "bob is ada now"


def test_a_chain_of_devices_ends_at_one_person() -> None:
    history = History({"event": "a", "count": {"gte": 3}})
    history.happens("a", at=0, visitor="phone")
    history.happens("alias", at=1, user="laptop", previous_id="phone")
    history.happens("a", at=2, user="laptop")
    history.happens("alias", at=3, user="ada", previous_id="laptop", trusted=True)
    history.happens("a", at=4, visitor="phone")
    assert (history.fired, history.replay.people) == ([("ada", 4)], 1)


def test_a_circle_of_aliases_is_one_person() -> None:
    history = History({"event": "a", "count": {"gte": 2}})
    history.happens("a", at=0, user="one")
    history.happens("alias", at=1, user="one", previous_id="two", trusted=True)
    history.happens("alias", at=2, user="two", previous_id="one", trusted=True)
    history.happens("a", at=3, user="two")
    assert (history.fired, history.replay.people) == ([("one", 3)], 1)


def test_somebody_of_whom_nothing_is_known_brings_nothing() -> None:
    history = History(CART)
    history.happens("added_to_cart", at=0, user="ada")
    history.happens("alias", at=SECOND, user="ada", previous_id="never-seen")
    history.ends(at=HOUR)
    assert (history.fired, history.replay.people) == ([("ada", HALF)], 1)
