"""Rule documents in PostgreSQL, every version of them."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import asyncpg

from services.rule_evaluator.document import Rule
from services.rule_evaluator.rules import Revision, Stored
from shared import db
from shared.clock import Instant, Lapse, from_datetime
from shared.rules import RuleFound, RuleSummary

MIGRATIONS = Path(__file__).parent / "sql" / "migrations"
CHANNEL = "rules_changed"

_SQL = db.queries(Path(__file__).parent / "sql" / "queries.sql")


class Put(NamedTuple):
    version: int
    changed: bool


class Store:
    """Raises what ``db.AWAY`` lists while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool, lapse: Lapse = Lapse()) -> None:  # noqa: B008 - frozen
        self._pool = pool
        self._lapse = lapse

    async def put(self, rule: Rule, document: str, by: str, *, unless_put_by: str | None = None) -> Put:
        """A new version, unless the document is the current one, or is what ``unless_put_by`` put last."""
        row = await self._pool.fetchrow(
            _SQL["put"], rule.id, document, rule.name, rule.status, rule.condition, by, unless_put_by
        )
        assert row is not None, "the function answers one row"
        return Put(row["version"], row["changed"])

    async def revision(self) -> int:
        number = await self._pool.fetchval(_SQL["revision"])
        assert isinstance(number, int), "the row is made by the migration and never deleted"
        return number

    async def go_on_after(self, revision: int) -> bool:
        """Make the next revision one after ``revision``, if the present one is below it."""
        return bool(await self._pool.fetchval(_SQL["go_on_after"], revision))

    async def current(self) -> tuple[Revision, list[Stored]]:
        """The revision, and the current version of every rule at it."""
        rows = await self._pool.fetch(_SQL["current"])
        stored = [
            Stored(
                row["id"],
                row["version"],
                row["document"],
                row["status"],
                row["baseline"],
                self._instant(row["live_since"]),
            )
            for row in rows
            if row["id"] is not None
        ]
        return Revision(rows[0]["number"], rows[0]["watched"]), stored

    async def list_current(self) -> list[RuleSummary]:
        return [self._summary(row) for row in await self._pool.fetch(_SQL["list"])]

    async def get(self, rule_id: str, version: int) -> RuleFound:
        """The current version if ``version`` is 0. Without a summary if there is no such rule or version."""
        row = await self._pool.fetchrow(_SQL["get"], rule_id, version)
        return RuleFound(self._summary(row), row["document"]) if row is not None else RuleFound()

    async def versions(self, rule_id: str) -> list[RuleSummary]:
        """All versions of a rule, the first one first."""
        return [self._summary(row) for row in await self._pool.fetch(_SQL["versions"], rule_id)]

    async def delete(self, rule_id: str, by: str) -> int | None:
        """The version that says so; none if there is no such rule."""
        version: int | None = await self._pool.fetchval(_SQL["delete"], rule_id, by)
        return version

    @asynccontextmanager
    async def changes(self) -> AsyncIterator[Callable[[float], Awaitable[None]]]:
        """Gives a function that waits for the next change, and no longer than so many seconds.

        It raises ``ConnectionResetError`` when the connection that listens is gone.
        """
        changed = asyncio.Event()

        def on_notification(*_: object) -> None:
            changed.set()

        async with self._pool.acquire() as connection:

            async def wait(most_s: float) -> None:
                try:
                    async with asyncio.timeout(most_s):
                        await changed.wait()
                except TimeoutError:
                    if connection.is_closed():
                        raise ConnectionResetError("the connection that listens for changes is gone") from None
                changed.clear()

            await connection.add_listener(CHANNEL, on_notification)
            try:
                yield wait
            finally:
                if not connection.is_closed():
                    await connection.remove_listener(CHANNEL, on_notification)

    def _summary(self, row: Any) -> RuleSummary:
        changed_at = self._instant(row["changed_at"])
        assert changed_at is not None, "the column is never null"
        return RuleSummary(
            id=row["id"],
            version=row["version"],
            name=row["name"],
            status=row["status"],
            changed_at=changed_at,
            live_since=self._instant(row["live_since"]),
            by=row["put_by"],
        )

    def _instant(self, moment: datetime | None) -> Instant | None:
        return self._lapse.instant(from_datetime(moment)) if moment is not None else None
