"""What is read from the state service's tables and written to them. Pure."""

from datetime import datetime
from typing import NamedTuple

from msgspec import Struct

from services.state.acceptance import Absorbed, Stored
from services.state.actor import Actor
from services.state.settling import Fate
from shared.clock import Instant
from shared.identity import Tie
from shared.messages import Trigger


class Fenced(Exception):
    """The lease has gone to somebody else: nothing was written."""


class Claim(NamedTuple):
    """A partition held in ``epoch``, read up to ``checkpoint``, whose message was stored at ``checkpoint_time``. ``swept``:
    the revision of the rules for which somebody began to go through its people."""

    id: int
    epoch: int
    checkpoint: int
    checkpoint_time: Instant | None
    swept: int | None = None


class Lease(NamedTuple):
    id: int
    owner: str | None
    expired: bool
    left_s: float


class Alive(NamedTuple):
    now: Instant
    members: list[str]


class Position(NamedTuple):
    id: int
    epoch: int
    checkpoint: int
    time: Instant | None


class Saved(NamedTuple):
    partition: int
    person: str
    remembered: bytes
    due: Instant | None


class Loaded(NamedTuple):
    actor: Actor
    due: Instant | None


class Linked(NamedTuple):
    """What a tie came to: ``previous`` gives way to ``person``, if it was not refused."""

    id: int
    previous: str
    person: str
    refused: bool = False


class Commit(Struct):
    """Everything one turn of the loop made."""

    positions: list[Position]
    actors: list[Saved] = []
    events: list[Stored] = []
    triggers: list[tuple[int, Trigger]] = []
    fates: list[Fate] = []
    absorbed: list[Absorbed] = []
    ties: list[tuple[int, Tie]] = []


class Swept(NamedTuple):
    """How far a partition was gone through for a revision: up to and including ``person``."""

    revision: int
    person: str
    done: bool


class Following(NamedTuple):
    """Somebody met on a sweep, as committed ``at``."""

    person: str
    actor: Actor
    due: Instant | None
    at: datetime


class Rearm(Struct):
    """What a sweep found: ``dues`` of people as they were at ``seen_at``."""

    partition: int
    epoch: int
    revision: int
    at_person: str
    seen: int
    done: bool
    people: list[str] = []
    dues: list[Instant | None] = []
    seen_at: list[datetime] = []
