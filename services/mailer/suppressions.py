"""The addresses that get no mail, and the reports by which they became so. Addresses are known by their hashes only."""

import hmac
from pathlib import Path

import asyncpg
import msgspec
from msgspec import Struct

from shared import db
from shared.clock import Instant, from_datetime, to_datetime
from shared.messages import Event

_SQL = db.queries(Path(__file__).parent / "sql" / "suppressions.sql")
_decode = msgspec.msgpack.Decoder(tuple[Event, ...]).decode


class Reported(Struct, frozen=True):
    """A send that somebody tells of. ``facts``: the events of its ending, none while it has not ended."""

    send: str
    person: str
    rule: str
    address: bytes | None
    facts: tuple[Event, ...]


class Report(Struct, frozen=True):
    """As it is kept: what was said first."""

    kind: str
    reason: str
    source: str
    at: Instant


class Suppressions:
    """``address`` is a hash everywhere here. Raises what ``db.AWAY`` lists while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool, salt: bytes) -> None:
        self._pool = pool
        self._salt = salt

    @classmethod
    async def open(cls, pool: asyncpg.Pool) -> "Suppressions":
        return cls(pool, await pool.fetchval(_SQL["salt"]))

    def hash(self, address: str) -> bytes:
        """Of an address as it stands on the envelope. Hardly a server tells capital letters apart in its local parts."""
        return hmac.digest(self._salt, address.lower().encode(), "sha256")

    async def against(self, address: bytes) -> str | None:
        """Why nothing may be sent to it, none if it may."""
        reason: str | None = await self._pool.fetchval(_SQL["against"], address)
        return reason

    async def find(self, send: str, key: bytes | None) -> Reported | None:
        """By the id of the send, or by its ``report_key``."""
        row = await self._pool.fetchrow(_SQL["reported"], send, key)
        if row is None:
            return None
        facts = _decode(row["facts"]) if row["facts"] else ()
        return Reported(row["send_id"], row["person"], row["rule"], row["address_hash"], facts)

    async def report(self, about: Reported, report: Report) -> Report:
        """Keep a report and what it means for the address. Answers the one that is kept of this kind."""
        row = await self._pool.fetchrow(
            _SQL["report"], about.send, report.kind, about.address, report.source, report.reason, to_datetime(report.at)
        )
        assert row is not None, "the function answers exactly one row"
        return Report(report.kind, row["reason"], row["source"], from_datetime(row["reported_at"]))

    async def suppress(self, address: bytes, reason: str, now: Instant) -> None:
        await self._pool.execute(_SQL["suppress"], address, reason, to_datetime(now))

    async def lift(self, address: bytes) -> None:
        await self._pool.execute(_SQL["lift"], address)
