"""Events over real HTTP at a steady rate, cheaply enough to leave the machine to what is measured.

One request at a time on each kept-alive connection, no HTTP library: about 20 us a request. Latency counts from the moment
a request was due to be sent, so a stalled server cannot hide behind requests that were never made.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import cast

import msgspec


class Connection(asyncio.Protocol):
    """A kept-alive HTTP/1.1 connection with one request in flight."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bytes]] | None = None
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is none by inheritance

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionResetError(str(exc)))

    async def ask(self, request: bytes) -> tuple[int, bytes]:
        """Status and body. Raises ``ConnectionError``."""
        if self._transport is None:
            raise ConnectionResetError("closed")
        self._answer = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._answer

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, found, rest = self._buffer.partition(b"\r\n\r\n")
        if not found:
            return
        length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
        if len(rest) < length:
            return
        self._buffer = b""
        if self._answer and not self._answer.done():
            self._answer.set_result((int(head[9:12]), rest[:length]))

    def close(self) -> None:
        if self._transport:
            self._transport.close()


@dataclass
class Sent:
    """What became of the requests. ``latencies_s`` in seconds, of the accepted ones."""

    accepted: list[str] = field(default_factory=list)
    """Ids of the events answered 202."""
    refused: dict[int, int] = field(default_factory=dict)
    latencies_s: list[float] = field(default_factory=list)
    retries: int = 0


def post(port: int, key: str, event: dict[str, object]) -> bytes:
    """``POST /v1/events`` with one event, as bytes on the wire."""
    body = msgspec.json.encode(event)
    head = (
        f"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {key}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def send(
    port: int,
    key: str,
    events: Iterator[dict[str, object]],
    *,
    rate: float,
    connections: int = 32,
    until: Callable[[], bool] = lambda: False,
    give_up_s: float = 30.0,
) -> Sent:
    """Post ``events`` singly, ``rate`` a second (0: as fast as answers come), until they or ``until`` end.

    What is not answered, or answered 503, is sent again with the same event id, as a good client does.
    """
    loop = asyncio.get_running_loop()
    sent = Sent()
    start = time.perf_counter()  # the loop's own clock has milliseconds
    number = 0

    async def work() -> None:
        nonlocal number
        connection: Connection | None = None
        while not until():
            due = start + number / rate if rate else time.perf_counter()
            number += 1
            if (event := next(events, None)) is None:
                break
            if (early_s := due - time.perf_counter()) > 0:
                await asyncio.sleep(early_s)
            request = post(port, key, event)
            while True:
                try:
                    if connection is None:
                        _, connection = await loop.create_connection(Connection, "127.0.0.1", port)
                    status, _ = await connection.ask(request)
                except OSError:
                    connection, status = None, 503
                if status != 503:
                    break
                if time.perf_counter() - due > give_up_s:
                    raise AssertionError(f"no answer but 503 for {give_up_s} s")
                sent.retries += 1
                await asyncio.sleep(0.05)
            if status == 202:
                sent.accepted.append(str(event["event_id"]))
                sent.latencies_s.append(time.perf_counter() - due)
            else:
                sent.refused[status] = sent.refused.get(status, 0) + 1
        if connection:
            connection.close()

    await asyncio.gather(*(work() for _ in range(connections)))
    return sent
