"""Learning from what sites report: one of the mailer's processes at a time reads it in order and commits what a batch
taught together with how far it read. So whatever is killed, paused or delivered again, each event counts once.

It is statistics, and no hurry: what comes within a tenth of a second goes together, and no mail waits for it.
"""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence, Set
from datetime import timedelta
from uuid import uuid4

import asyncpg
import msgspec
import structlog
from nats.errors import Error as NatsError
from nats.js.errors import Error as JetStreamError

from services.mailer.catalogue.learning import Learned, Lesson, learn, lesson
from services.mailer.catalogue.store import Catalogue
from shared import db, metrics, subjects
from shared.bus import Bus, describe
from shared.clock import Clock
from shared.errors import BusUnavailable
from shared.messages import Event
from shared.ordered import OrderedReader, Received
from shared.runtime import Runtime

log = structlog.get_logger()

BATCH = 500
"""Events at a time: for as long as they are gone through, some 5 ms, no mail goes on."""
WINDOW = 2000
LINGER_S = 0.1
LEASE = timedelta(seconds=5)
RENEW_S = 1.0
FIND_S = 60.0
"""After so long at the latest it is worked out what goes with what was counted; sooner, if nothing comes for a second."""
FIND_MOST = 200
"""Products at a time: some 50 ms of PostgreSQL's."""
TIDY_S = 600.0
SESSIONS_FORGOTTEN = timedelta(hours=1)
"""After the last event that was read of them, however long ago it happened: imports tell of the past."""
PRODUCTS_FORGOTTEN = timedelta(days=7)
"""Of which browsers told, and never enough of them the same."""
BROWSERS_MOST = 50_000
"""Products that are known by browsers alone. Whoever makes up more of them finds no room, nor do others, until those are
forgotten: a feed has room always."""

_decode = msgspec.msgpack.Decoder(Event).decode
_SPOILT = (asyncpg.DataError, ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What an event that nobody foresaw may cause, here or in PostgreSQL: the others go on without it."""
_AWAY = (*db.AWAY, asyncpg.PostgresError, NatsError, JetStreamError, BusUnavailable)
"""What may pass: a full disk, too. What was not committed is read again."""


class Learner:
    """``also``: who else wants to hear of those events, at least once each and in order."""

    def __init__(
        self,
        bus: Bus,
        catalogue: Catalogue,
        clock: Clock,
        hosts: Set[str],
        also: Callable[[Sequence[Event]], Awaitable[None]],
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._clock = clock
        self._hosts = hosts
        self._also = also
        self._owner = str(uuid4())
        self._at = 0
        self._room = 0
        self._stale, self._finding = True, False
        self._round = self._tidied = 0.0

    def start(self, runtime: Runtime) -> None:
        task = runtime.start("learn the catalogue", self._run())

        async def stop() -> None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await self._catalogue.release(self._owner)

        runtime.on_stop("stop learning", stop)

    async def _run(self) -> None:
        while True:
            try:
                if (at := await self._catalogue.claim(self._owner, LEASE)) is not None:
                    await self._lead(at)
            except _AWAY as error:
                log.warning("learning_waits", **describe(error))
            await asyncio.sleep(RENEW_S)

    async def _lead(self, at: int) -> None:
        """Learn for as long as no other process has taken over."""
        last = (await self._bus.nc.jetstream(timeout=5).stream_info(subjects.EVENTS)).state.last_seq
        if last < at:
            log.warning("learning_begins_where_the_stream_ends", learned=at, last=last)
            await self._catalogue.place(self._owner, last)
        self._at = min(at, last)
        self._room = BROWSERS_MOST - await self._catalogue.browsers_products()
        arrived = asyncio.Event()
        reader = OrderedReader(self._bus, subjects.EVENTS, subjects.ALL_SITE_EVENTS, self._at, WINDOW, arrived.set)
        await reader.start()
        log.info("learning", after=self._at)
        try:
            while True:
                batch = await self._batch(reader, arrived)
                if not await (self._learn(batch) if batch else self._renew()):
                    return
                await self._find_neighbours(idle=not batch)
                await self._tidy()
        finally:
            await reader.stop()

    async def _renew(self) -> bool:
        return await self._catalogue.claim(self._owner, LEASE) is not None

    async def _batch(self, reader: OrderedReader, arrived: asyncio.Event) -> list[Received]:
        """What waits, after a moment in which more may come; nothing, if nothing came for a while."""
        arrived.clear()
        if not len(reader):
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RENEW_S):
                    await arrived.wait()
        if 0 < len(reader) < BATCH:
            await asyncio.sleep(LINGER_S)
        batch: list[Received] = []
        while len(batch) < BATCH and (received := reader.first()):
            batch.append(received)
            reader.drop()
        await reader.dropped(len(batch))
        return batch

    async def _learn(self, batch: Sequence[Received]) -> bool:
        began = time.perf_counter()
        events = [event for received in batch if (event := _read(received))]
        lessons = [found for event in events if (found := lesson(event))]
        try:
            learned = await self._taught(lessons)
            await self._also(events)
            if not await self._commit(batch, learned):
                return False
        except _SPOILT as error:
            return await self._go_on_without(batch, error)
        self._stale = self._stale or bool(learned.weights)
        metrics.CATALOGUE_EVENTS.labels("learned").inc(len(lessons))
        metrics.CATALOGUE_EVENTS.labels("passed_over").inc(len(batch) - len(lessons))
        metrics.CATALOGUE_LEARN_S.observe(time.perf_counter() - began)
        return True

    async def _commit(self, batch: Sequence[Received], learned: Learned) -> bool:
        through = batch[-1].sequence
        if not await self._catalogue.learn(self._owner, self._at, through, LEASE, learned):
            return False
        self._at = through
        self._room -= learned.brought
        return True

    async def _go_on_without(self, batch: Sequence[Received], error: Exception) -> bool:
        """The event that spoils the batch is looked for and put aside."""
        if len(batch) > 1:
            half = len(batch) // 2
            return await self._learn(batch[:half]) and await self._learn(batch[half:])
        await self._bus.dead_letter(f"cannot be learned from: {type(error).__name__}: {error}", batch[0].msg)
        metrics.CATALOGUE_EVENTS.labels("dead").inc()
        return await self._commit(batch, Learned())

    async def _taught(self, lessons: Sequence[Lesson]) -> Learned:
        if not lessons:
            return Learned()
        rows = await self._catalogue.rows({product for each in lessons for product in each.products})
        sessions = await self._catalogue.sessions({each.event.person for each in lessons})
        return learn(lessons, rows, sessions, self._hosts, self._room)

    async def _find_neighbours(self, *, idle: bool) -> None:
        """A round goes through all that was counted, a part after each batch: what others do is not held up."""
        now = asyncio.get_running_loop().time()
        if not self._finding:
            if not self._stale or not (idle or now - self._round > FIND_S):
                return
            self._finding, self._stale, self._round = True, False, now
        products = await self._catalogue.stale(FIND_MOST, timedelta(seconds=now - self._round))
        if products:
            await self._catalogue.find_neighbours(products, self._clock.now())
        self._finding = len(products) == FIND_MOST

    async def _tidy(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._tidied > TIDY_S:
            self._tidied = now
            await self._catalogue.forget(SESSIONS_FORGOTTEN, PRODUCTS_FORGOTTEN)
            self._room = BROWSERS_MOST - await self._catalogue.browsers_products()


def _read(received: Received) -> Event | None:
    """None for what is no event: the state service puts that aside."""
    try:
        return _decode(received.msg.data)
    except msgspec.DecodeError:
        return None
