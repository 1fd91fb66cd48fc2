"""The state service's tables."""

import asyncio
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from msgspec import Raw

from services.state.acceptance import Stored
from services.state.actor import decode
from services.state.memory import Remembered
from services.state.rows import (
    Alive,
    Claim,
    Commit,
    Fenced,
    Following,
    Lease,
    Linked,
    Loaded,
    Rearm,
    Swept,
)
from shared import db
from shared.bus import encode as encode_message
from shared.clock import Instant
from shared.errors import StartError
from shared.messages import Event, PastTrigger, Properties, Trigger
from shared.rules import GetResults, RecordedEvent, RuleResults, SweepProgress

_FOLDER = Path(__file__).parent / "sql"
MIGRATIONS = _FOLDER / "migrations"
RESULTS_S = 60.0
"""How long counting may take what rules came to, over everybody they fired for."""
_SQL = db.queries(_FOLDER / "queries.sql")

BY_KEY = {"enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off"}
"""Settings of each session: whatever the service asks for is found by a key or an index, however small a table was when the
question was first planned."""

LEASE_S = 5.0

_json = msgspec.json.Encoder().encode
_from_json = msgspec.json.Decoder().decode


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

    async def commit(self, commit: Commit) -> list[Linked]:
        """All of it or nothing. Raises ``Fenced`` if any of its partitions is no longer held in its epoch."""
        with _fencing():
            rows = await self._pool.fetch(
                _SQL["commit"],
                self.owner,
                *_columns(commit.positions, 4),
                *_columns(commit.actors, 4),
                *_columns(map(_event_row, commit.events), 13),
                *_columns((_trigger_row(partition, trigger) for partition, trigger in commit.triggers), 7),
                *_columns(commit.fates, 4),
                *_columns(commit.absorbed, 4),
                *_columns(((partition, *tie) for partition, tie in commit.ties), 7),
            )
        return [Linked(*row) for row in rows]

    # --- Identity -----------------------------------------------------------------------------------------------------

    async def links_untold(self, partitions: Collection[int]) -> list[Linked]:
        return [Linked(*row) for row in await self._pool.fetch(_SQL["links_untold"], list(partitions))]

    async def links_told(self, links: Iterable[int]) -> None:
        await self._pool.execute(_SQL["links_told"], list(links))

    async def recorded(self, person: str, limit: int) -> list[Remembered]:
        """The person's latest events, whether remembered or not; those of others that turned out to be the person too."""
        return [_remembered(row) for row in await self._pool.fetch(_SQL["recorded"], person, limit)]

    async def triggers_of(self, person: str, limit: int) -> list[PastTrigger]:
        """The latest of the person, under whatever id, the latest first."""
        return [PastTrigger(*row) for row in await self._pool.fetch(_SQL["triggers_of"], person, limit)]

    async def aliases_of(self, person: str) -> list[str]:
        return [row[0] for row in await self._pool.fetch(_SQL["aliases_of"], person)]

    # --- What is recorded ---------------------------------------------------------------------------------------------

    async def people(self, partition: int, after: str, limit: int) -> list[str]:
        return [row["person"] for row in await self._pool.fetch(_SQL["people"], partition, after, limit)]

    async def history(self, people: Collection[str], person: str, n: int, limit: int) -> list[RecordedEvent]:
        """What ``people`` did themselves, in the order of their keys and their events, after event ``n`` of ``person``."""
        rows = await self._pool.fetch(_SQL["history"], list(people), person, n, limit)
        return [RecordedEvent(row["person"], row["n"], row["arrived"], row["sequence"], _event(row)) for row in rows]

    async def links(self, after: int, limit: int) -> list[Linked]:
        return [Linked(*row) for row in await self._pool.fetch(_SQL["links"], after, limit)]

    async def progress(self, revision: int) -> SweepProgress:
        row = await self._pool.fetchrow(_SQL["progress"], revision)
        assert row is not None, "an aggregate answers one row"
        return SweepProgress(revision, *row)

    async def results(self, request: GetResults) -> list[RuleResults]:
        rows = await self._pool.fetch(_SQL["results"], request.since, request.rule, request.window, timeout=RESULTS_S)
        return [RuleResults(**{**row, "revenue": msgspec.json.decode(row["revenue"])}) for row in rows]

    # --- Sweeps -------------------------------------------------------------------------------------------------------

    async def sweeps(self, partitions: Collection[int]) -> dict[int, Swept]:
        rows = await self._pool.fetch(_SQL["sweeps"], list(partitions))
        return {row["partition"]: Swept(row["revision"], row["at_person"], row["done"]) for row in rows}

    async def following(self, partition: int, person: str, limit: int) -> list[Following]:
        """The next people of a partition, in the order of their keys."""
        rows = await self._pool.fetch(_SQL["following"], partition, person, limit)
        return [Following(row["person"], decode(row["remembered"]), row["due"], row["updated_at"]) for row in rows]

    async def rearm(self, rearm: Rearm) -> list[str]:
        """Answers whose timers were set: nothing was committed for them meanwhile. Raises ``Fenced``."""
        with _fencing():
            rows = await self._pool.fetch(_SQL["rearm"], self.owner, *msgspec.structs.astuple(rearm))
        return [row[0] for row in rows]


@contextmanager
def _fencing() -> Iterator[None]:
    try:
        yield
    except asyncpg.PostgresError as error:
        if error.sqlstate == "BK001":
            raise Fenced(str(error)) from None
        raise


def _remembered(row: Any) -> Remembered:
    properties = Raw(encode_message(_from_json(row["properties"])))
    return Remembered(
        row["n"],
        row["id"],
        row["name"],
        row["happened"],
        row["arrived"],
        properties,
        row["trusted"],
        row["source"],
    )


def _event(row: Any) -> Event:
    return Event(
        id=row["id"],
        person=row["person"],
        name=row["name"],
        timestamp=row["happened"],
        received=row["arrived"],
        properties=_from_json(row["properties"]),
        user_id=row["user_id"],
        anonymous_id=row["anonymous_id"],
        source=row["source"],
        trusted=row["trusted"],
    )


def _columns(rows: Iterable[tuple[object, ...]], width: int) -> list[list[object]]:
    columns = [list(column) for column in zip(*rows, strict=True)]
    return columns or [[] for _ in range(width)]


def _event_row(stored: Stored) -> tuple[object, ...]:
    event, sequence, arrived, n = stored
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
        n,
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
