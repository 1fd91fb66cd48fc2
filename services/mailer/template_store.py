"""Templates in PostgreSQL, every version of them."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg
import msgspec

from shared import db
from shared.clock import Instant, from_datetime, to_datetime

_SQL = db.queries(Path(__file__).parent / "sql" / "templates.sql")
DELETED = ""
"""The checksum of a version that has no files."""


class Stored(NamedTuple):
    name: str
    version: int
    checksum: str
    by: str
    at: Instant
    deleted: bool


class Put(NamedTuple):
    version: int
    changed: bool


class TemplateStore:
    """Raises what ``db.AWAY`` lists while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def current(self) -> list[Stored]:
        """The newest version of every name, also of those that were deleted."""
        return [_stored(row) for row in await self._pool.fetch(_SQL["current"])]

    async def get(self, name: str, version: int = 0) -> tuple[Stored, dict[str, str]] | None:
        """The newest version if ``version`` is 0; without files if that says that there are none any more."""
        row = await self._pool.fetchrow(_SQL["get"], name, version)
        return None if row is None else (_stored(row), msgspec.json.decode(row["files"] or "{}", type=dict[str, str]))

    async def last_by(self, name: str, source: str) -> str | None:
        checksum: str | None = await self._pool.fetchval(_SQL["last_by"], name, source)
        return checksum

    async def put(self, name: str, files: Mapping[str, str] | None, checksum: str, by: str, now: Instant) -> Put:
        """A new version, unless the one in force is the same; ``files`` is none to delete."""
        text = None if files is None else msgspec.json.encode(files, order="sorted").decode()
        while True:
            found = await self.get(name)
            version = found[0].version if found else 0
            if (found[0].checksum if found else DELETED) == checksum:
                return Put(version, changed=False)
            if await self._pool.fetchval(_SQL["put"], name, version + 1, text, checksum, by, to_datetime(now)):
                return Put(version + 1, changed=True)


def _stored(row: Any) -> Stored:
    return Stored(
        row["name"], row["version"], row["checksum"], row["put_by"], from_datetime(row["put_at"]), row["deleted"]
    )
