"""A person's actor: what it remembers, and how it takes in what arrives and what the rules say to it. Pure."""

import hashlib
from bisect import insort
from collections.abc import Collection
from typing import NamedTuple, cast

import msgspec
from msgspec import Raw, Struct, structs

from services.state.identity import Handover, Link, Message
from services.state.memory import Memory, Remembered
from shared import identity, profile
from shared.clock import Instant
from shared.identity import Tie
from shared.messages import OUTCOMES as OUTCOME_NAMES
from shared.messages import (
    Case,
    Event,
    Fire,
    HistoryEvent,
    Joined,
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
TIDY_EVERY = 16
"""Events of a person between two looks at what need not be remembered any longer."""


class Limits(NamedTuple):
    """``recent``: so many latest events are kept whatever they are. ``history``: more are not kept, needed or not."""

    recent: int
    history: int


class Actor(Struct, frozen=True, array_like=True, gc=False):
    """Replaced, never changed: what was not committed never was.

    ``history`` is ordered by (timestamp, n); ``count`` is the highest ``n`` given out, ``shown`` the highest the rules were
    shown. ``kept_for``: the revision of the ``Interest`` for which the history holds everything that is needed; of no
    meaning as long as nothing was ``forgotten``. ``into``: who this turned out to be; then nothing else is left here.
    """

    profile: Properties = {}
    history: list[Remembered] = []
    count: int = 0
    rules: dict[str, RuleState] = {}
    forgotten: list[int] = []
    shown: int = 0
    kept_for: int = 0
    into: str = ""

    def person(self, key: str) -> Person:
        return Person(key, self.profile, cast(list[HistoryEvent], self.history), self.count)

    @property
    def looked(self) -> Instant:
        """How far the rules have looked."""
        return max((state.at for state in self.rules.values()), default=0)

    def complete(self, memory: Memory) -> bool:
        """Whether nothing was forgotten that the rules in force need."""
        return not self.forgotten or self.kept_for >= memory.watched


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Actor).decode


class Arrival(NamedTuple):
    """A message as it stands in the stream."""

    message: Message
    sequence: int
    arrived: Instant


class Stored(NamedTuple):
    """An event new to its person, the ``n``-th."""

    event: Event
    sequence: int
    arrived: Instant
    n: int


class Absorbed(NamedTuple):
    """All events of ``source`` are ``person``'s too, theirs numbered on from ``offset``."""

    source: str
    person: str
    offset: int
    arrived: Instant


class Fate(NamedTuple):
    """What became of a trigger, as its outcome event says."""

    trigger: str
    outcome: str
    reason: str | None
    at: Instant


class Accepted(Struct):
    """What arrivals mean for a person, before any rule has looked.

    ``forwarded``: what is to be published to whom this person turned out to be, ``into``. ``left``: the link that says so,
    if it is new. ``received``: when the tracker took the event of each step, by the step's instant.
    """

    steps: list[Step] = []
    stored: list[Stored] = []
    ties: list[Tie] = []
    absorbed: list[Absorbed] = []
    forwarded: list[Message] = []
    left: Link | None = None
    into: str = ""
    count: int = 0
    forgotten: list[int] = []
    received: dict[Instant, Instant] = {}

    @property
    def events(self) -> list[Remembered]:
        """All that the steps bring."""
        found: list[HistoryEvent] = []
        for step in self.steps:
            if step.event is not None:
                found.append(step.event)
            elif step.joined is not None:
                found += step.joined.history
        return cast(list[Remembered], found)


Known = set[str | int]
"""Ids of events, and digests of ids."""


def digest(event_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "big")


def accept(actor: Actor, key: str, arrivals: Collection[Arrival]) -> Accepted:
    """Steps for what the person has not had before, in the order of arrival; what is somebody else's now is forwarded."""
    accepted = Accepted(into=actor.into, count=actor.count, forgotten=actor.forgotten)
    known: Known = {event.id for event in actor.history} if arrivals and not actor.into else set()
    known.update(actor.forgotten)
    for arrival in arrivals:
        message = arrival.message
        if accepted.into:
            if isinstance(message, Link):
                accepted.into = message.into
            else:
                accepted.forwarded.append(structs.replace(message, person=accepted.into))
        elif isinstance(message, Event):
            _accept_event(accepted, key, message, arrival, known)
        elif isinstance(message, Handover):
            _accept_handover(accepted, message, arrival, known)
        elif message.into != key:
            accepted.left, accepted.into = message, message.into
            accepted.steps.append(Step(arrival.arrived))
    return accepted


def _accept_event(accepted: Accepted, key: str, event: Event, arrival: Arrival, known: Known) -> None:
    if event.id in known or (accepted.forgotten and digest(event.id) in known):
        return
    known.add(event.id)
    accepted.count += 1
    n, arrived = accepted.count, arrival.arrived
    properties = Raw(_encode(event.properties))
    remembered = Remembered(n, event.id, event.name, event.timestamp, arrived, properties, event.trusted, event.source)
    accepted.steps.append(Step(arrived, cast(HistoryEvent, remembered)))
    accepted.stored.append(Stored(event, arrival.sequence, arrived, n))
    accepted.received[arrived] = event.received
    if (tie := identity.tie(event, key)) is not None:
        accepted.ties.append(tie)


