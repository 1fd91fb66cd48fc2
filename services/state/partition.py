"""One owned partition: its reader, its timers, how far it was taken and committed."""

import asyncio
import json
from collections.abc import Callable
from datetime import datetime
from typing import NamedTuple

import nats.errors
import structlog

from services.state.rows import Claim
from services.state.timers import Timers
from shared import metrics, subjects
from shared.bus import Bus
from shared.clock import Instant
from shared.errors import BusUnavailable, Unavailable
from shared.ordered import OrderedReader

log = structlog.get_logger()

WINDOW = 500


class Barrier(NamedTuple):
    """Once ``position`` is taken, everything stored up to ``instant`` is known: what is absent then is truly absent."""

    position: int
    instant: Instant


class Partition:
    def __init__(self, bus: Bus, claim: Claim, on_arrival: Callable[[], None]) -> None:
        self.id = claim.id
        self.epoch = claim.epoch
        self.committed = claim.checkpoint
        self.taken = claim.checkpoint
        self.taken_time = claim.checkpoint_time
        self.timers = Timers()
        self.barrier: Barrier | None = None
        self._bus = bus
        self._waiting: list[tuple[int, asyncio.Future[None]]] = []
        self._subject = subjects.partition_events(claim.id)
        self.reader = OrderedReader(
            bus, subjects.EVENTS, self._subject, claim.checkpoint, WINDOW, on_arrival, self._agrees
        )

    async def open(self) -> None:
        """Begin to read behind the checkpoint. Raises ``nats.errors.Error`` or ``BusUnavailable`` if that fails now."""
        if not await self._agrees():
            metrics.STREAM_TAIL_LOST.inc()
            log.error("stream_tail_lost", partition=self.id, checkpoint=self.taken)
            await self._rewind()
        await self.reader.start()

    async def _rewind(self) -> None:
        """A server that lost its tail gives the same sequences again, so the checkpoint's time decides. What is stored for
        this partition from then on is new, or is recognised by its id; what is older was read."""
        found = await self._message({"last_by_subj": self._subject})
        if found and self.taken_time is not None and found[1] >= self.taken_time:
            self.reader.since = self.taken_time
            self.committed = self.taken = 0
        else:
            at, self.taken_time = found or (0, None)
            self.committed = self.taken = self.reader.through = at

    async def close(self) -> None:
        await self.reader.stop()
        for _, waiting in self._waiting:
            if not waiting.done():
                waiting.set_exception(Unavailable(f"partition {self.id} moves to another process"))

    async def last(self) -> int:
        """Sequence of the stream's last message for this partition, asked of the stream's leader; 0 if there is none."""
        found = await self._message({"last_by_subj": self._subject})
        return found[0] if found else 0

    def applied(self, position: int) -> None:
        """Everything up to ``position`` is committed."""
        self.committed = max(self.committed, position)
        still = []
        for wanted, waiting in self._waiting:
            if wanted <= self.committed:
                if not waiting.done():
                    waiting.set_result(None)
            else:
                still.append((wanted, waiting))
        self._waiting = still

    async def committed_through(self, position: int) -> None:
        """Wait until everything up to ``position`` is committed. Raises ``Unavailable`` if the partition is lost meanwhile."""
        if position > self.committed:
            waiting: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self._waiting.append((position, waiting))
            await waiting

    async def _agrees(self) -> bool:
        """Whether the stream still has, where it was taken last, the message that was there; or has let go of it by age."""
        taken, time = self.taken, self.taken_time
        if not taken:
            return True
        if (found := await self._message({"seq": taken})) is None:
            state = (await self._bus.nc.jetstream(timeout=2).stream_info(subjects.EVENTS)).state
            if state.last_seq < taken:
                return False
            # It is old; unless another has come there between the two questions.
            found = await self._message({"seq": taken})
        return found is None or found[1] == time

    async def _message(self, query: dict[str, object]) -> tuple[int, Instant] | None:
        try:
            answer = await self._bus.nc.request(
                f"$JS.API.STREAM.MSG.GET.{subjects.EVENTS}", json.dumps(query).encode(), timeout=2
            )
        except nats.errors.Error as error:
            raise BusUnavailable(f"{subjects.EVENTS}: {error or type(error).__name__}") from None
        told = json.loads(answer.data)
        if refusal := told.get("error"):
            if refusal.get("code") == 404:
                return None
            raise BusUnavailable(f"{subjects.EVENTS}: {refusal.get('description')}")
        message = told["message"]
        return message["seq"], _micros(message["time"])


def _micros(moment: str) -> Instant:
    """RFC 3339 with up to nine decimals, as NATS writes it, in UTC; cut to microseconds like a delivery's own stamp."""
    whole, _, fraction = moment.removesuffix("Z").partition(".")
    seconds = int(datetime.fromisoformat(f"{whole}+00:00").timestamp())
    return seconds * 1_000_000 + int(fraction[:6].ljust(6, "0"))
