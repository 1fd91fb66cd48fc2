"""Messages of a JetStream pull consumer, delivered as they come.

nats-py's own ``fetch`` asks for a batch and waits for it to fill or time out. Here a request is always open, so a message
is delivered the moment it is stored; the next request is made when half of the window has been worked off, so never more
than the window lies unread: the back-pressure that a plain subscription lacks.
"""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

import msgspec
import structlog
from nats.aio.msg import Msg
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from shared.bus import Bus
from shared.clock import Instant

log = structlog.get_logger()

EXPIRES_S = 30
HEARTBEAT_S = 2
_STATUS = "Status"


class Delivery(NamedTuple):
    """What JetStream says of a delivery, in the reply subject of the message."""

    times: int
    stream_sequence: int
    consumer_sequence: int
    stored: Instant
    pending: int


def delivery(msg: Msg) -> Delivery:
    """``$JS.ACK[.<domain>.<account>].<stream>.<consumer>.<times>.<stream seq>.<consumer seq>.<ns>.<pending>[.<token>]``"""
    tokens = msg.reply.split(".")
    first = 4 if len(tokens) == 9 else 6
    times, stream_sequence, consumer_sequence, stored_ns, pending = map(int, tokens[first : first + 5])
    return Delivery(times, stream_sequence, consumer_sequence, stored_ns // 1000, pending)


class Pull:
    """Keeps a pull consumer delivering into ``on_message``. ``on_lost(reason)`` is called when the consumer is gone or
    silent; the owner then makes it anew, or calls ``resume`` if it is durable."""

    def __init__(
        self,
        bus: Bus,
        stream: str,
        consumer: str,
        window: int,
        on_message: Callable[[Msg], None],
        on_lost: Callable[[str], None],
    ) -> None:
        self._bus = bus
        self._subject = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}"
        self._window = window
        self._on_message = on_message
        self._on_lost = on_lost
        self._requested = 0
        self._unread = 0
        self._heard = 0.0
        self._inbox = bus.nc.new_inbox()
        self._subscription: Subscription | None = None
        self._watch: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._subscription = await self._bus.nc.subscribe(self._inbox, cb=self._receive)
        await self.resume()
        self._watch = asyncio.create_task(self._watch_heartbeats(), name=f"watch {self._subject}")

    async def resume(self) -> None:
        """Forget what was asked for and ask anew."""
        self._requested = 0
        self._heard = asyncio.get_running_loop().time()
        await self._ask()

    async def took(self, count: int = 1) -> None:
        """``count`` messages were worked off."""
        self._unread -= count
        if self._requested + self._unread <= self._window // 2:
            await self._ask()

    async def stop(self) -> None:
        """No message is delivered after this."""
        if self._watch:
            self._watch.cancel()
            self._watch = None
        subscription, self._subscription = self._subscription, None
        if subscription:
            try:
                await subscription.unsubscribe()
            except NatsError:
                log.debug("unsubscribed_while_disconnected", subject=self._subject)

    async def _ask(self) -> None:
        count = self._window - self._requested - self._unread
        if count <= 0 or self._subscription is None:
            return
        self._requested += count
        request = {"batch": count, "expires": EXPIRES_S * 10**9, "idle_heartbeat": HEARTBEAT_S * 10**9}
        try:
            await self._bus.nc.publish(self._subject, msgspec.json.encode(request), self._inbox)
        except NatsError as error:
            log.warning("pull_request_failed", subject=self._subject, error=str(error))

    async def _receive(self, msg: Msg) -> None:
        if self._subscription is None:
            return
        self._heard = asyncio.get_running_loop().time()
        status = msg.headers.get(_STATUS) if msg.headers and not msg.reply else None
        if status is None:
            self._requested -= 1
            self._unread += 1
            self._on_message(msg)
            if self._requested <= 0:
                await self._ask()
        elif status != "100":  # 100 is a heartbeat
            await self._ended(status, msg)

    async def _ended(self, status: str, msg: Msg) -> None:
        """A request ended before it was filled: it expired (408), or the consumer is no more (404, 409, 503)."""
        headers = msg.headers or {}
        description = headers.get("Description", "").lower()
        self._requested = max(0, self._requested - int(headers.get("Nats-Pending-Messages", self._requested)))
        if status in ("404", "408") or "batch completed" in description or "exceeded" in description:
            await self._ask()
        else:
            self._on_lost(f"{status} {description}".strip())

    async def _watch_heartbeats(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(HEARTBEAT_S)
            if self._requested > 0 and self._bus.connected and loop.time() - self._heard > 2.5 * HEARTBEAT_S:
                self._heard = loop.time()
                self._on_lost("no heartbeat")