def _accept_handover(accepted: Accepted, handover: Handover, arrival: Arrival, known: Known) -> None:
    """The other's events come in their order, numbered on; one that both had is one."""
    mark = digest(handover.id)
    if mark in known:
        return
    offset, arrived = accepted.count, arrival.arrived
    history = [
        structs.replace(event, n=offset + event.n, arrived=arrived)
        for event in handover.history
        if event.id not in known and not (accepted.forgotten and digest(event.id) in known)
    ]
    known.update(event.id for event in history)
    known.update((*handover.forgotten, mark))
    accepted.count += handover.count
    accepted.forgotten = [*accepted.forgotten, *handover.forgotten, mark][-FORGOTTEN:]
    joined = Joined(handover.profile, cast(list[HistoryEvent], history), handover.rules)
    accepted.steps.append(Step(arrived, joined=joined))
    accepted.absorbed.append(Absorbed(handover.source, handover.person, offset, arrived))


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
            insort(history, event, key=_order)
    judged = verdict is not None and not verdict.error
    settled = structs.replace(
        actor,
        profile=attributes,
        history=history,
        count=accepted.count,
        rules=verdict.rules if verdict is not None and judged else actor.rules,
        forgotten=accepted.forgotten,
        shown=accepted.count if judged and events else actor.shown,
    )
    if accepted.count // TIDY_EVERY != actor.count // TIDY_EVERY:
        settled = tidy(settled, memory, limits)
    return settled


def tidy(actor: Actor, memory: Memory, limits: Limits) -> Actor:
    """Without what need not be remembered any longer, if there is anything."""
    if len(actor.history) <= limits.recent:
        return actor
    wanted = {event.n for event in memory.needed(actor.history, actor.looked)}
    old = actor.history[: -limits.recent]
    kept = [event for event in old if event.n in wanted] + actor.history[-limits.recent :]
    return _without(actor, kept[max(0, len(kept) - limits.history) :], memory)


def _without(actor: Actor, kept: list[Remembered], memory: Memory) -> Actor:
    staying = {event.n for event in kept}
    leaving = [digest(event.id) for event in actor.history if event.n not in staying]
    if not leaving:
        return actor
    kept_for = memory.revision if actor.complete(memory) else actor.kept_for
    forgotten = [*actor.forgotten, *leaving][-FORGOTTEN:]
    return structs.replace(actor, history=kept, forgotten=forgotten, kept_for=kept_for)


def refilled(actor: Actor, recorded: Collection[Remembered], memory: Memory, limits: Limits) -> Actor:
    """The actor with everything the rules in force need, from all that is recorded of the person."""
    every = {event.n: event for event in recorded} | {event.n: event for event in actor.history}
    history = sorted(every.values(), key=_order)
    whole = structs.replace(actor, history=history, kept_for=memory.revision)
    return tidy(whole, memory, limits)


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
    )


def gone(actor: Actor, into: str) -> Actor:
    """What is left of a person that turned out to be ``into``."""
    return Actor(count=actor.count, into=into)


def _properties(event: HistoryEvent) -> Properties:
    encoded: object = event.properties
    return _decode_properties(encoded) if isinstance(encoded, Raw) else event.properties


_decode_properties = msgspec.msgpack.Decoder(Properties).decode


def _order(event: Remembered) -> tuple[Instant, int]:
    return event.timestamp, event.n


def encode(actor: Actor, memory: Memory) -> tuple[Actor, bytes]:
    """The actor's bytes; of one too large, without its oldest events."""
    encoded = _encode(actor)
    while len(encoded) > MAX_BYTES and actor.history:
        actor = _without(actor, actor.history[max(1, len(actor.history) // 4) :], memory)
        encoded = _encode(actor)
    return actor, encoded


def next_due(stored: Instant | None, wake: Instant | None, now: Instant) -> Instant | None:
    """What to keep in the index. A timer that moved later stays where it is: waking early costs one evaluation, moving
    it on each event costs an index write each."""
    if stored is not None and stored > now and (wake is None or stored <= wake):
        return stored
    return wake


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
        because=cast(list[HistoryEvent], sorted(because, key=_order)),
        timer=fire.timer,
        expires=fire.expires,
        stamps=Stamps(due=fire.at, received=received),
    )


def fates(stored: Collection[Stored]) -> list[Fate]:
    """What the outcomes among these events say about earlier triggers."""
    found = []
    for event, *_ in stored:
        told = event.properties.get("trigger_id")
        if event.source == "beckon" and event.name in FATES and isinstance(told, str):
            reason = event.properties.get("reason")
            found.append(Fate(told, event.name, reason if isinstance(reason, str) else None, event.timestamp))
    return found


FATES = OUTCOME_NAMES - {"email_opened", "email_clicked", "email_bounced", "email_complained", "email_unsubscribed"}
"""The outcomes that end a trigger; the others happen to a mail that was sent."""
