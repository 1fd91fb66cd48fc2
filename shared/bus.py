"""NATS: one connection per process, bounded publishes, requests with named failures, dead letters."""

import asyncio
import hashlib
import itertools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar
from urllib.parse import urlsplit

import msgspec
import nats
import nats.errors
import structlog
from msgspec import Struct
from nats.aio.client import Client
from nats.aio.msg import Msg

from shared import metrics, subjects
from shared.errors import BusUnavailable, NoResponders, RequestRefused, RequestTimeout, StartError
from shared.messages import Event
from shared.partition import partition_of

log = structlog.get_logger()
T = TypeVar("T")

encode = msgspec.msgpack.Encoder().encode

ATOMIC_FROM = 64
"""From this many messages on they go as one atomic batch: 18 us of client time a message against 36 singly, and one fsync
for all of them. Below, that fsync (3 ms) is the larger part."""
ATOMIC_MAX = 500
REPEAT_S = 1.0
_DUPLICATE_IN_BATCH = 10201


class Outgoing(NamedTuple):
    """A message to be stored once: ``msg_id`` is its ``Nats-Msg-Id``."""

    subject: str
    payload: bytes
    msg_id: str


def message_id(person: str, fact: str) -> str:
    """The ``Nats-Msg-Id`` of a fact about a person."""
    return hashlib.blake2b(f"{person}\0{fact}".encode(), digest_size=16).hexdigest()


class _ApiError(Struct):
    err_code: int = 0
    description: str = ""


class _PubAck(Struct):
    error: _ApiError | None = None


_decode_ack = msgspec.json.Decoder(_PubAck).decode


class _Round:
    """Acknowledgements of messages published together: one future for all of them costs less than one each."""

    def __init__(self, count: int) -> None:
        self._left = count
        self.acks: dict[int, _PubAck] = {}
        self.complete: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def receive(self, index: int, ack: _PubAck) -> None:
        if index not in self.acks:
            self.acks[index] = ack
            self._left -= 1
            if not self._left and not self.complete.done():
                self.complete.set_result(None)


