"""An actor takes in events once, in order, and forgets in a bounded way."""

import msgspec

from services.state import acceptance, settling
from services.state import actor as actors
from services.state.acceptance import Absorbed, Accepted, Arrival
from services.state.actor import Actor, Limits
from services.state.identity import Handover, Link
from services.state.memory import Memory
from services.state.settling import Fate
from shared.clock import HOUR, MINUTE, SECOND
from shared.messages import EmailAction, Event, Fire, Interest, Need, RuleState, Step, Terms, Trigger, Verdict
from shared.outcomes import outcome

NOON = 1_700_000_000 * SECOND
EVERYTHING_NEEDED = Memory()
NOTHING_NEEDED = Memory(Interest(3, 3, []), margin=0)


def event(id_: str, name: str = "page_viewed", at: int = NOON, **properties: object) -> Event:
    return Event(id=id_, person="ada", name=name, timestamp=at, received=at, properties=properties)


def arrival(message: Event | Link | Handover, sequence: int, arrived: int | None = None) -> Arrival:
    when = message.timestamp if isinstance(message, Event) else NOON
    return Arrival(message, sequence, when if arrived is None else arrived)


def accept(actor: Actor, *messages: Event | Link | Handover, key: str = "ada") -> Accepted:
    return acceptance.accept(actor, key, [arrival(message, number) for number, message in enumerate(messages, 1)])


def after(
    actor: Actor, *messages: Event | Link | Handover, memory: Memory = EVERYTHING_NEEDED, recent: int = 200
) -> Actor:
    accepted = accept(actor, *messages)
    settled = settling.settle(actor, accepted, Verdict(rules=actor.rules), memory, Limits(recent, 200))
    return actors.tidy(settled, memory, Limits(recent, 200))


def test_events_are_numbered_in_the_order_of_arrival_and_kept_in_the_order_of_time() -> None:
    ada = after(Actor(), event("late", at=NOON), event("early", at=NOON - HOUR))
    assert [(kept.id, kept.n) for kept in ada.history] == [("early", 2), ("late", 1)]
    assert ada.count == 2


def test_a_repeated_event_is_one_event_within_a_batch_and_across() -> None:
    ada = after(Actor(), event("a"), event("a"))
    assert ada.count == 1
    again = accept(ada, event("a"))
    assert (again.steps, again.stored) == ([], [])


def test_a_repeat_of_an_event_that_fell_out_of_the_history_is_still_known() -> None:
    ada = after(
        Actor(), *(event(str(number), at=NOON + number) for number in range(5)), memory=NOTHING_NEEDED, recent=3
    )
    assert [kept.id for kept in ada.history] == ["2", "3", "4"]
    assert accept(ada, event("0")).steps == []


def test_only_so_many_forgotten_ids_are_known() -> None:
    many = [event(str(number), at=NOON + number) for number in range(actors.FORGOTTEN + 2)]
    ada = after(Actor(), *many, memory=NOTHING_NEEDED, recent=1)
    assert len(ada.forgotten) == actors.FORGOTTEN
    assert len(accept(ada, event("0")).steps) == 1


def test_identify_changes_the_profile_and_a_null_removes() -> None:
    ada = after(Actor(), event("1", "identify", email="a@example.test", city="Graz"), event("2", "identify", city=None))
    assert ada.profile == {"email": "a@example.test"}


def test_a_timer_comes_before_an_event_at_the_same_instant_and_after_earlier_ones() -> None:
    steps = accept(Actor(), event("a", at=NOON), event("b", at=NOON + MINUTE)).steps
    assert [step.event and step.event.id for step in settling.with_timer(steps, NOON + MINUTE)] == ["a", None, "b"]
    assert [step.event and step.event.id for step in settling.with_timer(steps, NOON)] == [None, "a", "b"]


def test_a_failed_verdict_keeps_the_events_and_leaves_the_rules() -> None:
    states = {"cart": RuleState(1, True, NOON, 0)}
    ada = Actor(rules=states)
    settled = settling.settle(ada, accept(ada, event("a")), Verdict(error="broken"), Memory(), Limits(50, 200))
    assert settled.rules == states
    assert (settled.count, settled.shown) == (1, 0), "the rules will be shown it again"


def test_an_actor_survives_its_bytes() -> None:
    ada = after(Actor(rules={"cart": RuleState(2, True, NOON, 1, [("t", NOON)])}), event("a", price=9.5))
    same, encoded = actors.encode(ada, Memory())
    assert same == ada
    assert actors.encode(actors.decode(encoded), Memory())[1] == encoded


