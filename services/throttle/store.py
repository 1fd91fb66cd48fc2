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
from typing import NamedTuple

import asyncpg
import msgspec
from msgspec import Struct

from services.throttle.decide import CONSENT, EVERYTHING, Decision, Deferral, Sent, Standing
from services.throttle.forecast import Firing
from services.throttle.replay import Past
from shared import db
from shared.bus import encode
from shared.clock import Duration, Instant, from_datetime, to_datetime
from shared.consents import Consents
from shared.messages import EmailAction, Terms, Trigger
from shared.policies import PolicyVersion, Waits

MIGRATIONS = Path(__file__).parent / "sql" / "migrations"
_SQL = db.queries(Path(__file__).parent / "sql" / "queries.sql")
BY_KEY = {
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "plan_cache_mode": "force_generic_plan",
}
"""Settings of each session: what the service asks for is found by a key or an index, however small a table was when the
question was first planned, and planned once: left to itself, the server may plan a look anew each time, which takes 0.3 ms of
the 0.4 ms."""

_NO_ACTION = EmailAction("")
_decode = msgspec.msgpack.Decoder(Trigger).decode


class Waiting(Struct, frozen=True):
    """A trigger to be decided at ``due``. ``asked``: when the throttle first had it in hand. ``by``: what put it off. ``tries``: how often it
    was taken since."""

    trigger: Trigger
    asked: Instant
    due: Instant
    by: str = ""
    tries: int = 0


class Broken(NamedTuple):
    """What stands in place of a trigger and is none."""

    trigger_id: str
    data: bytes
    reason: str


class Look(Struct, frozen=True):
    """What the store knows of a trigger. ``decided`` is set if it was decided before, ``waits`` if it was put off. ``policy`` is
    the version in force, 0 if none was ever put. ``revisions``: of those who were asked about, in order."""

    revisions: tuple[int, ...]
    policy: int
    standing: Standing
    decided: Decision | None
    waits: bool


class Made(Struct, frozen=True):
    """What was found about a trigger."""

    trigger: Trigger
    asked: Instant
    verdict: Decision | Deferral