class Bus:
    """A connection of one service, under its own NATS user.

    The first ``connect`` fails if no server is there (the caller decides how long to go on trying); after that the
    connection comes back by itself, for ever.
    """

    def __init__(self, nc: Client, name: str, user: str, partitions: int) -> None:
        self.nc = nc
        self.name = name
        self.partitions = partitions
        self._inbox = f"_INBOX.{user}.ack{nc._nuid.next().decode()}"
        self._tokens = itertools.count(1)
        self._waiting: dict[str, tuple[_Round, int]] = {}
        self._reconnected: list[Callable[[], None]] = []
        self._closing = False
        self._closed = asyncio.Event()

    @classmethod
    async def connect(cls, url: str, name: str, partitions: int) -> "Bus":
        """Raises ``OSError`` or ``nats.errors.Error`` if no server can be reached, ``StartError`` for a bad address."""
        servers = [part.strip() for part in url.split(",") if part.strip()]
        try:
            user = urlsplit(servers[0]).username or name
            if not all(urlsplit(server).hostname for server in servers):
                raise ValueError("expected nats://user:password@host:port")
        except (ValueError, IndexError) as error:
            raise StartError(f"NATS_URL: {error}") from None
        holder: list[Bus] = []

        async def on_reconnect() -> None:
            log.info("nats_reconnected")
            for bus in holder:
                bus._resume()

        async def on_disconnect() -> None:
            if not any(bus._closing for bus in holder):
                log.warning("nats_disconnected")

        async def on_close() -> None:
            for bus in holder:
                if not bus._closing:
                    bus._closed.set()

        nc = await nats.connect(
            servers,
            name=f"beckon-{name}",
            inbox_prefix=f"_INBOX.{user}".encode(),
            ping_interval=5,
            max_outstanding_pings=2,
            max_reconnect_attempts=1,
            reconnect_time_wait=0.25,
            connect_timeout=2,
            error_cb=_on_error,
            disconnected_cb=on_disconnect,
            closed_cb=on_close,
            reconnected_cb=on_reconnect,
        )
        nc.options[
            "max_reconnect_attempts"
        ] = -1  # from now on for ever; set before, the first connect would never return
        bus = cls(nc, name, user, partitions)
        holder.append(bus)
        await nc.subscribe(f"{bus._inbox}.*", cb=bus._on_ack)
        return bus

    @property
    def connected(self) -> bool:
        return bool(self.nc.is_connected)

    def on_reconnect(self, resume: Callable[[], None]) -> None:
        """Call ``resume`` after each reconnection: what the server held for the old connection is gone."""
        self._reconnected.append(resume)

    async def close(self) -> None:
        """Flush what was published and close. Never waits longer than a few seconds."""
        self._closing = True
        try:
            await self.nc.flush(2)
        except (TimeoutError, nats.errors.Error) as error:
            log.warning("nats_not_flushed", **describe(error))
        await self.nc.close()

    async def lost(self) -> None:
        """Returns when the connection is closed for good, though nobody here closed it: the server does that after a
        violation of the protocol. Nothing but a new process helps then."""
        await self._closed.wait()

    # --- Publishing ---------------------------------------------------------------------------------------------------

    async def publish(
        self, message: Outgoing, *, headers: Mapping[str, str] | None = None, timeout_s: float = 5.0
    ) -> None:
        """Store one message. Raises ``BusUnavailable`` if JetStream has not acknowledged it in time; it may be stored
        all the same, and publishing it again with the same id does no harm."""
        if refused := (await self._publish_singly([message], timeout_s, headers))[0]:
            raise refused

    async def publish_many(
        self, messages: Sequence[Outgoing], *, timeout_s: float = 5.0
    ) -> list[BusUnavailable | None]:
        """Store messages of one stream, pipelined or as atomic batches; answers what failed, in order."""
        results: list[BusUnavailable | None] = []
        for start in range(0, len(messages), ATOMIC_MAX):
            part = messages[start : start + ATOMIC_MAX]
            if len(part) >= ATOMIC_FROM and await self._publish_atomically(part, timeout_s):
                results += [None] * len(part)
            else:
                results += await self._publish_singly(part, timeout_s, None)
        return results

    async def publish_event(self, event: Event) -> None:
        await self.publish(self.event_message(event))

    def event_message(self, event: Event) -> Outgoing:
        """The event as a message of its person's partition. A repeat of the same event of the same person, also a
        client's, has the same ``Nats-Msg-Id``."""
        subject = subjects.event_subject(partition_of(event.person, self.partitions), outcome=event.source == "beckon")
        return Outgoing(subject, encode(event), message_id(event.person, event.id))

    async def dead_letter(self, reason: str, msg: Msg) -> None:
        """Put a message aside: whole, with its headers, where it came from and why. Raises ``BusUnavailable``."""
        headers = {**(msg.headers or {})}
        for name in [name for name in headers if name.startswith("Nats-")]:
            del headers[name]
        headers |= {"Beckon-Subject": msg.subject, "Beckon-Reason": " ".join(reason.split())[:1000]}
        digest = hashlib.blake2b(f"{msg.subject}\0{msg.reply}\0".encode() + msg.data, digest_size=16).hexdigest()
        await self.publish(Outgoing(subjects.dead_subject(self.name), msg.data, digest), headers=headers)
        metrics.DEAD_LETTERS.labels(self.name).inc()
        log.error("message_dead_lettered", subject=msg.subject, reason=reason)

    async def _publish_singly(
        self, messages: Sequence[Outgoing], timeout_s: float, headers: Mapping[str, str] | None
    ) -> list[BusUnavailable | None]:
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout_s
        reasons: dict[int, str] = dict.fromkeys(range(len(messages)), "not connected")
        refused: dict[int, str] = {}
        """What the server said says more than that it was silent later."""
        while reasons and (left_s := deadline - loop.time()) > 0:
            round_s = min(left_s, REPEAT_S)
            if not self.connected:
                await asyncio.sleep(min(0.05, round_s))
                continue
            round_, silence = _Round(len(reasons)), "no acknowledgement in time"
            tokens = {index: self._expect_ack(round_, index) for index in reasons}
            try:
                more = _header_lines(headers or {})
                await self._write(
                    [_frame(messages[index], f"{self._inbox}.{token}", more) for index, token in tokens.items()]
                )
                await asyncio.wait([round_.complete], timeout=round_s)
            except nats.errors.Error as error:
                silence = str(error) or type(error).__name__
            failed = False
            for index, token in tokens.items():
                del self._waiting[token]
                if (ack := round_.acks.get(index)) is None:
                    reasons[index] = silence
                elif ack.error:
                    refused[index], failed = ack.error.description, True
                else:
                    del reasons[index]
            if failed or not round_.complete.done():  # somebody said no: wait a little before asking again
                await asyncio.sleep(min(0.1, max(0.0, deadline - loop.time())))
        reasons |= {index: reason for index, reason in refused.items() if index in reasons}
        return [BusUnavailable(reasons[index]) if index in reasons else None for index in range(len(messages))]

    async def _publish_atomically(self, messages: Sequence[Outgoing], timeout_s: float) -> bool:
        """All or nothing (NATS ADR-50). False if it was refused, as for a repeated id, or not acknowledged."""
        if not self.connected:
            return False
        round_ = _Round(1)
        token = self._expect_ack(round_, 0)
        batch = self.nc._nuid.next().decode()
        try:
            await self._write(_batch_frames(batch, messages, f"{self._inbox}.{token}"))
            async with asyncio.timeout(min(REPEAT_S, timeout_s)):
                await round_.complete
        except (TimeoutError, nats.errors.Error):
            return False
        finally:
            del self._waiting[token]
        ack = round_.acks[0]
        if ack.error and ack.error.err_code != _DUPLICATE_IN_BATCH:
            log.warning("atomic_publish_refused", error=ack.error.description, messages=len(messages))
        return ack.error is None

    async def _write(self, frames: Sequence[bytes]) -> None:
        """Into the client's queue of what is to be written, all at once: its ``publish`` takes 6 us a message, this 1."""
        if max(map(len, frames)) > self.nc.max_payload:  # for which the server would close the connection
            raise nats.errors.MaxPayloadError
        await self.nc._send_command(b"".join(frames))
        await self.nc._flush_pending()

    def _expect_ack(self, round_: "_Round", index: int) -> str:
        token = str(next(self._tokens))
        self._waiting[token] = round_, index
        return token

    async def _on_ack(self, msg: Msg) -> None:
        expected = self._waiting.get(msg.subject.rpartition(".")[2])
        if expected is None:
            return
        round_, index = expected
        silent = _PubAck(_ApiError(503, "JetStream does not answer for this subject"))
        round_.receive(index, _decode_ack(msg.data) if msg.data else silent)

    def _resume(self) -> None:
        for resume in self._reconnected:
            resume()

    # --- Requests -----------------------------------------------------------------------------------------------------

    async def request(self, subject: str, message: Struct, reply: type[T], *, timeout_s: float = 2.0) -> T:
        """Ask and wait for the answer.

        Raises ``NoResponders``, ``RequestTimeout`` (both ``Unavailable``: ask again later) or ``RequestRefused``.
        """
        try:
            answer = await self.nc.request(subject, encode(message), timeout=timeout_s)
        except nats.errors.NoRespondersError:
            raise NoResponders(f"nobody answers on {subject}") from None
        except nats.errors.TimeoutError:
            raise RequestTimeout(f"no answer on {subject} within {timeout_s} s") from None
        except nats.errors.Error as error:
            raise BusUnavailable(f"{subject}: {error or type(error).__name__}") from None
        if answer.headers and (refusal := answer.headers.get("Nats-Service-Error")):
            if answer.headers.get("Nats-Service-Error-Code") == "503":
                raise NoResponders(refusal)
            raise RequestRefused(refusal)
        return msgspec.msgpack.decode(answer.data, type=reply)


