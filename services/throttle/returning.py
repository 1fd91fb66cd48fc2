"""Triggers whose time has come are decided afresh.

What waits are rows, and nothing else: whoever put one off may die, and another replica finds it. Each sleeps until the earliest
is due, looks for earlier ones of others once a second, and takes some in hand for a few seconds. If it dies with them, they
are taken again after that. A row goes only when what was decided is published, so a repeat publishes the same once more.
"""

import asyncio
from collections.abc import Iterator

import structlog
from nats.aio.msg import Msg

from services.throttle.decide import Decision
from services.throttle.deciding import Deciding
from services.throttle.store import Store, Waiting
from services.throttle.triggers import publish
from shared import db, metrics, subjects
from shared.bus import Bus, describe, encode
from shared.clock import SECOND, Clock, Instant, Lapse
from shared.errors import BusUnavailable, RetryLater, Unavailable
from shared.logs import bind
from shared.partition import partition_of
from shared.policies import GetWaiting, WaitingFound

log = structlog.get_logger()

HELD = 5 * SECOND
"""For so long nobody else takes what one has in hand."""
AT_ONCE = 200
LOOK_EVERY = SECOND
COUNT_EVERY_S = 10.0
TRIES = 10
"""What has failed so often, other than because something was away, is put aside."""
_FAR: Instant = 2**62


class Returning:
    def __init__(
        self, bus: Bus, store: Store, deciding: Deciding, clock: Clock, lapse: Lapse, *, concurrency: int
    ) -> None:
        self._bus = bus
        self._store = store
        self._deciding = deciding
        self._clock = clock
        self._lapse = lapse
        self._concurrency = concurrency
        self._sleeps_until = _FAR
        self._nudge = asyncio.Event()
        self._stopping = False
        self._stopped = asyncio.Event()

    def expect(self, due: Instant) -> None:
        """Something waits until ``due``."""
        if due < self._sleeps_until:
            self._nudge.set()

    async def run(self) -> None:
        """Until ``stop`` is called. What cannot be done now is tried again."""
        while not self._stopping:
            try:
                await self._round()
            except db.AWAY as error:
                log.warning("returning_waits", **describe(error))
                await self._sleep(self._clock.now() + LOOK_EVERY * self._lapse.speed)
        self._stopped.set()

    async def stop(self) -> None:
        """Take no more, and finish what is in hand."""
        self._stopping = True
        self._nudge.set()
        await self._stopped.wait()

    async def on_get_waiting(self, request: GetWaiting) -> WaitingFound:
        return WaitingFound(await self._store.waiting_of(request.people))

    async def count(self) -> None:
        """For the gauge, for ever."""
        while True:
            try:
                metrics.THROTTLE_DEFERRED.set(await self._store.waiting())
            except db.AWAY as error:
                log.debug("waiting_not_counted", **describe(error))
            await asyncio.sleep(COUNT_EVERY_S)

    async def _round(self) -> None:
        now = self._clock.now()
        taken, broken = await self._store.take(now, now + HELD * self._lapse.speed, AT_ONCE)
        if taken or broken:
            done = {one.trigger_id for one in broken if await self._put_aside(0, one.data, one.reason)}
            await self._decide(taken, done)
            return
        self._nudge.clear()
        due = await self._store.next_due(now)
        await self._sleep(min(now + LOOK_EVERY * self._lapse.speed, due if due is not None else _FAR))

    async def _sleep(self, until: Instant) -> None:
        self._sleeps_until = until
        try:
            async with asyncio.timeout(max(0.001, self._lapse.real(until - self._clock.now()) / SECOND)):
                await self._nudge.wait()
        except TimeoutError:
            pass
        finally:
            self._sleeps_until = _FAR

    async def _decide(self, taken: list[Waiting], done: set[str]) -> None:
        """Those of one person after each other, since the first of them is decided with all the others. ``done``: what is
        over with already."""
        groups: dict[str, list[Waiting]] = {}
        for waiting in taken:
            groups.setdefault(waiting.trigger.person, []).append(waiting)
        left = iter(groups.values())
        async with asyncio.TaskGroup() as tasks:
            for number in range(min(self._concurrency, len(groups))):
                tasks.create_task(self._work(left, done), name=f"return-{number}")
        await self._store.forget(list(done))

    async def _work(self, left: Iterator[list[Waiting]], done: set[str]) -> None:
        for group in left:
            for waiting in group:
                if waiting.trigger.id not in done:
                    await self._return(waiting, done)

    async def _return(self, waiting: Waiting, done: set[str]) -> None:
        """What cannot be decided or published now is taken again, after ``HELD`` at the latest."""
        trigger = waiting.trigger
        with bind(trigger=trigger.id, person=trigger.person, rule=trigger.rule):
            try:
                for made in await self._deciding.returned(waiting):
                    if isinstance(made.verdict, Decision):
                        await publish(self._bus, made.trigger, made.verdict)
                        done.add(made.trigger.id)
                late = self._lapse.real(max(0, self._clock.now() - waiting.due)) / SECOND
                metrics.THROTTLE_RETURN_LATENESS_S.observe(late)
            except (RetryLater, Unavailable, *db.AWAY) as error:
                log.warning("waiting_not_decided", **describe(error))
            except Exception as error:  # as in shared.consume: what nobody foresaw, and what holds up no other
                log.exception("waiting_failed", tries=waiting.tries)
                reason = f"failed {waiting.tries} times, last with {type(error).__name__}: {error}"
                partition = partition_of(trigger.person, self._bus.partitions)
                if waiting.tries >= TRIES and await self._put_aside(partition, encode(trigger), reason):
                    done.add(trigger.id)

    async def _put_aside(self, partition: int, data: bytes, reason: str) -> bool:
        """Whether it is among the dead letters now; else it is taken again."""
        try:
            await self._bus.dead_letter(reason, Msg(self._bus.nc, subjects.trigger_subject(partition), data=data))
        except BusUnavailable as error:
            log.warning("dead_letter_waits", **describe(error))
            return False
        return True
