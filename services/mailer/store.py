"""The mailer's table. Every change names the attempt that makes it, so one that was paused and taken for dead can still
tell the truth about its own mail, and nothing else."""

from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
from msgspec import Struct

from services.mailer import bounces
from services.mailer.endings import Ending
from services.mailer.verp import report_key
from shared import db
from shared.clock import Instant, from_datetime, to_datetime
from shared.messages import Event, Trigger

MIGRATIONS = Path(__file__).parent / "sql" / "migrations"
_SQL = db.queries(Path(__file__).parent / "sql" / "queries.sql")

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(tuple[Event, ...]).decode


class Delivery(Struct, frozen=True):
    """``status``: claimed, deferred or an ending. ``unsure``: it may have been sent before. ``facts`` are the events of the
    ending."""

    status: str
    reason: str
    attempts: int
    claim: str
    claimed_at: Instant | None
    unsure: bool
    facts: tuple[Event, ...]


class Claim(NamedTuple):
    """``ours``: false if another attempt holds the send, it has ended, or nothing may be sent to the address (``against``)."""

    ours: bool
    against: str | None


class Store:
    """``claim`` names an attempt; the empty one holds nothing. Raises what ``db.AWAY`` lists while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def find(self, send: str) -> Delivery | None:
        row = await self._pool.fetchrow(_SQL["find"], send)
        if row is None:
            return None
        return Delivery(
            row["status"],
            row["reason"],
            row["attempts"],
            row["claim"],
            row["claimed_at"] and from_datetime(row["claimed_at"]),
            row["unsure"] > 0,
            _decode(row["facts"]) if row["facts"] else (),
        )

    async def claim(
        self, trigger: Trigger, claim: str, message_id: str, now: Instant, address: bytes | None = None
    ) -> Claim:
        """``address``: the hash of whom the mail goes to; none for a trial."""
        row = await self._pool.fetchrow(
            _SQL["claim"],
            *_whose(trigger),
            claim,
            to_datetime(now),
            message_id,
            address,
            report_key(message_id),
        )
        assert row is not None, "the query answers exactly one row"
        return Claim(row["ours"], row["against"])

    async def defer(self, trigger: Trigger, claim: str, reason: str, now: Instant) -> int | None:
        """How often the send was put off by now; none if another attempt holds it, or it has ended."""
        attempts: int | None = await self._pool.fetchval(
            _SQL["defer"], *_whose(trigger), claim, to_datetime(now), reason
        )
        return attempts

    async def repeat(self, trigger: Trigger, claim: str, reason: str, now: Instant) -> bool:
        """Nobody can tell whether the mail of this attempt was sent; it goes once more. False if it did so before, or if
        another attempt holds the send."""
        row = await self._pool.fetchrow(_SQL["repeat"], trigger.id, claim, to_datetime(now), reason)
        return row is not None

    async def end(
        self, trigger: Trigger, claim: str, ending: Ending, now: Instant, address: bytes | None = None
    ) -> bool:
        """False if another attempt holds the send, or it has ended otherwise. If the ending is a bounce, that is kept with
        what it means for ``address``."""
        row = await self._pool.fetchrow(
            _SQL["end"],
            *_whose(trigger),
            claim,
            to_datetime(now),
            ending.reason,
            ending.status,
            None if ending.accepted is None else to_datetime(ending.accepted),
            _encode(ending.facts),
            ending.bounce,
            address,
            bounces.reason(ending.reason),
        )
        return row is not None


def _whose(trigger: Trigger) -> tuple[str, str, str, str]:
    return trigger.id, trigger.person, trigger.rule, trigger.terms.template
