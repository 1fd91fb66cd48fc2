"""Publishing the triggers that were committed, until each is known to be published."""

import asyncio
from collections.abc import Awaitable, Callable, Collection

import msgspec
import structlog

from services.state.store import Store
from shared import db, subjects
from shared.bus import Bus, Outgoing, describe, encode
from shared.clock import Clock
from shared.messages import Trigger
from shared.partition import partition_of

log = structlog.get_logger()

SWEEP_S = 2.0

_decode = msgspec.msgpack.Decoder(Trigger).decode


class Outbox:
    """Triggers are published as soon as they are committed; the id of the message is the trigger's own, so publishing one
    again, here or in the process that takes over, makes no second one."""

    def __init__(self, bus: Bus, store: Store, clock: Clock) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._to_mark: list[str] = []
        self._marking = asyncio.Event()

    async def publish(self, triggers: Collection[Trigger]) -> None:
        """Publish at once. What fails stays unpublished in the table and is found by ``sweep``."""
        if not triggers:
            return
        messages = []
        for trigger in triggers:
            if not trigger.stamps.committed:
                trigger.stamps.committed = self._clock.now()
            subject = subjects.trigger_subject(partition_of(trigger.person, self._bus.partitions))
            messages.append(Outgoing(subject, encode(trigger), trigger.id))
        failures = await self._bus.publish_many(messages)
        for trigger, failure in zip(triggers, failures, strict=True):
            if failure is None:
                self._to_mark.append(trigger.id)
                log.info("trigger_published", trigger=trigger.id, rule=trigger.rule, person=trigger.person)
            else:
                log.warning("trigger_waits", trigger=trigger.id, rule=trigger.rule, **describe(failure))
        self._marking.set()

    async def run(self, owned: Callable[[], Collection[int]]) -> None:
        """Mark what was published, and every few seconds look for what was not."""
        while True:
            try:
                async with asyncio.timeout(SWEEP_S):
                    await self._marking.wait()
            except TimeoutError:
                await self._attempt(self.sweep(owned()))
            self._marking.clear()
            await self._attempt(self._mark())

    async def sweep(self, partitions: Collection[int]) -> None:
        """Publish what a failure, or an owner that died, left behind."""
        left = [_decode(message) for message in await self._store.unpublished(partitions)]
        waiting = set(self._to_mark)
        await self.publish([trigger for trigger in left if trigger.id not in waiting])

    async def _mark(self) -> None:
        marked, self._to_mark = self._to_mark, []
        if not marked:
            return
        try:
            await self._store.published(marked)
        except BaseException:
            self._to_mark += marked
            raise

    async def _attempt(self, work: Awaitable[None]) -> None:
        try:
            await work
        except db.AWAY as error:
            log.warning("outbox_waits", **describe(error))
            await asyncio.sleep(0.2)
