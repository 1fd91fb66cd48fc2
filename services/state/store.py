"""The state service's tables."""

import asyncio
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
from msgspec import Struct

from services.state.actor import Actor, Arrival, Fate, decode
from shared import db
from shared.bus import encode as encode_message
from shared.clock import Instant
from shared.errors import StartError
from shared.messages import Properties, Trigger

_FOLDER = Path(__file__).parent / "sql"
MIGRATIONS = _FOLDER / "migrations"
_SQL = db.queries(_FOLDER / "queries.sql")

BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""Settings of each session: whatever the service asks for is found by a key or an index, however small a table was when the
question was first planned."""

LEASE_S = 5.0

_json = msgspec.json.Encoder().encode


class Fenced(Exception):
    """The lease has gone to somebody else: nothing was written."""


class Claim(NamedTuple):
    """A partition held in ``epoch``, read up to ``checkpoint``, whose message was stored at ``checkpoint_time``."""

    id: int
    epoch: int
    checkpoint: int
    checkpoint_time: Instant | None


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


class Commit(Struct):
    """Everything one turn of the loop made."""

    positions: list[Position]
    actors: list[Saved] = []
    events: list[Arrival] = []
    triggers: list[tuple[int, Trigger]] = []
    fates: list[Fate] = []


class Store:
    """``owner`` is this process, in every lease it takes."""

    def __init__(self, pool: asyncpg.Pool, owner: str) -> None:
        self._pool = pool
        self.owner = owner

    async def prepare(self, partitions: int) -> None:
        """Make the partitions at the first start. Raises ``StartError`` if there is another number of them."""
        if (count := await self._pool.fetchval(_SQL["count_partitions"])) not in (0, partitions):
            raise StartError(f"PARTITIONS: the database was set up with {count}, not {partitions}; it cannot change")
        await self._pool.execute(_SQL["create_partitions"], partitions)

    async def warm(self, connections: int) -> None:
        """Have PostgreSQL plan the commit on that many connections, so that the first timer does not wait for it."""
        await asyncio.gather(*(self.commit(Commit([])) for _ in range(connections)))

    async def join(self) -> None:
        """Say that this process is alive and prolong what it holds."""
        await self._pool.execute(_SQL["join"], self.owner, LEASE_S)
        await self._pool.execute(_SQL["renew"], self.owner, LEASE_S)

    async def leave(self) -> None:
        await self._pool.execute(_SQL["leave"], self.owner)

    async def alive(self) -> Alive:
        row = await self._pool.fetchrow(_SQL["alive"])
        assert row is not None
        return Alive(row["now"], row["members"])

    async def leases(self) -> list[Lease]:
        return [Lease(*row) for row in await self._pool.fetch(_SQL["leases"])]

    async def claim(self, partitions: Collection[int]) -> list[Claim]:
        return [Claim(*row) for row in await self._pool.fetch(_SQL["claim"], self.owner, list(partitions), LEASE_S)]

    async def held(self, partitions: Collection[int]) -> list[Claim]:
        return [Claim(*row) for row in await self._pool.fetch(_SQL["held"], self.owner, list(partitions))]

    async def release(self, partitions: Collection[int]) -> None:
        await self._pool.execute(_SQL["release"], self.owner, list(partitions))

    async def load(self, people: Collection[tuple[int, str]]) -> dict[str, Loaded]:
        """The actors among ``people`` (partition, key) that exist."""
        partitions, keys = [partition for partition, _ in people], [key for _, key in people]
        rows = await self._pool.fetch(_SQL["load"], partitions, keys)
        return {row["person"]: Loaded(decode(row["remembered"]), row["due"]) for row in rows}

    async def due_between(
        self, partitions: Collection[int], start: Instant | None, end: Instant
    ) -> list[tuple[int, str, Instant]]:
        """Timers from ``start`` (or ever) until before ``end`` as (partition, person, due)."""
        rows = await self._pool.fetch(_SQL["due_between"], list(partitions), start, end)
        return [(row["partition"], row["person"], row["due"]) for row in rows]

    async def unpublished(self, partitions: Collection[int]) -> list[bytes]:
        return [row["message"] for row in await self._pool.fetch(_SQL["unpublished"], list(partitions))]

    async def published(self, triggers: Iterable[str]) -> None:
        await self._pool.execute(_SQL["published"], list(triggers))

    async def commit(self, commit: Commit) -> None:
        """All of it or nothing. Raises ``Fenced`` if any of its partitions is no longer held in its epoch."""
        try:
            await self._pool.execute(
                _SQL["commit"],
                self.owner,
                *_columns(commit.positions, 4),
                *_columns(commit.actors, 4),
                *_columns(map(_event_row, commit.events), 12),
                *_columns((_trigger_row(partition, trigger) for partition, trigger in commit.triggers), 7),
                *_columns(commit.fates, 4),
            )
        except asyncpg.PostgresError as error:
            if error.sqlstate == "BK001":
                raise Fenced(str(error)) from None
            raise


def _columns(rows: Iterable[tuple[object, ...]], width: int) -> list[list[object]]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]


def _event_row(arrival: Arrival) -> tuple[object, ...]:
    event, sequence, arrived = arrival
    return (
        event.person,
        event.id,
        event.name,
        event.timestamp,
        arrived,
        sequence,
        event.source,
        event.trusted,
        event.user_id,
        event.anonymous_id,
        _jsonb(event.properties),
        _jsonb(event.context),
    )


def _jsonb(properties: Properties) -> str:
    """JSON that ``jsonb`` takes: it knows no NUL (PostgreSQL, JSON types), and one value must not stop a whole commit."""
    return _json(properties).decode().replace("\\u0000", "\\ufffd")


def _trigger_row(partition: int, trigger: Trigger) -> tuple[object, ...]:
    return (
        trigger.id,
        partition,
        trigger.person,
        trigger.rule,
        trigger.version,
        trigger.at,
        encode_message(trigger),
    )
