"""The webhook service's tables.

What is to be sent stands here, not in the stream, from the moment it arrives: it may wait for days, and a message given back
again and again would count against all others. ``due_at`` is the queue: nobody touches a row before it, and whoever takes one in
hand moves it on, so that what a process that died had in hand comes up again by itself. Every change names the claim it was made
under; one that was paused and taken for dead can still tell that an endpoint took a webhook, and nothing else.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
from msgspec import Struct

from services.webhook.endings import Ending
from shared import db
from shared.clock import Instant, from_datetime, to_datetime
from shared.messages import Event, Trigger
from shared.webhooks import WebhookAttempt

MIGRATIONS = Path(__file__).parent / "sql" / "migrations"
_SQL = db.queries(Path(__file__).parent / "sql" / "queries.sql")

ATTEMPTS_KEPT = 50

_encode = msgspec.msgpack.Encoder().encode
_trigger = msgspec.msgpack.Decoder(Trigger).decode
_event = msgspec.msgpack.Decoder(Event).decode


class Delivery(Struct, frozen=True):
    """A webhook in our hands. ``body`` is empty until it is begun for the first time; ``reason``: why the last attempt failed."""

    id: str
    endpoint: str
    url: str
    claim: str
    trigger: Trigger
    begun: bool = False
    body: bytes = b""
    attempts: int = 0
    reason: str = ""
    replayed: bool = False


class Hold(NamedTuple):
    """A claim, and until when it is nobody else's."""

    claim: str
    until: Instant


def endpoint_id(url: str) -> str:
    return hashlib.blake2b(url.encode(), digest_size=8).hexdigest()


class Store:
    """Raises what ``db.AWAY`` lists while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def add(self, trigger: Trigger, url: str, hold: Hold, last_chance: Instant, now: Instant) -> Delivery | None:
        """The webhook if it is new and in our hands. An empty claim only adds it."""
        endpoint = endpoint_id(url)
        row = await self._pool.fetchrow(
            _SQL["add"],
            trigger.id,
            endpoint,
            url,
            trigger.person,
            trigger.rule,
            _encode(trigger),
            to_datetime(now),
            to_datetime(last_chance),
            hold.claim,
            to_datetime(hold.until),
        )
        return Delivery(trigger.id, endpoint, url, hold.claim, trigger) if row and row["claim"] else None

    async def claim(self, default: int, rooms: Mapping[str, int], hold: Hold, now: Instant) -> list[Delivery]:
        """Of each endpoint as many as ``rooms`` says, else ``default``."""
        rows = await self._pool.fetch(
            _SQL["claim"],
            default,
            list(rooms),
            list(rooms.values()),
            to_datetime(now),
            hold.claim,
            to_datetime(hold.until),
        )
        return [_delivery(row) for row in rows]

    async def next_due(self, full: Collection[str], now: Instant) -> Instant | None:
        """When the next is due of those endpoints that are not ``full``."""
        due = await self._pool.fetchval(_SQL["next_due"], list(full), to_datetime(now))
        return due and from_datetime(due)

    async def overdue(self, hold: Hold, now: Instant) -> list[Delivery]:
        """At most 100 whose time is up. Their ``reason`` tells if the endpoint is disabled."""
        rows = await self._pool.fetch(_SQL["overdue"], hold.claim, to_datetime(now), to_datetime(hold.until))
        return [_delivery(row) for row in rows]

    async def begin(self, delivery: Delivery, body: bytes, until: Instant, last_chance: Instant, now: Instant) -> bool:
        """False if it is in our hands no more. ``last_chance`` counts for the first attempt."""
        row = await self._pool.fetchrow(
            _SQL["begin"],
            *(delivery.id, delivery.claim, body),
            *(to_datetime(now), to_datetime(until), to_datetime(last_chance)),
        )
        return row is not None

    async def put_back(self, delivery: Delivery, due: Instant) -> None:
        await self._pool.execute(_SQL["put_back"], delivery.id, delivery.claim, to_datetime(due))

    async def defer(self, delivery: Delivery, attempt: WebhookAttempt, due: Instant, reason: str) -> bool:
        """False if it is in our hands no more."""
        row = await self._pool.fetchrow(
            _SQL["defer"], delivery.id, delivery.claim, to_datetime(due), _json(attempt), reason, ATTEMPTS_KEPT
        )
        return row is not None

    async def end(self, delivery: Delivery, ending: Ending, attempt: WebhookAttempt | None, now: Instant) -> bool:
        """False if it has ended already, or is in our hands no more; that it was taken stands all the same."""
        row = await self._pool.fetchrow(
            _SQL["end"],
            *(delivery.id, delivery.claim, ending.status, ending.reason, to_datetime(now)),
            *(attempt and _json(attempt), _encode(ending.fact), ending.status == "sent", ATTEMPTS_KEPT),
        )
        return row is not None

    async def untold(self, before: Instant) -> dict[str, Event]:
        rows = await self._pool.fetch(_SQL["untold"], to_datetime(before))
        return {row["id"]: _event(row["fact"]) for row in rows}

    async def told(self, ids: Sequence[str]) -> None:
        await self._pool.execute(_SQL["told"], ids)

    async def disable(self, endpoint: str, reason: str, now: Instant) -> bool:
        """False if it was disabled before."""
        return await self._pool.fetchrow(_SQL["disable"], endpoint, to_datetime(now), reason) is not None

    async def tidy(self, before: Instant) -> int:
        """How many were forgotten, of at most 5,000."""
        count: int = await self._pool.fetchval(_SQL["tidy"], to_datetime(before))
        return count


def _delivery(row: asyncpg.Record) -> Delivery:
    return Delivery(
        row["id"],
        row["endpoint"],
        row["url"],
        row["claim"],
        _trigger(row["trigger"]),
        row["begun_at"] is not None,
        row["body"],
        row["attempts"],
        row["reason"],
        row["replayed"],
    )


def _json(attempt: WebhookAttempt) -> str:
    return msgspec.json.encode(attempt).decode()
