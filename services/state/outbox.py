"""Publishing what was committed, triggers and links, until each is known to be published; and handing on what belongs to
others."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Collection

import msgspec
import structlog

from services.state.identity import Link, Message
from services.state.rows import Linked
from services.state.store import Store
from shared import db, metrics, subjects
from shared.bus import Bus, Outgoing, describe, encode, message_id
from shared.clock import Clock
from shared.messages import Trigger
from shared.partition import partition_of

log = structlog.get_logger()

SWEEP_S = 2.0
MOST_WAITING = 5000
"""Triggers that wait to be published before turns wait for them."""

_decode = msgspec.msgpack.Decoder(Trigger).decode


class Outbox:
    """Triggers are published as soon as they are committed; the id of the message is the trigger's own, so publishing one
    again, here or in the process that takes over, makes no second one."""

    def __init__(self, bus: Bus, store: Store, clock: Clock) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._to_mark: list[str] = []
        self._told: list[int] = []
        self._waiting: list[Trigger] = []
        self._work = asyncio.Event()
        self._flushing = asyncio.Lock()

    async def put(self, triggers: Collection[Trigger]) -> None:
        """Have triggers published that were just committed; the next turn need not wait for that, unless many wait."""
        if not triggers:
            return
        now = self._clock.now()
        for trigger in triggers:
            trigger.stamps.committed = now
        self._waiting += triggers
        self._work.set()
        if len(self._waiting) > MOST_WAITING:
            await self.flush()

    async def run(self, owned: Callable[[], Collection[int]]) -> None:
        """Publish what was put, at once, and every few seconds what was left behind."""
        loop = asyncio.get_running_loop()
        next_sweep = loop.time() + SWEEP_S
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(next_sweep):
                    await self._work.wait()
            self._work.clear()
            await self._attempt(self.flush())
            if loop.time() >= next_sweep:
                next_sweep = loop.time() + SWEEP_S
                await self._attempt(self.sweep(owned()))

    async def flush(self) -> None:
        """Publish what waits, and mark what was published."""
        async with self._flushing:
            while self._waiting:
                triggers, self._waiting = self._waiting, []
                await self._publish(triggers)
            await self._mark()

    async def _publish(self, triggers: Collection[Trigger]) -> None:
        """What fails stays unpublished in the table and is found by ``sweep``."""
        messages = []
        for trigger in triggers:
            subject = subjects.trigger_subject(partition_of(trigger.person, self._bus.partitions))
            messages.append(Outgoing(subject, encode(trigger), trigger.id))
        failures = await self._bus.publish_many(messages)
        published = [trigger.id for trigger, failure in zip(triggers, failures, strict=True) if failure is None]
        self._to_mark += published
        if published:
            rules = sorted({trigger.rule for trigger in triggers})
            log.info("triggers_published", count=len(published), rules=rules, first=published[0])
        if failed := next(filter(None, failures), None):
            log.warning("triggers_wait", count=len(failures) - len(published), **describe(failed))

    async def forward(self, messages: Collection[Message]) -> None:
        """Hand on what belongs to others. This comes before the commit that it belongs to: if that fails, the same is
        handed on again by whoever repeats the turn, and is recognised. Raises ``BusUnavailable``."""
        if not messages:
            return
        failures = await self._bus.publish_many([self._addressed(message) for message in messages])
        if failed := next(filter(None, failures), None):
            raise failed
        metrics.STATE_FORWARDED.inc(len(messages))

    async def tell(self, links: Collection[Linked]) -> None:
        """Tell those who turned out to be somebody else. What fails is found by ``sweep``."""
        made = [link for link in links if not link.refused]
        for link in links:
            metrics.IDENTITY_LINKS.labels("refused" if link.refused else "made").inc()
            log.info("link_refused" if link.refused else "link_made", previous=link.previous, person=link.person)
        if not made:
            return
        failures = await self._bus.publish_many(
            [self._addressed(Link(f"link:{link.id}", link.previous, link.person)) for link in made]
        )
        self._told += [link.id for link, failure in zip(made, failures, strict=True) if failure is None]
        self._work.set()

    def _addressed(self, message: Message) -> Outgoing:
        subject = subjects.actor_subject(partition_of(message.person, self._bus.partitions))
        return Outgoing(subject, encode(message), message_id(message.person, message.id))

    async def sweep(self, partitions: Collection[int]) -> None:
        """Publish what a failure, or an owner that died, left behind."""
        left = [_decode(message) for message in await self._store.unpublished(partitions)]
        known = {*self._to_mark, *(trigger.id for trigger in self._waiting)}
        await self.put([trigger for trigger in left if trigger.id not in known])
        told = set(self._told)
        await self.tell([link for link in await self._store.links_untold(partitions) if link.id not in told])
        await self.flush()

    async def _mark(self) -> None:
        marked, self._to_mark = self._to_mark, []
        told, self._told = self._told, []
        try:
            if marked:
                await self._store.published(marked)
            if told:
                await self._store.links_told(told)
        except BaseException:
            self._to_mark += marked
            self._told += told
            raise

    async def _attempt(self, work: Awaitable[None]) -> None:
        try:
            await work
        except db.AWAY as error:
            log.warning("outbox_waits", **describe(error))
            await asyncio.sleep(0.2)
