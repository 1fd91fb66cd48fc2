"""A person's actor: what it remembers, and how it takes in what arrives and what the rules say to it. Pure."""

import hashlib
from collections.abc import Collection
from typing import NamedTuple, cast

import msgspec
from msgspec import Struct, structs

from services.state.memory import Memory, Remembered
from shared.clock import Instant
from shared.messages import HistoryEvent, Person, Properties, RuleState

FORGOTTEN = 64
"""How many ids of events that fell out of the history are still known, so that a late repeat is recognised."""
ALIASES = 100
"""How many earlier ids of a person are known. What was chosen or sent under one that is older is forgotten."""
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
    ``aliases``: the latest who turned out to be this one.
    """

    profile: Properties = {}
    history: list[Remembered] = []
    count: int = 0
    rules: dict[str, RuleState] = {}
    forgotten: list[int] = []
    shown: int = 0
    kept_for: int = 0
    into: str = ""
    aliases: list[str] = []

    def person(self, key: str) -> Person:
        return Person(key, self.profile, cast(list[HistoryEvent], self.history), self.count)

    @property
    def looked(self) -> Instant:
        """How far the rules have looked."""
        return max((state.at for state in self.rules.values()), default=0)

    def complete(self, memory: Memory) -> bool:
        """Whether nothing was forgotten that the rules in force need."""
        return not self.forgotten or self.kept_for >= memory.watched


def digest(event_id: str) -> int:
    return int.from_bytes(hashlib.blake2b(event_id.encode(), digest_size=8).digest(), "big")


_encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Actor).decode


class Fate(NamedTuple):
    """What became of a trigger, as its outcome event says."""

    trigger: str
    outcome: str
    reason: str | None
    at: Instant


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
    history = sorted(every.values(), key=order)
    whole = structs.replace(actor, history=history, kept_for=memory.revision)
    return tidy(whole, memory, limits)


def order(event: Remembered) -> tuple[Instant, int]:
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
