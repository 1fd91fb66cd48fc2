"""Working off a work queue: every message ends in one of three ways, decided here and nowhere else.

====================  ==========================================================
the handler           the message
====================  ==========================================================
returns               is acknowledged
``RetryLater``        comes again after the delay it names
``InvalidMessage``    goes to the dead letters with the reason, then is terminated
``Unavailable``       comes again with growing delay, for ever: something is away
any other exception   a bug: comes again with growing delay, and goes to the dead
                      letters on its tenth delivery. Never lost, never looping.
====================  ==========================================================
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Generic, TypeVar

import msgspec
import structlog
from msgspec import Struct
from nats.aio.msg import Msg
from nats.errors import Error as NatsError
from nats.js.api import AckPolicy, ConsumerConfig, DeliverPolicy
from nats.js.errors import Error as JetStreamError

from shared import db, metrics
from shared.bus import Bus, describe
from shared.errors import BusUnavailable, InvalidMessage, RetryLater, Unavailable
from shared.pull import Pull, delivery
from shared.runtime import Runtime

log = structlog.get_logger()
M = TypeVar("M", bound=Struct)

MAX_DELIVERIES = 10
MAX_DELAY_S = 30.0


def delay_after(deliveries: int) -> float:
    """Seconds to wait after the n-th failed delivery: 0.1, 0.2, 0.4 … at most 30."""
    return float(min(0.1 * 2 ** (deliveries - 1), MAX_DELAY_S))


class Consumer(Generic[M]):
    """A durable pull consumer shared by all replicas of a service, worked off by ``concurrency`` handlers at a time."""

    def __init__(
        self, bus: Bus, stream: str, durable: str, type_: type[M], handler: Callable[[M], Awaitable[None]]
    ) -> None:
        self._bus = bus
        self._stream = stream
        self._durable = durable
        self._decode = msgspec.msgpack.Decoder(type_).decode
        self._handler = handler
        self._queue: asyncio.Queue[Msg] = asyncio.Queue()
        self._in_hand: dict[int, tuple[Msg, float]] = {}
        """What was received and not yet answered, with the moment up to which it is surely nobody else's."""
        self._busy = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._ack_wait_s = 30.0
        self._max_pending = 1000
        self._pull: Pull | None = None
        self._lost = asyncio.Event()

    @classmethod
    async def start(
        cls,
        runtime: Runtime,
        bus: Bus,
        *,
        stream: str,
        durable: str,
        subject: str,
        type: type[M],  # noqa: A002 - reads best at the call
        handler: Callable[[M], Awaitable[None]],
        concurrency: int = 16,
        ack_wait_s: float = 30.0,
        max_pending: int = 1000,
    ) -> "Consumer[M]":
        """Make the consumer if need be and begin. It stops fetching first of all when the process shuts down, and what
        is in hand is finished within the budget. ``max_pending``: so many messages may be unacknowledged; those that
        come again later count, and hold up all others when there are too many of them."""
        consumer = cls(bus, stream, durable, type, handler)
        consumer._ack_wait_s = ack_wait_s
        consumer._max_pending = max_pending
        await consumer._declare(subject, concurrency)
        consumer._pull = Pull(bus, stream, durable, 2 * concurrency, consumer._receive, consumer._on_lost)
        await consumer._pull.start()
        bus.on_reconnect(consumer._lost.set)
        for number in range(concurrency):
            runtime.start(f"{durable}-{number}", consumer._work())
        runtime.start(f"{durable}-keep", consumer._keep())
        runtime.start(f"{durable}-renew", consumer._renew(subject, concurrency))
        runtime.on_stop(f"drain {durable}", consumer.drain)
        return consumer

    async def drain(self) -> None:
        """Take no more, give back what was not begun, wait for what was."""
        if self._pull:
            await self._pull.stop()
        while not self._queue.empty():
            msg = self._queue.get_nowait()
            del self._in_hand[id(msg)]
            await self._answer(msg.nak())
        await self._idle.wait()

    async def _declare(self, subject: str, concurrency: int) -> None:
        config = ConsumerConfig(
            name=self._durable,  # with a name the filter is part of the request's subject, where permissions see it
            durable_name=self._durable,
            filter_subject=subject,
            deliver_policy=DeliverPolicy.ALL,
            ack_policy=AckPolicy.EXPLICIT,
            ack_wait=self._ack_wait_s,
            max_deliver=-1,
            max_ack_pending=max(self._max_pending, 8 * concurrency),
        )
        await self._bus.nc.jetstream(timeout=5).add_consumer(self._stream, config)

    def _on_lost(self, reason: str) -> None:
        log.warning("consumer_lost", consumer=self._durable, reason=reason)
        self._lost.set()

    async def _renew(self, subject: str, concurrency: int) -> None:
        """After a reconnection or the loss of the consumer: declare it again and ask anew."""
        while True:
            await self._lost.wait()
            self._lost.clear()
            try:
                await self._declare(subject, concurrency)
                if self._pull:
                    await self._pull.resume()
            except (NatsError, JetStreamError, TimeoutError) as error:
                log.warning("consumer_waits", consumer=self._durable, **describe(error))
                await asyncio.sleep(0.5)
                self._lost.set()

    def _receive(self, msg: Msg) -> None:
        self._in_hand[id(msg)] = msg, asyncio.get_running_loop().time() + self._ack_wait_s
        self._queue.put_nowait(msg)

    async def _work(self) -> None:
        while True:
            msg = await self._queue.get()
            self._busy += 1
            self._idle.clear()
            try:
                outcome = await self._handle(msg) if self._still_ours(msg) else "passed_on"
                metrics.MESSAGES_HANDLED.labels(self._durable, outcome).inc()
            finally:
                del self._in_hand[id(msg)]
                self._busy -= 1
                if not self._busy:
                    self._idle.set()
            if self._pull:
                await self._pull.took()

    def _still_ours(self, msg: Msg) -> bool:
        """False after this process was paused for so long that the message has gone to somebody else."""
        return asyncio.get_running_loop().time() < self._in_hand[id(msg)][1]

    async def _keep(self) -> None:
        """While a message waits here or is being handled nobody else gets it; if this process dies, somebody does."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(self._ack_wait_s / 3)
            for key, (msg, until) in list(self._in_hand.items()):
                if key in self._in_hand and loop.time() < until:
                    await self._answer(msg.in_progress())
                    if key in self._in_hand:
                        self._in_hand[key] = msg, loop.time() + self._ack_wait_s

    async def _handle(self, msg: Msg) -> str:
        try:
            await self._handler(self._decode(msg.data))
        except msgspec.DecodeError as error:
            return await self._put_aside(msg, f"not a {self._stream} message: {error}")
        except InvalidMessage as error:
            return await self._put_aside(msg, error.reason)
        except RetryLater as later:
            log.info("message_retried_later", consumer=self._durable, reason=later.reason, delay_s=later.delay_s)
            await self._answer(msg.nak(delay=later.delay_s))
            return "retry"
        except (Unavailable, *db.AWAY) as error:
            delay_s = delay_after(delivery(msg).times)
            log.warning("message_waits", consumer=self._durable, delay_s=delay_s, **describe(error))
            await self._answer(msg.nak(delay=delay_s))
            return "retry"
        except Exception as error:  # the one place that maps what nobody foresaw
            times = delivery(msg).times
            log.exception("message_failed", consumer=self._durable, delivery=times)
            if times >= MAX_DELIVERIES:
                return await self._put_aside(msg, f"failed {times} times, last with {type(error).__name__}: {error}")
            await self._answer(msg.nak(delay=delay_after(times)))
            return "failed"
        await self._answer(msg.ack())
        return "done"

    async def _put_aside(self, msg: Msg, reason: str) -> str:
        try:
            await self._bus.dead_letter(reason, msg)
        except BusUnavailable as error:
            log.warning("dead_letter_waits", consumer=self._durable, **describe(error))
            await self._answer(msg.nak(delay=1))
            return "retry"
        await self._answer(msg.term())
        return "invalid"

    async def _answer(self, answer: Awaitable[Any]) -> None:
        """An answer that does not get through is no harm: the message comes again, and handling it is idempotent."""
        try:
            await answer
        except NatsError as error:
            log.warning("acknowledgement_lost", consumer=self._durable, **describe(error))