class Store:
    """Raises what ``db.AWAY`` lists while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def look(self, trigger_id: str, people: Sequence[str], horizon: Duration, now: Instant) -> Look:
        """``people``: the person, and who turned out to be the same."""
        row = await self._pool.fetchrow(_SQL["look"], trigger_id, people, to_datetime(now - horizon))
        assert row is not None, "the query answers exactly one row"
        sends = tuple(
            Sent(rule, category, from_datetime(at))
            for rule, category, at in zip(row["rules"], row["categories"], row["instants"], strict=True)
        )
        decided = row["outcome"] and Decision(
            row["outcome"], from_datetime(row["decided_at"]), row["reason"], row["by"]
        )
        return Look(
            tuple(row["revisions"]),
            row["policy"],
            Standing(sends, row["suppressed"], row["unwanted"]),
            decided,
            row["waits"],
        )

    async def standing(self, person: str, aliases: Sequence[str]) -> Standing:
        """Without the sends."""
        row = await self._pool.fetchrow(_SQL["standing"], [person, *aliases])
        assert row is not None, "the query answers exactly one row"
        return Standing((), row["suppressed"], row["unwanted"])

    async def record(
        self, people: Sequence[str], revisions: Sequence[int], made: Sequence[Made], zone: str = ""
    ) -> bool:
        """False if something about ``people`` has changed since ``revisions``, and nothing was stored."""
        recorded = await self._pool.fetchval(_SQL["record"], people, revisions, *_decided(made), *_put_off(made), zone)
        return bool(recorded)

    # --- What waits ---------------------------------------------------------------------------------------------------

    async def others(self, people: Sequence[str]) -> tuple[list[Waiting], set[str]]:
        """What waits of ``people``, who are one person, and whose that is altogether. To be asked after a look: what changes
        in between is noticed when something is recorded."""
        rows = await self._pool.fetch(_SQL["others"], people)
        waiting = [Waiting(_decode(row[0]), from_datetime(row[1]), from_datetime(row[2]), row[3]) for row in rows]
        return waiting, {person for row in rows for person in row["people"]}

    async def take(self, now: Instant, until: Instant, limit: int) -> tuple[list[Waiting], list[Broken]]:
        """What is due, earliest first, which nobody else gets before ``until``; and what of it cannot be read."""
        taken, broken = [], []
        for row in await self._pool.fetch(_SQL["take"], to_datetime(now), to_datetime(until), limit):
            try:
                trigger = _decode(row["trigger"])
            except msgspec.DecodeError as error:
                broken.append(Broken(row["trigger_id"], row["trigger"], f"not a trigger: {error}"))
                continue
            asked, due = from_datetime(row["asked_at"]), from_datetime(row["due"])
            taken.append(Waiting(trigger, asked, due, row["by"], row["tries"]))
        return sorted(taken, key=lambda waiting: waiting.due), broken

    async def forget(self, trigger_ids: Sequence[str]) -> None:
        """They were decided, and what was decided is published."""
        await self._pool.execute(_SQL["forget"], trigger_ids)

    async def next_due(self, now: Instant) -> Instant | None:
        due = await self._pool.fetchval(_SQL["next_due"], to_datetime(now))
        return from_datetime(due) if due is not None else None

    async def waiting(self) -> int:
        count: int = await self._pool.fetchval(_SQL["waiting"])
        return count

    async def waiting_of(self, people: Sequence[str]) -> list[Waits]:
        rows = await self._pool.fetch(_SQL["waiting_of"], people)
        return [Waits(row["trigger_id"], from_datetime(row["due"]), row["by"], row["reason"]) for row in rows]

    # --- What becomes of sends, and what people choose ----------------------------------------------------------------

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

    async def past(self, since: Instant, most: int) -> list[Past]:
        """What was decided after ``since``, in the order in which it came."""
        async with self._pool.acquire() as connection, connection.transaction(readonly=True):
            cursor = connection.cursor(_SQL["past"], to_datetime(since), most, prefetch=1000)
            return [_past(row) async for row in cursor]

    # --- The policy ---------------------------------------------------------------------------------------------------

    async def policy(self, version: int) -> str | None:
        """None if there is no such version."""
        document: str | None = await self._pool.fetchval(_SQL["policy"], version)
        return document

    async def policies(self) -> list[PolicyVersion]:
        rows = await self._pool.fetch(_SQL["policies"])
        return [PolicyVersion(row["version"], from_datetime(row["put_at"]), row["put_by"]) for row in rows]

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


def _past(row: asyncpg.Record) -> Past:
    at, released = from_datetime(row["decided_at"]), row["released_at"]
    decision = Decision(row["outcome"], at, row["reason"], row["by"])
    firing = Firing(
        row["person"],
        row["rule"],
        from_datetime(row["came_at"]),
        Terms(_NO_ACTION, category=row["category"], priority=row["priority"]),
        row["aliases"],
        from_datetime(row["expires_at"]) if row["expires_at"] else None,
        decision if decision.by == CONSENT or decision.outcome == "held_out" else None,
        from_datetime(released) if released else None,
        row["timezone"],
    )
    return Past(firing, decision)


def _decided(made: Sequence[Made]) -> list[list[object]]:
    """A column for each of what is recorded of a decision."""
    rows = [
        (
            one.trigger.id,
            one.trigger.person,
            one.trigger.rule,
            one.trigger.terms.category,
            one.verdict.outcome,
            one.verdict.reason,
            one.verdict.by,
            to_datetime(one.verdict.at),
            to_datetime(one.asked),
            one.trigger.terms.priority,
            to_datetime(one.trigger.expires) if one.trigger.expires is not None else None,
        )
        for one in made
        if isinstance(one.verdict, Decision)
    ]
    return [list(column) for column in zip(*rows, strict=True)] or [[]] * 11


def _put_off(made: Sequence[Made]) -> list[list[object]]:
    rows = [
        (
            one.trigger.id,
            to_datetime(one.verdict.until),
            one.verdict.by,
            one.verdict.reason,
            to_datetime(one.asked),
            encode(one.trigger),
        )
        for one in made
        if isinstance(one.verdict, Deferral)
    ]
    return [list(column) for column in zip(*rows, strict=True)] or [[]] * 6
