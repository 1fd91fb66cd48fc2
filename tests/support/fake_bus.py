"""A bus in memory. ``tests/contract/test_event_bus.py`` holds it to what the real one does."""

import asyncio
import hashlib
from collections.abc import Sequence

from shared.bus import Outgoing, encode
from shared.errors import BusUnavailable
from shared.messages import Event


class FakeBus:
    """``away()`` and ``back()`` as the server; ``hold()`` keeps publishes on their way until ``release()``."""

    def __init__(self) -> None:
        self.connected = True
        self.stored: dict[str, Outgoing] = {}
        self.batches: list[int] = []
        self.refused: set[str] = set()
        """Ids of messages that are never stored."""
        self.deaf = False
        """Ignore the time limit, as a library with a bug would."""
        self._present = asyncio.Event()
        self._present.set()
        self._released = asyncio.Event()
        self._released.set()

    def away(self) -> None:
        self.connected = False
        self._present.clear()

    def back(self) -> None:
        self.connected = True
        self._present.set()

    def hold(self) -> None:
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    def event_message(self, event: Event) -> Outgoing:
        digest = hashlib.blake2b(f"{event.person}\0{event.id}".encode()).hexdigest()
        return Outgoing("events.1.site", encode(event), digest)

    async def publish_many(self, messages: Sequence[Outgoing], *, timeout_s: float) -> list[BusUnavailable | None]:
        self.batches.append(len(messages))
        try:
            async with asyncio.timeout(None if self.deaf else timeout_s):
                await self._released.wait()
                await self._present.wait()
        except TimeoutError:
            return [BusUnavailable("not connected") for _ in messages]
        for message in messages:
            if message.msg_id not in self.refused:
                self.stored[message.msg_id] = message
        return [BusUnavailable("refused") if message.msg_id in self.refused else None for message in messages]
