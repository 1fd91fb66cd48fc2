"""A lane per endpoint, and nobody waits in another's: how much of each is in hand, and what becomes due when.

A lane holds at most ``parallel`` calls, fewer while its circuit is broken; what is beyond that waits in the table. So an endpoint
that hangs costs its own lane and nothing else, and which process does how much is nobody's decision: each takes what it
has room for.
"""

import asyncio
import contextlib
from collections import Counter
from uuid import uuid4

import structlog

from services.webhook.answers import Answer
from services.webhook.circuit import Circuit, after, room
from services.webhook.courier import Courier
from services.webhook.store import Delivery, Hold, Store
from shared import db, metrics
from shared.bus import describe
from shared.clock import SECOND, Clock, Duration, Instant, Lapse
from shared.logs import bind
from shared.runtime import Runtime

log = structlog.get_logger()

LOOK_S = 1.0
"""So often everybody looks for what others left behind, and for what has run out of time. What becomes due is waited for."""
SHORTEST_S = 0.005


class _Lane:
    def __init__(self) -> None:
        self.busy = 0
        self.circuit = Circuit()
        self.more = False
        """Some waits in the table that was due when there was no place."""


class Lanes:
    """``hold``: how long a claim is good for."""

    def __init__(
        self, runtime: Runtime, store: Store, courier: Courier, *, parallel: int, hold: Duration, lapse: Lapse
    ) -> None:
        self._runtime = runtime
        self._store = store
        self._courier = courier
        self._clock: Clock = runtime.clock
        self._parallel = parallel
        self._hold = hold
        self._lapse = lapse
        self._lanes: dict[str, _Lane] = {}
        self._work = asyncio.Event()
        self._stopping = False
        self._claiming = False
        self._idle = asyncio.Event()
        self._idle.set()
        self._busy = 0

    def hold(self, now: Instant) -> Hold:
        return Hold(uuid4().hex, now + self._hold)

    def enter(self, endpoint: str, now: Instant) -> bool:
        """Take a place in the lane, if there is one; ``begin`` or ``leave`` follows. If there is none, whoever leaves one looks
        what waits."""
        lane = self._lane(endpoint)
        if self._stopping or not self._room(lane, now):
            lane.more = True
            if self._claiming:
                self.wake()
            return False
        lane.busy += 1
        return True

    def leave(self, endpoint: str) -> None:
        """Give a place up, to what waits for it."""
        lane = self._lane(endpoint)
        lane.busy -= 1
        if lane.more:
            self.wake()

    def wake(self) -> None:
        """There may be something to do."""
        self._work.set()

    def begin(self, delivery: Delivery) -> None:
        """Have a webhook delivered that was claimed, and for which there is a place."""
        self._busy += 1
        self._idle.clear()
        self._runtime.start(f"webhook {delivery.id}", self._deliver(delivery))

    async def run(self) -> None:
        """Take up what is due, until the end."""
        while True:
            try:
                wait_s = await self._look()
            except db.AWAY as error:
                log.warning("webhooks_wait", **describe(error))
                wait_s = LOOK_S
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(wait_s):
                    await self._work.wait()
            self._work.clear()

    async def drain(self) -> None:
        """Take up no more, and finish what is in hand. What is cut off comes up again when its claim lapses."""
        self._stopping = True
        await self._idle.wait()

    async def _look(self) -> float:
        """How long to wait for the next, in seconds of the machine."""
        if self._stopping:
            return LOOK_S
        await self._take_up()
        now = self._clock.now()
        full = [endpoint for endpoint, lane in self._lanes.items() if not self._room(lane, now)]
        shut = [lane.circuit.shut_until for lane in self._lanes.values() if lane.circuit.shut_until > now]
        due = await self._store.next_due(full, now)
        earliest = min([*shut, *([due] if due is not None else [])], default=None)
        wait_s = LOOK_S if earliest is None else self._lapse.real(earliest - self._clock.now()) / SECOND
        return min(max(wait_s, SHORTEST_S), LOOK_S)

    async def _take_up(self) -> None:
        """Claim what is due, as far as there is room. All places are taken meanwhile, or sends that arrive would take them."""
        now = self._clock.now()
        rooms = {endpoint: self._room(lane, now) for endpoint, lane in self._lanes.items()}
        for endpoint, places in rooms.items():
            self._lanes[endpoint].busy += places
        claimed: list[Delivery] = []
        self._claiming = True
        try:
            claimed = await self._store.claim(self._parallel, rooms, self.hold(now), now)
        finally:
            self._claiming = False
            for endpoint, places in rooms.items():
                self._lanes[endpoint].busy -= places
        taken = Counter(delivery.endpoint for delivery in claimed)
        for endpoint, count in taken.items():
            lane = self._lane(endpoint)
            lane.busy += count
            lane.more = count >= rooms.get(endpoint, self._parallel)
        for delivery in claimed:
            self.begin(delivery)

    async def sweep(self) -> None:
        """End what has run out of time, and tell what was not told, now and then until the end."""
        while True:
            try:
                while late := await self._overdue():
                    for delivery in late:
                        with bind(trigger=delivery.id, endpoint=delivery.endpoint):
                            await self._courier.give_up(delivery)
                await self._courier.tell()
            except db.AWAY as error:
                log.warning("webhooks_wait", **describe(error))
            await asyncio.sleep(LOOK_S)

    async def _overdue(self) -> list[Delivery]:
        now = self._clock.now()
        return [] if self._stopping else await self._store.overdue(self.hold(now), now)

    def _lane(self, endpoint: str) -> _Lane:
        return self._lanes.setdefault(endpoint, _Lane())

    def _room(self, lane: _Lane, now: Instant) -> int:
        return room(lane.circuit, lane.busy, self._parallel, now)

    async def _deliver(self, delivery: Delivery) -> None:
        lane = self._lane(delivery.endpoint)
        try:
            trigger = delivery.trigger
            with bind(trigger=trigger.id, person=trigger.person, rule=trigger.rule, endpoint=delivery.endpoint):
                if answer := await self._courier.deliver(delivery):
                    self._judge(lane, answer)
                    if answer.verdict != "taken":
                        self.wake()  # to know when it is due again
        finally:
            self._busy -= 1
            if not self._busy:
                self._idle.set()
            self.leave(delivery.endpoint)

    def _judge(self, lane: _Lane, answer: Answer) -> None:
        now, before = self._clock.now(), lane.circuit
        lane.circuit = after(before, answer.verdict, now, answer.retry_after)
        if lane.circuit.broken and not before.broken:
            log.warning("circuit_shut", reason=answer.text)
        elif before.broken and not lane.circuit.broken:
            log.info("circuit_whole")
        metrics.WEBHOOK_CIRCUITS_BROKEN.set(sum(lane.circuit.broken for lane in self._lanes.values()))
