"""What becomes of a person's actor once the rules have looked, and what leaves. Pure."""

from bisect import insort
from collections.abc import Collection
from typing import NamedTuple, cast

import msgspec
from msgspec import Raw, structs

from services.state.acceptance import Accepted, Stored
from services.state.actor import ALIASES, TIDY_EVERY, Actor, Limits, order, tidy
from services.state.identity import Handover, Link
from services.state.memory import Memory
from shared import profile
from shared.clock import Instant
from shared.messages import Case, Fire, HistoryEvent, Person, Properties, Stamps, Step, Trigger, Verdict
from shared.outcomes import AFTER_SENDING, beside_mail
from shared.outcomes import OUTCOMES as OUTCOME_NAMES


class Fate(NamedTuple):
    """What became of a trigger, as its outcome event says."""

    trigger: str
    outcome: str
    reason: str | None
    at: Instant


def with_timer(steps: list[Step], now: Instant) -> list[Step]:
    """The steps with a timer at ``now`` among them; at the very instant of an event it comes first."""
    before = [step for step in steps if step.at < now]
    return [*before, Step(now), *steps[len(before) :]]


def matter(steps: Collection[Step], memory: Memory) -> bool:
    """Whether any of the steps can change what a rule says."""
    return any(step.event is None or memory.concerns(step.event.name) for step in steps)


def case(actor: Actor, key: str, steps: list[Step], memory: Memory) -> Case:
    """What the rules are asked. Of the history they see what they need."""
    history = cast(list[HistoryEvent], memory.needed(actor.history, actor.looked))
    return Case(Person(key, actor.profile, history, actor.shown), actor.rules, steps)


def settle(actor: Actor, accepted: Accepted, verdict: Verdict | None, memory: Memory, limits: Limits) -> Actor:
    """The actor after all that was accepted, as the verdict says. Without a verdict, or with one that failed, the rules
    stay as they were."""
    attributes = actor.profile
    history = actor.history
    for step in accepted.steps:
        if step.event is not None and step.event.name == "identify":
            attributes = profile.merge(attributes, _properties(step.event))
        elif step.joined is not None:
            attributes = {**step.joined.profile, **attributes}
    if events := accepted.events:
        history = list(history)
        for event in events:
            insort(history, event, key=order)
    judged = verdict is not None and not verdict.error
    settled = structs.replace(
        actor,
        profile=attributes,
        history=history,
        count=accepted.count,
        rules=verdict.rules if verdict is not None and judged else actor.rules,
        forgotten=accepted.forgotten,
        shown=accepted.count if judged and events else actor.shown,
        aliases=_known_as(actor, accepted),
    )
    if accepted.count // TIDY_EVERY != actor.count // TIDY_EVERY:
        settled = tidy(settled, memory, limits)
    return settled


def hand_over(actor: Actor, key: str, link: Link) -> Handover:
    """What the person that ``key`` turned out to be gets."""
    return Handover(
        id=f"{link.id}.handover",
        person=link.into,
        source=key,
        profile=actor.profile,
        history=actor.history,
        count=actor.count,
        rules=actor.rules,
        forgotten=actor.forgotten,
        aliases=actor.aliases,
    )


def _known_as(actor: Actor, accepted: Accepted) -> list[str]:
    """Each once, the latest last."""
    return list(dict.fromkeys([*actor.aliases, *accepted.aliases]))[-ALIASES:]


def gone(actor: Actor, into: str) -> Actor:
    """What is left of a person that turned out to be ``into``."""
    return Actor(count=actor.count, into=into)


def _properties(event: HistoryEvent) -> Properties:
    encoded: object = event.properties
    return _decode_properties(encoded) if isinstance(encoded, Raw) else event.properties


_decode_properties = msgspec.msgpack.Decoder(Properties).decode


def trigger(key: str, fire: Fire, before: Actor, accepted: Accepted) -> Trigger:
    """What leaves when a rule fires. Stamped with when the tracker took the event that fired it, 0 for a timer."""
    wanted = set(fire.because)
    because = [event for event in (*before.history, *accepted.events) if event.n in wanted]
    received = 0 if fire.timer else accepted.received.get(fire.at, 0)
    return Trigger(
        id=fire.trigger,
        person=key,
        rule=fire.rule,
        version=fire.version,
        at=fire.at,
        terms=fire.terms,
        because=cast(list[HistoryEvent], sorted(because, key=order)),
        timer=fire.timer,
        expires=fire.expires,
        aliases=_known_as(before, accepted),
        stamps=Stamps(due=fire.at, received=received),
    )


def fates(stored: Collection[Stored]) -> list[Fate]:
    """What the outcomes among these events say about earlier triggers."""
    found = []
    for event, *_ in stored:
        told = event.properties.get("trigger_id")
        if event.source == "beckon" and event.name in FATES and isinstance(told, str) and not beside_mail(event):
            reason = event.properties.get("reason")
            found.append(Fate(told, event.name, reason if isinstance(reason, str) else None, event.timestamp))
    return found


FATES = OUTCOME_NAMES - AFTER_SENDING
"""The outcomes that end a trigger, unless they are told beside a mail; the others happen to a mail that was sent."""
