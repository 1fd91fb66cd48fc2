"""Going through everybody when other conditions are watched than before.

A rule that goes live concerns people who are already half-way, idle for five of fourteen days; one that is paused or deleted
leaves timers behind. So each owner walks its partitions in the order of the keys, in the background, looks at each
person with the rules in force, and sets the timer that they ask for. Nothing fires here and no history is written: people
whose timer is not touched cost one read. How far it is stands in the database, so whoever takes over goes on from there.
"""

import asyncio
from collections.abc import Collection

import structlog

from services.state import actor as actors
from services.state import settling
from services.state.actor import Limits
from services.state.evaluator import Evaluator, Stale
from services.state.group import Group
from services.state.interest import Following
from services.state.judge import RECORDED
from services.state.memory import Memory
from services.state.rows import Fenced, Rearm
from services.state.rows import Following as Met
from services.state.store import Store
from shared import db, metrics
from shared.bus import describe
from shared.clock import Instant
from shared.errors import Unavailable
from shared.messages import Case

log = structlog.get_logger()

CHUNK = 64
"""People at a time: some milliseconds of the loop that also serves events."""
REST = 0.6
"""For each moment of work so many of rest, so that events hardly notice."""
LOOK_EVERY_S = 2.0


class Sweep:
    def __init__(
        self, store: Store, evaluator: Evaluator, following: Following, groups: list[Group], limits: Limits
    ) -> None:
        self._store = store
        self._evaluator = evaluator
        self._following = following
        self._groups = groups
        self._limits = limits

    async def run(self) -> None:
        """For ever. What cannot be done now is tried again."""
        while True:
            try:
                await self._round()
            except (Fenced, Unavailable, *db.AWAY) as error:
                log.info("sweep_waits", **describe(error))
            await asyncio.sleep(LOOK_EVERY_S)

    async def _round(self) -> None:
        owned = {number for group in self._groups for number in group.partitions}
        swept = await self._store.sweeps(owned)
        self._following.at_least(max((one.revision for one in swept.values()), default=0))
        watched = (await self._following.current()).watched
        for group in self._groups:
            await group.settled()  # whatever was begun by an earlier revision is over
        waiting = [n for n in sorted(owned) if n not in swept or swept[n].revision < watched or not swept[n].done]
        if not watched or not waiting:
            metrics.SWEEP_PARTITIONS_LEFT.set(0)
            return
        log.info("sweep_begins", revision=watched, partitions=len(waiting))
        for done, number in enumerate(waiting):
            metrics.SWEEP_PARTITIONS_LEFT.set(len(waiting) - done)
            before = swept.get(number)
            goes_on = before is not None and before.revision == watched
            await self._walk(number, watched, before.person if before is not None and goes_on else "")
            if self._following.memory.watched != watched:
                return
        metrics.SWEEP_PARTITIONS_LEFT.set(0)
        log.info("sweep_ends", revision=watched, partitions=len(waiting))

    async def _walk(self, number: int, watched: int, person: str) -> None:
        loop = asyncio.get_running_loop()
        while (group := self._holder(number)) is not None and self._following.memory.watched == watched:
            began = loop.time()
            people = await self._store.following(number, person, CHUNK)
            done = len(people) < CHUNK
            person = people[-1].person if people else person
            dues = await self._look(people, self._following.memory)
            await self._rearm(group, number, watched, person, people, dues, done)
            if done:
                return
            await asyncio.sleep((loop.time() - began) * REST)

    def _holder(self, number: int) -> Group | None:
        return next((group for group in self._groups if number in group.partitions), None)

    async def _look(self, people: Collection[Met], memory: Memory) -> dict[str, Instant | None]:
        """When the rules in force want to look at each of them next."""
        cases: dict[str, Case] = {}
        for met in people:
            actor = met.actor
            if not actor.complete(memory):
                actor = actors.refilled(actor, await self._store.recorded(met.person, RECORDED), memory, self._limits)
            case = settling.case(actor, met.person, [], memory)
            if case.person.history or case.rules:
                cases[met.person] = case
        try:
            verdicts = await self._evaluator.evaluate(list(cases.values()), memory.revision) if cases else []
        except Stale as stale:
            await self._following.reach(stale.revision)
            raise
        wakes = {person: verdict.wake for person, verdict in zip(cases, verdicts, strict=True) if not verdict.error}
        return {met.person: wakes.get(met.person) for met in people if met.person in wakes or met.person not in cases}

    async def _rearm(
        self,
        group: Group,
        number: int,
        watched: int,
        person: str,
        people: Collection[Met],
        dues: dict[str, Instant | None],
        done: bool,
    ) -> None:
        changed = [met for met in people if met.person in dues and dues[met.person] != met.due]
        rearm = Rearm(
            number,
            group.epoch(number),
            watched,
            person,
            len(people),
            done,
            [met.person for met in changed],
            [dues[met.person] for met in changed],
            [met.at for met in changed],
        )
        armed = await self._store.rearm(rearm)
        for key in armed:
            group.rearmed(number, key, dues[key])
        metrics.SWEEP_PEOPLE.labels("seen").inc(len(people))
        metrics.SWEEP_PEOPLE.labels("armed").inc(len(armed))
