"""A person's actor: what it remembers, and how it takes in events and verdicts. Pure."""

import hashlib
from bisect import insort
from collections.abc import Collection
from typing import NamedTuple

import msgspec
from msgspec import Struct

from shared import profile
from shared.clock import Instant
from shared.messages import OUTCOMES as OUTCOME_NAMES
from shared.messages import (
    Case,
    Event,
    Fire,
    HistoryEvent,
    Person,
    Properties,
    RuleState,
    Stamps,
    Step,
    Trigger,
    Verdict,
)

FORGOTTEN = 64
"""How many ids of events that fell out of the history are still known, so that a late repeat is recognised."""
MAX_BYTES = 192 * 1024
"""A person's memory stays well below what one request carries; the oldest events go first."""


class Actor(Struct, frozen=True, array_like=True, gc=False):
    """``history`` is ordered by (timestamp, n). Replaced, never changed: what was not committed never was."""

    profile: Properties = {}
    history: list[HistoryEvent] = []
    count: int = 0
    rules: dict[str, RuleState] = {}
    forgotten: list[int] = []

    def person(self, key: str) -> Person:
        return Person(key, self.profile, self.history, self.count)


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Actor).decode


class Arrival(NamedTuple):
    """An event as it stands in the stream."""

    event: Event
    sequence: int
    arrived: Instant


class Fate(NamedTuple):
    """What became of a trigger, as its outcome event says."""

    trigger: str
    outcome: str
    reason: str | None
    at: Instant


def _digest(event_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "big")


def accept(actor: Actor, arrivals: Collection[Arrival]) -> tuple[list[Step], list[Arrival]]:
    """Steps for the events the person has not had before, numbered in the order of arrival, and those events."""
    if not arrivals:
        return [], []
    known = {event.id for event in actor.history}
    forgotten = set(actor.forgotten)
    steps: list[Step] = []
    new: list[Arrival] = []
    n = actor.count
    for arrival in arrivals:
        event = arrival.event
        if event.id in known or (forgotten and _digest(event.id) in forgotten):
            continue
        known.add(event.id)
        n += 1
        remembered = HistoryEvent(
            n, event.id, event.name, event.timestamp, arrival.arrived, event.properties, event.trusted
        )
        steps.append(Step(arrival.arrived, remembered))
        new.append(arrival)
    return steps, new


def with_timer(steps: list[Step], now: Instant) -> list[Step]:
    """The steps with a timer at ``now`` among them; at the very instant of an event it comes first."""
    before = [step for step in steps if step.at < now]
    return [*before, Step(now), *steps[len(before) :]]


def case(actor: Actor, key: str, steps: list[Step]) -> Case:
    return Case(actor.person(key), actor.rules, steps)


def settle(actor: Actor, steps: list[Step], verdict: Verdict, limit: int) -> Actor:
    """The actor after ``steps``, as the verdict says. A verdict that failed leaves the rules as they were."""
    attributes = actor.profile
    history = list(actor.history)
    count = actor.count
    for step in steps:
        if (event := step.event) is None:
            continue
        insort(history, event, key=_order)
        count = event.n
        if event.name == "identify":
            attributes = profile.merge(attributes, event.properties)
    forgotten = actor.forgotten
    if excess := max(0, len(history) - limit):
        forgotten = [*forgotten, *(_digest(event.id) for event in history[:excess])][-FORGOTTEN:]
        del history[:excess]
    rules = actor.rules if verdict.error else verdict.rules
    return Actor(attributes, history, count, rules, forgotten)


def _order(event: HistoryEvent) -> tuple[Instant, int]:
    return event.timestamp, event.n


def encode(actor: Actor) -> tuple[Actor, bytes]:
    """The actor's bytes; of one too large, without its oldest events."""
    encoded = _encode(actor)
    while len(encoded) > MAX_BYTES and actor.history:
        gone = max(1, len(actor.history) // 4)
        forgotten = [*actor.forgotten, *(_digest(event.id) for event in actor.history[:gone])][-FORGOTTEN:]
        actor = Actor(actor.profile, actor.history[gone:], actor.count, actor.rules, forgotten)
        encoded = _encode(actor)
    return actor, encoded


def next_due(stored: Instant | None, wake: Instant | None, now: Instant) -> Instant | None:
    """What to keep in the index. A timer that moved later stays where it is: waking early costs one evaluation, moving
    it on each event costs an index write each."""
    if stored is not None and stored > now and (wake is None or stored <= wake):
        return stored
    return wake


def trigger(key: str, fire: Fire, actor: Actor, steps: list[Step], received: Instant) -> Trigger:
    """What leaves when a rule fires. ``received``: when the tracker took the event that fired it, 0 for a timer."""
    wanted = set(fire.because)
    fresh = [step.event for step in steps if step.event is not None and step.event.n in wanted]
    because = sorted([*(event for event in actor.history if event.n in wanted), *fresh], key=_order)
    return Trigger(
        id=fire.trigger,
        person=key,
        rule=fire.rule,
        version=fire.version,
        at=fire.at,
        terms=fire.terms,
        because=because,
        timer=fire.timer,
        expires=fire.expires,
        stamps=Stamps(due=fire.at, received=received),
    )


def fates(arrivals: Collection[Arrival]) -> list[Fate]:
    """What the outcomes among these events say about earlier triggers."""
    found = []
    for event, _, _ in arrivals:
        told = event.properties.get("trigger_id")
        if event.source == "beckon" and event.name in FATES and isinstance(told, str):
            reason = event.properties.get("reason")
            found.append(Fate(told, event.name, reason if isinstance(reason, str) else None, event.timestamp))
    return found


FATES = OUTCOME_NAMES - {"email_opened", "email_clicked", "email_bounced", "email_complained", "email_unsubscribed"}
"""The outcomes that end a trigger; the others happen to a mail that was sent."""
