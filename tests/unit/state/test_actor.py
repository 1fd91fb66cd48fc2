"""An actor takes in events once, in order, and forgets in a bounded way."""

from services.state import actor as actors
from services.state.actor import Actor, Arrival, Fate
from shared.clock import HOUR, MINUTE, SECOND
from shared.messages import EmailAction, Event, Fire, RuleState, Step, Terms, Trigger, Verdict, outcome

NOON = 1_700_000_000 * SECOND


def event(id_: str, name: str = "page_viewed", at: int = NOON, **properties: object) -> Event:
    return Event(id=id_, person="ada", name=name, timestamp=at, received=at, properties=properties)


def arrival(event: Event, sequence: int, arrived: int | None = None) -> Arrival:
    return Arrival(event, sequence, event.timestamp if arrived is None else arrived)


def after(actor: Actor, *events: Event, limit: int = 200) -> Actor:
    steps, _ = actors.accept(actor, [arrival(event, number) for number, event in enumerate(events, 1)])
    return actors.settle(actor, steps, Verdict(rules=actor.rules), limit)


def test_events_are_numbered_in_the_order_of_arrival_and_kept_in_the_order_of_time() -> None:
    ada = after(Actor(), event("late", at=NOON), event("early", at=NOON - HOUR))
    assert [(kept.id, kept.n) for kept in ada.history] == [("early", 2), ("late", 1)]
    assert ada.count == 2


def test_a_repeated_event_is_one_event_within_a_batch_and_across() -> None:
    ada = after(Actor(), event("a"), event("a"))
    assert ada.count == 1
    steps, new = actors.accept(ada, [arrival(event("a"), 9)])
    assert (steps, new) == ([], [])


def test_a_repeat_of_an_event_that_fell_out_of_the_history_is_still_known() -> None:
    ada = after(Actor(), *(event(str(number), at=NOON + number) for number in range(5)), limit=3)
    assert [kept.id for kept in ada.history] == ["2", "3", "4"]
    assert actors.accept(ada, [arrival(event("0"), 9)]) == ([], [])


def test_only_so_many_forgotten_ids_are_known() -> None:
    ada = after(Actor(), *(event(str(number), at=NOON + number) for number in range(actors.FORGOTTEN + 2)), limit=1)
    assert len(ada.forgotten) == actors.FORGOTTEN
    steps, _ = actors.accept(ada, [arrival(event("0"), 9)])
    assert len(steps) == 1


def test_identify_changes_the_profile_and_a_null_removes() -> None:
    ada = after(Actor(), event("1", "identify", email="a@example.test", city="Graz"), event("2", "identify", city=None))
    assert ada.profile == {"email": "a@example.test"}


def test_a_timer_comes_before_an_event_at_the_same_instant_and_after_earlier_ones() -> None:
    steps, _ = actors.accept(Actor(), [arrival(event("a", at=NOON), 1), arrival(event("b", at=NOON + MINUTE), 2)])
    assert [step.event and step.event.id for step in actors.with_timer(steps, NOON + MINUTE)] == ["a", None, "b"]
    assert [step.event and step.event.id for step in actors.with_timer(steps, NOON)] == [None, "a", "b"]


def test_a_failed_verdict_keeps_the_events_and_leaves_the_rules() -> None:
    states = {"cart": RuleState(1, True, NOON, 0)}
    ada = Actor(rules=states)
    steps, _ = actors.accept(ada, [arrival(event("a"), 1)])
    settled = actors.settle(ada, steps, Verdict(error="broken"), 200)
    assert settled.rules == states
    assert settled.count == 1


def test_an_actor_survives_its_bytes() -> None:
    ada = after(Actor(rules={"cart": RuleState(2, True, NOON, 1, [("t", NOON)])}), event("a", price=9.5))
    same, encoded = actors.encode(ada)
    assert actors.decode(encoded) == same == ada


def test_an_actor_too_large_loses_its_oldest_events() -> None:
    big = [event(str(number), at=NOON + number, text="x" * 3000) for number in range(100)]
    kept, encoded = actors.encode(after(Actor(), *big))
    assert len(encoded) <= actors.MAX_BYTES
    assert kept.history[-1].id == "99"
    assert kept.history[0].id != "0"
    assert actors.accept(kept, [arrival(big[0], 200)]) == ([], [])


def test_a_timer_that_moves_later_stays_in_the_index_and_one_that_moves_earlier_moves() -> None:
    assert actors.next_due(stored=NOON + MINUTE, wake=NOON + HOUR, now=NOON) == NOON + MINUTE
    assert actors.next_due(stored=NOON + MINUTE, wake=None, now=NOON) == NOON + MINUTE
    assert actors.next_due(stored=NOON + HOUR, wake=NOON + MINUTE, now=NOON) == NOON + MINUTE
    assert actors.next_due(stored=None, wake=NOON + MINUTE, now=NOON) == NOON + MINUTE


def test_a_timer_that_has_come_due_is_replaced() -> None:
    assert actors.next_due(stored=NOON, wake=NOON + HOUR, now=NOON) == NOON + HOUR
    assert actors.next_due(stored=NOON, wake=None, now=NOON) is None


def test_a_trigger_carries_the_events_that_fired_it_also_those_of_the_same_batch() -> None:
    ada = after(Actor(), event("view", "product_viewed"))
    steps, _ = actors.accept(ada, [arrival(event("cart", "added_to_cart", at=NOON + 1), 2)])
    fire = Fire("t1", "rule", 3, NOON + 1, Terms(EmailAction("reminder")), because=[1, 2], expires=NOON + HOUR)
    trigger = actors.trigger("ada", fire, ada, steps, received=NOON)
    assert [because.id for because in trigger.because] == ["view", "cart"]
    assert (trigger.id, trigger.version, trigger.expires) == ("t1", 3, NOON + HOUR)
    assert (trigger.stamps.due, trigger.stamps.received) == (NOON + 1, NOON)


def test_fates_are_read_from_beckons_own_outcomes_only() -> None:
    trigger = Trigger("t1", "ada", "rule", 1, NOON, Terms(EmailAction("reminder")))
    suppressed = outcome("trigger_suppressed", trigger, NOON + 1, stage="throttle", reason="cap")
    forged = event("x", "email_sent", trigger_id="t2")
    opened = outcome("email_opened", trigger, NOON + 2)
    found = actors.fates([arrival(told, number) for number, told in enumerate([suppressed, forged, opened])])
    assert found == [Fate("t1", "trigger_suppressed", "cap", NOON + 1)]


def test_without_arrivals_there_are_no_steps() -> None:
    assert actors.accept(Actor(), []) == ([], [])
    assert actors.with_timer([], NOON) == [Step(NOON)]
