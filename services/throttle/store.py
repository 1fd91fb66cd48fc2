"""The throttle's tables.

A decision is made in two calls and no open transaction: ``look`` reads everything about the person in one snapshot, the
pure ``policy.decide`` decides, and ``record`` stores the decision if nothing about the person has changed in between,
which one number per id of the person tells. Whoever loses such a race looks again. So caps are exact with any number of replicas,
the deciding stays plain Python, and a process that is paused between the two calls blocks nobody and can store nothing
late. (Deciding in SQL would take one call instead of two; deciding under a lock held from here would let a paused process
block its person.)
"""

from collections.abc import Sequence
from pathlib import Path

import asyncpg
from msgspec import Struct

from services.throttle.policy import EVERYTHING, Decision, Sent, Standing
from shared import db
from shared.clock import Duration, Instant, from_datetime, to_datetime
from shared.messages import Consents, Trigger

MIGRATIONS = Path(__file__).parent / "sql" / "migrations"
_SQL = db.queries(Path(__file__).parent / "sql" / "queries.sql")


class Look(Struct, frozen=True):
    """What the store knows of a trigger. ``decided`` is set if it was decided before. ``policy`` is the version in force,
    0 if none was ever put. ``revisions``: of the person, and of who turned out to be the person."""

    revisions: tuple[int, ...]
    policy: int
    standing: Standing
    decided: Decision | None


class Store:
    """Raises what ``db.AWAY`` lists while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def look(self, trigger: Trigger, horizon: Duration, now: Instant) -> Look:
        row = await self._pool.fetchrow(_SQL["look"], trigger.id, _everybody(trigger), to_datetime(now - horizon))
        assert row is not None, "the query answers exactly one row"
        sends = tuple(
            Sent(rule, category, from_datetime(at))
            for rule, category, at in zip(row["rules"], row["categories"], row["instants"], strict=True)
        )
        decided = row["outcome"] and Decision(row["outcome"], from_datetime(row["decided_at"]), row["reason"])
        return Look(
            tuple(row["revisions"]), row["policy"], Standing(sends, row["suppressed"], row["unwanted"]), decided
        )

    async def standing(self, person: str, aliases: Sequence[str]) -> Standing:
        """Without the sends."""
        row = await self._pool.fetchrow(_SQL["standing"], [person, *aliases])
        assert row is not None, "the query answers exactly one row"
        return Standing((), row["suppressed"], row["unwanted"])

    async def record(self, trigger: Trigger, decision: Decision, revisions: Sequence[int]) -> bool:
        """False if something about the person has changed since ``revisions``, and nothing was stored."""
        row = await self._pool.fetchrow(
            _SQL["record"],
            trigger.id,
            _everybody(trigger),
            revisions,
            trigger.rule,
            trigger.terms.category,
            decision.outcome,
            decision.reason,
            to_datetime(decision.at),
        )
        return row is not None

    async def release(self, trigger_id: str, now: Instant) -> bool:
        """True if a decision to send was released by this; false if there is none, or it was before."""
        return await self._pool.fetchrow(_SQL["release"], trigger_id, to_datetime(now)) is not None

    async def suppress(self, person: str, reason: str, now: Instant) -> None:
        await self._pool.execute(_SQL["suppress"], person, reason, to_datetime(now))

    async def unsuppress(self, person: str) -> None:
        await self._pool.execute(_SQL["unsuppress"], person)

    async def choose(self, person: str, category: str, *, wanted: bool, now: Instant) -> None:
        """What was chosen later stands, in whichever order it becomes known."""
        await self._pool.execute(_SQL["consent"], person, category, wanted, to_datetime(now))

    async def consents(self, person: str) -> Consents:
        chosen: dict[str, bool] = {
            row["category"]: row["wanted"] for row in await self._pool.fetch(_SQL["consents"], person)
        }
        return Consents(chosen.pop(EVERYTHING, True), chosen)

    async def policy(self, version: int) -> str:
        document = await self._pool.fetchval(_SQL["policy"], version)
        assert isinstance(document, str), "versions are never deleted"
        return document

    async def current_policy(self) -> tuple[int, str]:
        """Version 0 and an empty document if none was ever put."""
        row = await self._pool.fetchrow(_SQL["current_policy"])
        return (row["version"], row["document"]) if row else (0, "")

    async def last_policy_by(self, source: str) -> str | None:
        document: str | None = await self._pool.fetchval(_SQL["last_policy_by"], source)
        return document

    async def put_policy(self, document: str, by: str, now: Instant) -> int:
        """The version that now holds ``document``; a new one only if the one in force differs."""
        while True:
            version, current = await self.current_policy()
            if version and current == document:
                return version
            if await self._pool.fetchval(_SQL["put_policy"], version + 1, document, by, to_datetime(now)):
                return version + 1


def _everybody(trigger: Trigger) -> list[str]:
    """The person first, and everybody who turned out to be the person."""
    return list(dict.fromkeys([trigger.person, *trigger.aliases]))
