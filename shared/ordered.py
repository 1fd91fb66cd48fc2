"""Reading one subject of a stream in order, from a sequence, without acknowledgements.

The position is the reader's own business, committed with what was made of the messages; so nothing needs to be
acknowledged, and a redelivery, which would overtake what came after it, cannot happen.
"""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import structlog
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy

from shared import metrics
from shared.bus import Bus
from shared.clock import Instant, rfc3339
from shared.errors import Unavailable
from shared.pull import Pull, delivery

log = structlog.get_logger()


class Received(NamedTuple):
    sequence: int
    arrived: Instant
    msg: Msg


async def _surely() -> bool:
    return True


class OrderedReader:
    """``through`` is the last sequence received (or the position it began at). ``on_arrival`` is called on each message
    that comes in; ``first`` and ``drop`` give them out. After a gap, an error or silence it begins again behind ``through``, if
    the stream ``agrees`` that what was given out is in it; if not, it is ``astray`` and reads no more."""

    def __init__(
        self,
        bus: Bus,
        stream: str,
        subject: str,
        position: int,
        window: int,
        on_arrival: Callable[[], None],
        agrees: Callable[[], Awaitable[bool]] = _surely,
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._subject = subject
        self._window = window
        self._on_arrival = on_arrival
        self._agrees = agrees
        self._buffer: deque[Received] = deque()
        self._pull: Pull | None = None
        self._expected = 1
        self._stale = False
        self._restart: asyncio.Task[None] | None = None
        self.astray = False
        self.through = position
        self.since: Instant | None = None
        """Begin at this time instead, where sequences are not to be trusted; until the first message is received."""

    async def start(self) -> None:
        """Raises ``nats.errors.Error`` if the consumer cannot be made now."""
        name = f"r{self._bus.nc._nuid.next().decode()}"
        config = ConsumerConfig(
            name=name,
            filter_subject=self._subject,
            **self._begin(),
            ack_policy=AckPolicy.NONE,
            mem_storage=True,
            num_replicas=1,
            inactive_threshold=30,
        )
        await self._bus.nc.jetstream(timeout=2).add_consumer(self._stream, config)
        # Asked when there is a consumer, which does not outlive a server that starts again with less than it had.
        if self._restart and not await self._agrees():
            self.astray = True
            self._on_arrival()
            return
        self._expected, self._stale = 1, False
        self._pull = Pull(self._bus, self._stream, name, self._window, self._receive, self._lost)
        await self._pull.start()

    def _begin(self) -> dict[str, Any]:
        if self.since is None:
            return {"deliver_policy": DeliverPolicy.BY_START_SEQUENCE, "opt_start_seq": self.through + 1}
        return {"deliver_policy": DeliverPolicy.BY_START_TIME, "opt_start_time": rfc3339(self.since)}

    async def stop(self) -> None:
        if self._restart:
            self._restart.cancel()
            self._restart = None
        await self._close()

    def __len__(self) -> int:
        return len(self._buffer)

    def first(self) -> Received | None:
        """The next message, which stays the next until it is dropped."""
        return self._buffer[0] if self._buffer else None

    def drop(self) -> None:
        self._buffer.popleft()

    async def dropped(self, count: int) -> None:
        """``count`` messages were dropped since this was last said: there is room for as many more."""
        if count and self._pull:
            await self._pull.took(count)

    def _receive(self, msg: Msg) -> None:
        told = delivery(msg)
        if self._stale:
            return
        if told.consumer_sequence != self._expected:
            self._begin_again("gap")
            return
        self._expected += 1
        self.through = told.stream_sequence
        self.since = None
        self._buffer.append(Received(told.stream_sequence, told.stored, msg))
        self._on_arrival()

    def _lost(self, reason: str) -> None:
        log.debug("reader_lost", subject=self._subject, reason=reason)
        self._begin_again("lost")

    def _begin_again(self, reason: str) -> None:
        self._stale = True
        if self._restart is None:
            metrics.READER_RESTARTS.labels(reason).inc()
            self._restart = asyncio.create_task(self._reopen(), name=f"reopen {self._subject}")

    async def _reopen(self) -> None:
        delay_s = 0.05
        while True:
            try:
                await self._close()
                await self.start()
                self._restart = None
                return
            except (NatsError, Unavailable, TimeoutError, OSError) as error:
                log.warning("reader_waits", subject=self._subject, error=str(error) or type(error).__name__)
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 1.0)

    async def _close(self) -> None:
        """``through`` goes back to what was given out, since the buffer is dropped."""
        pull, self._pull = self._pull, None
        if pull:
            await pull.stop()
        if self._buffer:
            self.through = self._buffer[0].sequence - 1
            self._buffer.clear()