def _batch_frames(batch: str, messages: Sequence[Outgoing], reply: str) -> list[bytes]:
    """The messages of an atomic batch; the last one asks for the acknowledgement."""
    head, last = f"Nats-Batch-Id: {batch}\r\nNats-Batch-Sequence: ", len(messages)
    frames = [_frame(message, "", f"{head}{number}\r\n") for number, message in enumerate(messages[:-1], 1)]
    return [*frames, _frame(messages[-1], reply, f"{head}{last}\r\nNats-Batch-Commit: 1\r\n")]


def _frame(message: Outgoing, reply: str, more: str) -> bytes:
    """A message as it goes over the wire: ``HPUB`` of NATS' client protocol. ``more``: header lines beside the id."""
    subject, payload, msg_id = message
    headers = f"NATS/1.0\r\n{more}Nats-Msg-Id: {msg_id}\r\n\r\n".encode()
    command = f"HPUB {subject} {reply} {len(headers)} {len(headers) + len(payload)}\r\n".encode()
    return b"".join((command, headers, payload, b"\r\n"))


def _header_lines(headers: Mapping[str, str]) -> str:
    """Each on one line, whatever it holds."""
    return "".join([f"{_line(name)}: {_line(value)}\r\n" for name, value in headers.items()])


def _line(text: str) -> str:
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


async def _on_error(error: Exception) -> None:
    if isinstance(error, nats.errors.SlowConsumerError):
        log.error("nats_messages_dropped", subject=error.subject)
    elif isinstance(error, OSError):
        log.debug("nats_not_reached", **describe(error))  # each attempt; that the connection is gone was said once
    else:
        log.warning("nats_error", **describe(error))


def describe(error: BaseException) -> dict[str, Any]:
    """What to log of an error: never without its type."""
    return {"error": str(error) or type(error).__name__, "kind": type(error).__name__}
