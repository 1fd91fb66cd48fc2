"""Learning from what sites report: one of the mailer's processes at a time reads it in order and commits what a batch
taught together with how far it read. So whatever is killed, paused or delivered again, each event counts once.

It is statistics, and no hurry: half a second of events go together, and a mail waits for none of this.
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

from services.mailer.catalogue.learning import Learned, learn, products_of, teaches
from services.mailer.catalogue.recommend import NEIGHBOURS
from services.mailer.catalogue.store import Catalogue
from shared import db, metrics, subjects
from shared.bus import Bus, describe
from shared.errors import BusUnavailable
from shared.messages import Event
from shared.ordered import OrderedReader, Received
from shared.runtime import Runtime

log = structlog.get_logger()

BATCH = 1000
LINGER_S = 0.5
LEASE = timedelta(seconds=10)
RENEW_S = 3.0
PRUNE_S = 60.0
TIDY_S = 600.0
SESSIONS_FORGOTTEN = timedelta(hours=1)
"""After the last event that was read of them, however long ago it happened: imports tell of the past."""
PRODUCTS_FORGOTTEN = timedelta(days=7)
"""Of which browsers told, and never enough of them the same."""
BROWSERS_MOST = 50_000
"""Products that are known by browsers alone. Whoever makes up more of them finds no room, nor do others, until those are
forgotten: a feed has room always."""

_decode = msgspec.msgpack.Decoder(Event).decode
_AWAY = (*db.AWAY, NatsError, JetStreamError, BusUnavailable)


class Learner:
    """``also``: who else wants to hear of those events, at least once each and in order."""

    def __init__(
        self, bus: Bus, catalogue: Catalogue, hosts: Set[str], also: Callable[[Sequence[Event]], Awaitable[None]]
    ) -> None:
        self._bus = bus
        self._catalogue = catalogue
        self._hosts = hosts
        self._also = also
        self._owner = str(uuid4())
        self._at = 0
        self._room = 0
        self._counted: set[str] = set()
        """Products that may have too many neighbours."""
        self._pruned = self._tidied = 0.0

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
        reader = OrderedReader(self._bus, subjects.EVENTS, subjects.ALL_SITE_EVENTS, self._at, 2 * BATCH, arrived.set)
        await reader.start()
        log.info("learning", after=self._at)
        try:
            while await self._turn(reader, arrived):
                await self._keep_small()
        finally:
            await reader.stop()

    async def _turn(self, reader: OrderedReader, arrived: asyncio.Event) -> bool:
        """Learn what waits, after a moment in which more may come. False if another process has taken over."""
        arrived.clear()
        if not len(reader):
            try:
                async with asyncio.timeout(RENEW_S):
                    await arrived.wait()
            except TimeoutError:
                return await self._catalogue.claim(self._owner, LEASE) is not None
        if len(reader) < BATCH:
            await asyncio.sleep(LINGER_S)
        batch: list[Received] = []
        while len(batch) < BATCH and (received := reader.first()):
            batch.append(received)
            reader.drop()
        await reader.dropped(len(batch))
        return not batch or await self._learn(batch)

    async def _learn(self, batch: Sequence[Received]) -> bool:
        began = time.perf_counter()
        events = list(filter(teaches, (event for received in batch if (event := _read(received)))))
        try:
            learned = await self._taught(events)
            await self._also(events)
            mine = await self._catalogue.learn(self._owner, self._at, batch[-1].sequence, LEASE, learned)
        except db.AWAY:
            raise
        except asyncpg.TransactionRollbackError as error:  # two waited for each other: the other one went on
            log.warning("learning_again", **describe(error))
            return await self._learn(batch)
        except Exception as error:  # one of them holds what nobody foresaw: the others go on without it
            if len(batch) > 1:
                half = len(batch) // 2
                return await self._learn(batch[:half]) and await self._learn(batch[half:])
            await self._bus.dead_letter(f"cannot be learned from: {type(error).__name__}: {error}", batch[0].msg)
            metrics.CATALOGUE_EVENTS.labels("dead").inc()
            events, learned = [], Learned()
            mine = await self._catalogue.learn(self._owner, self._at, batch[-1].sequence, LEASE, learned)
        if not mine:
            return False
        self._at = batch[-1].sequence
        self._counted.update(product for product, _ in learned.pairs)
        metrics.CATALOGUE_EVENTS.labels("learned").inc(len(events))
        metrics.CATALOGUE_EVENTS.labels("passed_over").inc(len(batch) - len(events))
        metrics.CATALOGUE_LEARN_S.observe(time.perf_counter() - began)
        return True

    async def _taught(self, events: Sequence[Event]) -> Learned:
        if not events:
            return Learned()
        products = {product for event in events for product in products_of(event.name, event.properties)}
        rows = await self._catalogue.rows(products)
        sessions = await self._catalogue.sessions({event.person for event in events})
        return learn(events, rows, sessions, self._hosts, self._room)

    async def _keep_small(self) -> None:
        now = asyncio.get_running_loop().time()
        if now - self._pruned > PRUNE_S:
            self._pruned = now
            counted, self._counted = self._counted, set()
            await self._catalogue.prune(counted, NEIGHBOURS)
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
