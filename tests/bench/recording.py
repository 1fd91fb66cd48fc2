"""An SMTP server that takes everything at once and remembers the Message-IDs: little more than the floor of what one costs."""

import asyncio
import re
import time
from collections import Counter
from typing import cast

_ID = re.compile(rb"\r\nMessage-ID: (<[^>]*>)", re.IGNORECASE)


class Recording:
    def __init__(self) -> None:
        self.ids: Counter[bytes] = Counter()
        self.last = 0.0
        self._server: asyncio.Server | None = None

    async def start(self) -> None:
        self._server = await asyncio.get_running_loop().create_server(lambda: _Session(self), "127.0.0.1", 0)

    @property
    def url(self) -> str:
        assert self._server is not None
        return f"smtp://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    @property
    def count(self) -> int:
        return sum(self.ids.values())

    def take(self, content: bytes) -> None:
        found = _ID.search(content)
        self.ids[found[1] if found else b""] += 1
        self.last = time.perf_counter()

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()


class _Session(asyncio.Protocol):
    def __init__(self, recording: Recording) -> None:
        self._recording = recording
        self._buffer = b""
        self._in_data = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.WriteTransport, transport)
        self._transport.write(b"220 recording\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while True:
            ending = b"\r\n.\r\n" if self._in_data else b"\r\n"
            piece, found, rest = self._buffer.partition(ending)
            if not found:
                return
            self._buffer = rest
            self._answer(piece)

    def _answer(self, piece: bytes) -> None:
        if self._in_data:
            self._in_data = False
            self._recording.take(b"\r\n" + piece)
        elif piece[:4].upper() == b"DATA":
            self._in_data = True
            self._transport.write(b"354 go on\r\n")
            return
        elif piece[:4].upper() == b"QUIT":
            self._transport.close()
            return
        self._transport.write(b"250 OK\r\n")