def test_an_actor_too_large_loses_its_oldest_events() -> None:
    big = [event(str(number), at=NOON + number, text="x" * 3000) for number in range(100)]
    kept, encoded = actors.encode(after(Actor(), *big), Memory())
    assert len(encoded) <= actors.MAX_BYTES
    assert kept.history[-1].id == "99"
    assert kept.history[0].id != "0"
    assert accept(kept, big[0]).steps == []


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
    cart = msgspec.structs.replace(event("cart", "added_to_cart", at=NOON + 1), received=NOON)
    fire = Fire("t1", "rule", 3, NOON + 1, Terms(EmailAction("reminder")), because=[1, 2], expires=NOON + HOUR)
    trigger = settling.trigger("ada", fire, ada, accept(ada, cart))
    assert [because.id for because in trigger.because] == ["view", "cart"]
    assert (trigger.id, trigger.version, trigger.expires) == ("t1", 3, NOON + HOUR)
    assert (trigger.stamps.due, trigger.stamps.received) == (NOON + 1, NOON)


def test_fates_are_read_from_beckons_own_outcomes_only() -> None:
    trigger = Trigger("t1", "ada", "rule", 1, NOON, Terms(EmailAction("reminder")))
    suppressed = outcome("trigger_suppressed", trigger, NOON + 1, stage="throttle", reason="cap")
    forged = event("x", "email_sent", trigger_id="t2")
    opened = outcome("email_opened", trigger, NOON + 2)
    beside = outcome("webhook_failed", trigger, NOON + 3, beside_mail=True)
    found = settling.fates(accept(Actor(), suppressed, forged, opened, beside).stored)
    assert found == [Fate("t1", "trigger_suppressed", "cap", NOON + 1)]


def test_without_arrivals_there_are_no_steps() -> None:
    assert accept(Actor()) == Accepted()
    assert settling.with_timer([], NOON) == [Step(NOON)]


# --- What need not be remembered --------------------------------------------------------------------------------------


def test_what_a_rule_needs_stays_however_long_the_history_grows() -> None:
    memory = Memory(Interest(3, 3, [Need("added_to_cart", last=1)]), margin=0)
    visits = [event(f"v{number}", at=NOON + MINUTE + number) for number in range(100)]
    ada = after(Actor(), event("old", "added_to_cart"), event("new", "added_to_cart", at=NOON + 1), memory=memory)
    states = {"cart": RuleState(1, True, NOON + HOUR, 2)}
    ada = after(msgspec.structs.replace(ada, rules=states), *visits, memory=memory, recent=10)
    assert [kept.id for kept in ada.history] == ["new", *(f"v{number}" for number in range(90, 100))]
    assert ada.kept_for == 3


def test_looking_for_what_may_go_is_left_for_every_few_events() -> None:
    def grown(events: int) -> Actor:
        messages = [event(f"v{number}", at=NOON + number) for number in range(events)]
        return settling.settle(Actor(), accept(Actor(), *messages), None, NOTHING_NEEDED, Limits(4, 200))

    assert len(grown(actors.TIDY_EVERY - 1).history) == actors.TIDY_EVERY - 1
    assert len(grown(actors.TIDY_EVERY).history) == 4


def test_a_history_forgotten_under_other_rules_is_completed_from_the_record() -> None:
    ada = after(
        Actor(), *(event(str(number), at=NOON + number) for number in range(8)), memory=NOTHING_NEEDED, recent=2
    )
    wider = Memory(Interest(7, 7, [Need("page_viewed", last=4)]), margin=0)
    assert ada.complete(NOTHING_NEEDED)
    assert not ada.complete(wider)
    recorded = after(Actor(), *(event(str(number), at=NOON + number) for number in range(8))).history
    looked = msgspec.structs.replace(ada, rules={"r": RuleState(1, True, NOON + HOUR, 8)})
    whole = actors.refilled(looked, recorded, wider, Limits(2, 200))
    assert [kept.id for kept in whole.history] == ["4", "5", "6", "7"]
    assert whole.complete(wider)


