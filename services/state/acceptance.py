"""How a person's actor takes in what arrives, before any rule has looked. Pure."""

from collections.abc import Collection
from typing import NamedTuple, cast

import msgspec
from msgspec import Raw, Struct, structs

from services.state.actor import FORGOTTEN, Actor, digest
from services.state.identity import Handover, Link, Message
from services.state.memory import Remembered
from shared import identity
from shared.clock import Instant
from shared.identity import Tie
from shared.messages import Event, HistoryEvent, Joined, Step


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


class Accepted(Struct):
    """What arrivals mean for a person, before any rule has looked.

    ``forwarded``: what is to be published to whom this person turned out to be, ``into``. ``left``: the link that says so,
    if it is new. ``received``: when the tracker took the event of each step, by the step's instant. ``aliases``: who turned out
    to be this person.
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
    aliases: list[str] = []

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


_encode = msgspec.msgpack.Encoder().encode


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
    accepted.aliases += [*handover.aliases, handover.source]
    accepted.absorbed.append(Absorbed(handover.source, handover.person, offset, arrived))
