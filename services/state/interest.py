"""Following what the rules in force need to know of people."""

import asyncio

import msgspec
import structlog

from services.state.memory import Memory
from shared import keyvalue, metrics, subjects
from shared.bus import Bus
from shared.errors import Unavailable
from shared.messages import Interest

log = structlog.get_logger()

REACH_S = 5.0

_decode = msgspec.msgpack.Decoder(Interest).decode


class Following:
    """``memory`` goes forward only."""

    def __init__(self, bus: Bus) -> None:
        self._bus = bus
        self._floor = 0
        self._changed = asyncio.Condition()
        self.memory = Memory()

    async def run(self) -> None:
        await keyvalue.follow(self._bus, subjects.INTEREST_STREAM, subjects.INTEREST_LIVE, self._on_data)

    async def start(self) -> None:
        """What is known now; a first rule-evaluator may still have to say it. Raises ``Unavailable``."""
        if (entry := await keyvalue.read(self._bus, subjects.INTEREST_STREAM, subjects.INTEREST_LIVE)) is not None:
            await self._on_data(entry.data)

    def at_least(self, revision: int) -> None:
        """Somebody has acted on this revision already: nothing is decided here by an earlier one."""
        self._floor = max(self._floor, revision)

    async def current(self) -> Memory:
        """Raises ``Unavailable`` if what others know already does not come within some seconds."""
        if self._floor > self.memory.revision:
            await self.reach(self._floor)
        return self.memory

    async def reach(self, revision: int) -> None:
        """Wait until this revision, or a later one, is known here. Raises ``Unavailable`` if that takes too long."""
        try:
            async with asyncio.timeout(REACH_S), self._changed:
                await self._changed.wait_for(lambda: self.memory.revision >= revision)
        except TimeoutError:
            known = self.memory.revision
            raise Unavailable(f"the rules are at revision {revision}, but only {known} was announced") from None

    async def watched(self, after: int) -> int:
        """Wait until other conditions are watched than at revision ``after``; answers since which revision they are."""
        async with self._changed:
            await self._changed.wait_for(lambda: self.memory.watched > after)
        return self.memory.watched

    async def _on_data(self, data: bytes) -> None:
        interest = _decode(data)
        if interest.revision <= self.memory.revision:
            return
        self.memory = Memory(interest)
        metrics.INTEREST_REVISION.set(interest.revision)
        log.info("interest_followed", revision=interest.revision, watched=interest.watched, needs=len(interest.needs))
        async with self._changed:
            self._changed.notify_all()