def test_rules_that_no_event_concerns_are_not_asked() -> None:
    memory = Memory(Interest(1, 1, [Need("added_to_cart", last=1)]))
    assert not settling.matter(accept(Actor(), event("a", "page_viewed")).steps, memory)
    assert settling.matter(accept(Actor(), event("a", "added_to_cart")).steps, memory)
    assert settling.matter([Step(NOON)], memory), "a timer always is"
    assert settling.matter(accept(Actor(), event("a", "page_viewed")).steps, Memory()), "as long as nothing is known"


# --- Two that turn out to be one --------------------------------------------------------------------------------------

LINK = Link("link:1", "visitor", "ada")


def leaves(actor: Actor, *messages: Event | Link | Handover) -> tuple[Actor, Handover, Accepted]:
    accepted = accept(actor, *messages, key="visitor")
    settled = settling.settle(actor, accepted, Verdict(rules=actor.rules), Memory(), Limits(50, 200))
    assert accepted.left is not None
    return settling.gone(settled, accepted.into), settling.hand_over(settled, "visitor", accepted.left), accepted


def test_a_visitor_who_signs_in_hands_over_everything_and_forwards_the_rest() -> None:
    states = {"cart": RuleState(1, True, NOON, 1, [("t", NOON)])}
    seen = Actor(profile={"size": "M"}, rules=states)
    left, handover, accepted = leaves(seen, event("before"), LINK, event("behind"))
    assert (left.into, left.history, left.rules, left.profile) == ("ada", [], {}, {})
    assert (handover.person, handover.source, handover.profile, handover.count) == ("ada", "visitor", {"size": "M"}, 1)
    assert [kept.id for kept in handover.history] == ["before"]
    assert handover.rules == states
    assert [(message.id, message.person) for message in accepted.forwarded] == [("behind", "ada")]
    assert [step.event and step.event.id for step in accepted.steps] == ["before", None], "time passes up to the link"
    later = accept(left, event("much later"), key="visitor")
    assert [message.person for message in later.forwarded] == ["ada"]
    assert (later.steps, later.stored) == ([], [])


def test_what_is_handed_over_is_numbered_on_and_what_both_had_is_one() -> None:
    _, handover, _ = leaves(Actor(), event("a", at=NOON - HOUR), event("both"), LINK)
    ada = after(Actor(profile={"size": "L"}), event("own"), event("both"))
    accepted = accept(ada, handover)
    joined = after(ada, handover)
    assert [(kept.id, kept.n) for kept in joined.history] == [("a", 3), ("own", 1), ("both", 2)]
    assert joined.count == 4
    assert joined.profile == {"size": "L"}, "the known person's own goes first"
    assert accepted.absorbed == [Absorbed("visitor", "ada", 2, NOON)]
    assert accept(joined, handover).steps == [], "handed over twice is handed over once"


def test_a_person_is_known_under_every_earlier_id_and_so_are_their_triggers() -> None:
    visitor = after(Actor(), Handover("link:0.handover", "visitor", "earlier", aliases=["earliest"]))
    _, handover, _ = leaves(visitor, LINK)
    assert handover.aliases == ["earliest", "earlier"]
    ada = after(Actor(), handover)
    assert ada.aliases == ["earliest", "earlier", "visitor"]
    cart = event("c", "added_to_cart")
    fire = Fire("t1", "cart", 1, NOON, Terms(EmailAction("t")), because=[1])
    assert settling.trigger("ada", fire, ada, accept(ada, cart)).aliases == ada.aliases
    late = Handover("link:9.handover", "ada", "late")
    assert settling.trigger("ada", fire, ada, accept(ada, late)).aliases == [*ada.aliases, "late"], "of the same turn"
    many = after(ada, *(Handover(f"link:{n}.handover", "ada", f"cart:{n}") for n in range(10, 200)))
    assert many.aliases == [f"cart:{n}" for n in range(100, 200)], "the latest"


def test_a_device_that_is_shared_forwards_to_whoever_signed_in_last() -> None:
    left, _, _ = leaves(Actor(), LINK)
    accepted = accept(left, event("a"), Link("link:2", "visitor", "bob"), event("b"), key="visitor")
    assert [(message.id, message.person) for message in accepted.forwarded] == [("a", "ada"), ("b", "bob")]
    assert (accepted.left, accepted.into) == (None, "bob")


def test_what_is_handed_over_to_somebody_who_left_goes_on() -> None:
    handover = Handover("link:0.handover", "visitor", "earlier", count=3)
    left, _, _ = leaves(Actor(), LINK)
    (message,) = accept(left, handover, key="visitor").forwarded
    assert message == msgspec.structs.replace(handover, person="ada")
