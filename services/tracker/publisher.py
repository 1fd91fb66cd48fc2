"""Stores what requests bring, many requests at a time, and tells each of them only once its events are stored.

While one batch is on its way, the next collects whatever comes, and batches keep a short distance. So nothing lingers when it
is quiet, and batches grow by themselves under load.
"""

import asyncio
from collections import deque
from collections.abc import Sequence
from time import perf_counter
from typing import NamedTuple, Protocol

import structlog

from shared import metrics
from shared.bus import Outgoing
from shared.errors import BusUnavailable
from shared.messages import Event

log = structlog.get_logger()


class EventBus(Protocol):
    @property
    def connected(self) -> bool: ...

    def event_message(self, event: Event) -> Outgoing: ...

    async def publish_many(self, messages: Sequence[Outgoing], *, timeout_s: float) -> list[BusUnavailable | None]: ...


class Full(Exception):
    """More is waiting to be stored than the tracker holds; the sender should come again."""


class _Waiting(NamedTuple):
    messages: list[Outgoing]
    size: int
    """Bytes."""
    stored: asyncio.Future[None]
    since: float
    """As ``perf_counter`` says."""


_WAITED, _STORED = (metrics.TRACKER_STAGE_S.labels(stage) for stage in ("waited", "stored"))
DISTANCE_S = 0.003
"""From the start of one batch to the start of the next, at least. A batch costs much more than a message in it."""
BATCH = 500
"""Messages published together; one request is never split."""


class Publisher:
    """``capacity``: bytes that may wait. ``timeout_s``: how long one batch is tried.

    A short interruption of the bus is waited out. Once a batch has failed, whatever waits behind it fails with it, and
    new events are refused at once until the connection is back: nobody waits much longer than ``timeout_s``.
    """

    def __init__(self, bus: EventBus, *, capacity: int, timeout_s: float) -> None:
        self._bus = bus
        self._capacity = capacity
        self._timeout_s = timeout_s
        self._queue: deque[_Waiting] = deque()
        self._size = 0
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._failing = False
        self._closed = False

    async def publish(self, events: Sequence[Event]) -> None:
        """Return when all of ``events`` are stored.

        Raises ``Full``, or ``BusUnavailable`` if it is not known of each that it is stored: then all are to be sent again.
        """
        if not events:
            return
        if self._closed:
            raise BusUnavailable("the tracker is shutting down")
        if self._failing and not self._bus.connected:
            raise BusUnavailable("the event stream is away")
        messages = [self._bus.event_message(event) for event in events]
        size = sum(len(message.payload) for message in messages)
        if self._size + size > self._capacity:
            raise Full("too many events are waiting to be stored")
        waiting = _Waiting(messages, size, asyncio.get_running_loop().create_future(), perf_counter())
        self._queue.append(waiting)
        self._size += size
        self._wake.set()
        await waiting.stored

    async def run(self) -> None:
        """Publish batch after batch, until ``drain`` has been called and nothing is left."""
        loop = asyncio.get_running_loop()
        earliest = 0.0
        while True:
            if self._queue:
                if (early_s := earliest - loop.time()) > 0:
                    await asyncio.sleep(early_s)
                earliest = loop.time() + DISTANCE_S
                await self._publish(self._next_batch())
            elif self._closed:
                self._idle.set()
                return
            else:
                self._wake.clear()
                await self._wake.wait()

    async def drain(self) -> None:
        """Take nothing more and return when everything taken has been stored or refused."""
        self._closed = True
        self._wake.set()
        await self._idle.wait()

    def _next_batch(self) -> list[_Waiting]:
        batch = [self._queue.popleft()]
        size = len(batch[0].messages)
        while self._queue and size + len(self._queue[0].messages) <= BATCH:
            batch.append(self._queue.popleft())
            size += len(batch[-1].messages)
        return batch

    async def _publish(self, batch: list[_Waiting]) -> None:
        messages = [message for waiting in batch for message in waiting.messages]
        metrics.TRACKER_BATCH.observe(len(messages))
        started = perf_counter()
        _WAITED.observe(started - batch[0].since)
        errors = await self._store(messages)
        _STORED.observe(perf_counter() - started)
        position = 0
        for waiting in batch:
            after = position + len(waiting.messages)
            self._settle(waiting, next(filter(None, errors[position:after]), None))
            position = after
        if failed := [error for error in errors if error]:
            log.warning("events_not_stored", events=len(failed), error=str(failed[0]))
        self._failing = len(failed) == len(errors)
        if self._failing:
            while self._queue:
                self._settle(self._queue.popleft(), errors[0])

    async def _store(self, messages: list[Outgoing]) -> Sequence[BusUnavailable | None]:
        try:
            # The bus keeps to its time limit (twice: as an atomic batch, then singly). No request must hang even if the
            # library below it does.
            async with asyncio.timeout(2 * self._timeout_s + 0.5):
                return await self._bus.publish_many(messages, timeout_s=self._timeout_s)
        except TimeoutError:
            return [BusUnavailable("no acknowledgement in time")] * len(messages)

    def _settle(self, waiting: _Waiting, error: BusUnavailable | None) -> None:
        self._size -= waiting.size
        if waiting.stored.done():  # its request was cancelled
            return
        if error is None:
            waiting.stored.set_result(None)
        else:
            waiting.stored.set_exception(BusUnavailable(str(error)))  # its own: each request adds its traceback
