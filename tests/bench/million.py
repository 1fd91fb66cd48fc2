"""A million people with a pending timer: what state costs, how late timers are, how long a sweep takes.

Everything runs on this machine: PostgreSQL with fsync on, NATS, state, the rule-evaluator with the shipped rules, and the load.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
from msgspec import Raw
from nats.aio.msg import Msg

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.rule_evaluator.view import NEVER
from services.setup import database as setup
from services.state import actor as actors
from services.state.actor import Actor
from services.state.memory import Memory, Remembered
from shared import streams, subjects
from shared.clock import DAY, MINUTE, SECOND, Instant, SystemClock, to_datetime
from shared.messages import Event, RuleState, Trigger
from shared.partition import partition_of
from shared.rules import GetSweep, PutRule, RulePut, SweepProgress
from tests.support.stack import DATABASE_PASSWORDS, NATS_PASSWORDS, ROOT, USERS_CONF, Service, Stack, until

PARTITIONS = 64
RATE = 1000
"""Events a second meanwhile."""
STEADY_PER_S = 100
"""Timers that come due each second in the first part."""
STEADY_S = 30
BURST = 10_000
"""Timers that come due within one second in the second part."""
NEW_RULE = "id: sooner\nstatus: live\nwhen: {elapsed: 12d, since: activity}\naction: {email: {template: win-back}}\n"
"""Gives everybody another timer, sooner than the one they have: the most a sweep can be."""

_decode = msgspec.msgpack.Decoder(Trigger).decode
_PROPERTIES = {
    "product_id": "p-1047",
    "name": "Stoneware mug, speckled",
    "price": 24.5,
    "currency": "EUR",
    "image_url": "https://shop.example/pictures/mug.png",
    "url": "https://shop.example/products/mug",
}


@dataclass
class Figures:
    people: int
    state_starts_s: float = 0.0
    state_resident_mb: float = 0.0
    timers_p50_ms: float = 0.0
    timers_p99_ms: float = 0.0
    timers_seen: int = 0
    burst_committed_s: float = 0.0
    burst_seen: int = 0
    sweep_s: float = 0.0
    sweep_people: int = 0
    sweep_armed: int = 0
    event_p99_before_ms: float = 0.0
    event_p99_during_sweep_ms: float = 0.0


def _actor(person: str, carted: Instant, *, cart_due: Instant = NEVER) -> Actor:
    """Somebody with five events, the last of which filled a cart, who was reminded of it unless that is still due."""
    names = ("page_viewed", "product_viewed", "product_viewed", "product_viewed", "added_to_cart")
    encoded = Raw(msgspec.msgpack.encode(_PROPERTIES))
    history = [
        Remembered(n, f"{person}-{n}", name, carted - (5 - n) * SECOND, carted - (5 - n) * SECOND, encoded)
        for n, name in enumerate(names, 1)
    ]
    looked = carted if cart_due != NEVER else carted + DAY
    rules = {
        "cart-abandonment": RuleState(1, False, looked, 5, [], cart_due),
        "high-value-interest": RuleState(1, False, looked, 5, [], NEVER),
        "win-back": RuleState(1, False, looked, 5, [], carted + 14 * DAY),
    }
    profile = {"email": f"{person}@example.test", "first_name": "Ada", "country": "AT"}
    return Actor(profile, history, 5, rules, shown=5)


def _rows(people: int, now: Instant) -> Iterator[tuple[Any, ...]]:
    """Everybody was here one to nine days ago, and is to be won back fourteen days after that."""
    for number in range(people):
        person, carted = f"p{number}", now - DAY - number % (8 * DAY // SECOND) * SECOND
        _, remembered = actors.encode(_actor(person, carted), Memory())
        yield partition_of(person, PARTITIONS), person, remembered, to_datetime(carted + 14 * DAY)


class Million:
    """The servers, the services, and everybody in the database."""

    def __init__(self, folder: Path, people: int) -> None:
        self._folder = folder
        self.figures = Figures(people)
        self._late: list[float] = []
        self._arrived: list[tuple[Instant, Instant]] = []

    async def __aenter__(self) -> "Million":
        self._nats = await EmbeddedNats.start(self._folder / "nats", users_conf=USERS_CONF, passwords=NATS_PASSWORDS)
        self._postgres = await EmbeddedPostgres.start(self._folder / "postgres")
        await setup.prepare(self._postgres.url(), DATABASE_PASSWORDS)
        self.stack = Stack(self._folder, self._nats, self._postgres, "postgres")
        self._bus = await self.stack.bus("setup")
        self._bus.partitions = PARTITIONS
        await streams.declare(self._bus.nc.jetstream(timeout=10), partitions=PARTITIONS)
        self._environment = {"PARTITIONS": str(PARTITIONS), "LOG_LEVEL": "info"}
        self.evaluator = await self.stack.start(
            "rule_evaluator", RULES_DIR=str(ROOT / "examples/rules"), **self._environment
        )
        (await self.stack.start("state", **self._environment)).process.send(15)  # makes the tables
        await until(self._state_ended, within_s=30)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.close()
        await self._nats.stop()
        await self._postgres.stop()

    async def _state_ended(self) -> bool:
        return self.stack.services[-1].process.exit_code is not None

    async def seed(self) -> None:
        """Everybody's timer lies days ahead, but for those of the two parts, which are set shortly before."""
        connection = await asyncpg.connect(self.stack.database_url())
        try:
            await connection.copy_records_to_table(
                "actors",
                schema_name="state",
                records=_rows(self.figures.people, SystemClock().now()),
                columns=("partition", "person", "remembered", "next_due"),
                timeout=3600,
            )
            await connection.execute("VACUUM ANALYZE state.actors", timeout=3600)
            await connection.execute("CHECKPOINT", timeout=3600)
        finally:
            await connection.close()

    async def _set(self, first: int, count: int, dues: Callable[[int], Instant]) -> None:
        """Give ``count`` people from ``first`` on timers of their own."""
        connection = await asyncpg.connect(self.stack.database_url())
        try:
            rows = []
            for number in range(first, first + count):
                person, due = f"p{number}", dues(number - first)
                _, remembered = actors.encode(_actor(person, due - 30 * MINUTE, cart_due=due), Memory())
                rows.append((remembered, to_datetime(due), partition_of(person, PARTITIONS), person))
            await connection.executemany(
                "UPDATE state.actors SET remembered = $1, next_due = $2 WHERE partition = $3 AND person = $4", rows
            )
        finally:
            await connection.close()

    async def start(self) -> Service:
        """State, from the start of its process until every partition is owned and its timers are armed."""
        began = time.perf_counter()
        state = await self.stack.start("state", wait=False, **self._environment)

        async def owns_all() -> bool:
            taken = state.logged("partitions_taken")
            return bool(taken) and taken[-1]["owned"] == PARTITIONS

        await until(owns_all, within_s=60)
        self.figures.state_starts_s = round(time.perf_counter() - began, 2)
        return state

    # --- Timers -------------------------------------------------------------------------------------------------------

    async def timers(self) -> None:
        now = SystemClock().now()
        steady = STEADY_PER_S * STEADY_S
        begins, bursts = now + 25 * SECOND, now + (25 + STEADY_S + 10) * SECOND
        await self._set(0, steady, lambda number: begins + number * SECOND // STEADY_PER_S)
        await self._set(steady, BURST, lambda number: bursts + number * SECOND // BURST)
        state = await self.start()
        fired: list[Trigger] = []

        async def hear(msg: Msg) -> None:
            fired.append(_decode(msg.data))

        await self._bus.nc.subscribe("triggers.*", cb=hear)
        over = asyncio.Event()
        load = asyncio.create_task(self._events(over))

        async def all_fired() -> bool:
            return len(fired) >= steady + BURST

        await until(all_fired, within_s=120, what="all timers fired")
        self.figures.state_resident_mb = round(resident_mb(state.process.pid), 1)
        over.set()
        await load
        late = sorted((t.stamps.committed - t.at) / 1000 for t in fired if t.at < bursts)
        self.figures.timers_seen = len(late)
        self.figures.timers_p50_ms, self.figures.timers_p99_ms = percentile(late, 0.5), percentile(late, 0.99)
        burst = [t for t in fired if t.at >= bursts]
        self.figures.burst_seen = len(burst)
        last_due = max(t.at for t in burst)
        self.figures.burst_committed_s = round((max(t.stamps.committed for t in burst) - last_due) / SECOND, 3)

    async def _events(self, over: asyncio.Event) -> None:
        """``RATE`` events a second from people spread over everybody."""
        loop, number = asyncio.get_running_loop(), 0
        began = loop.time()
        while not over.is_set():
            batch = []
            while number < (loop.time() - began) * RATE:
                number += 1
                now = SystemClock().now()
                person = f"p{(number * 7919) % self.figures.people}"
                event = Event(f"l{number}-{began:.0f}", person, "product_viewed", now, now, properties=_PROPERTIES)
                batch.append(self._bus.event_message(event))
            failures = await self._bus.publish_many(batch) if batch else []
            assert not any(failures), failures
            await asyncio.sleep(0.01)

    # --- The sweep ----------------------------------------------------------------------------------------------------

    async def sweep(self) -> None:
        """A rule goes live that gives everybody a timer, while events come in."""
        over = asyncio.Event()
        load = asyncio.create_task(self._events(over))
        before = await self._event_latencies(20)
        began = time.perf_counter()
        operator = await self.stack.bus("operator")
        earlier = await operator.request(subjects.SWEEP_PROGRESS, GetSweep(), SweepProgress, timeout_s=10)
        answer = await operator.request(subjects.RULES_PUT, PutRule(NEW_RULE), RulePut)
        assert not answer.errors
        meanwhile = self._state_histogram()

        async def swept() -> SweepProgress | None:
            said = await operator.request(subjects.SWEEP_PROGRESS, GetSweep(), SweepProgress, timeout_s=10)
            done = said.partitions_done == said.partitions and said.revision > earlier.revision
            return said if done else None

        said = await until(swept, within_s=900, what="everybody looked at")
        assert said is not None
        self.figures.sweep_s = round(time.perf_counter() - began, 1)
        self.figures.sweep_people, self.figures.sweep_armed = said.seen, said.armed
        during = difference(self._state_histogram(), meanwhile)
        over.set()
        await load
        self.figures.event_p99_before_ms = quantile_ms(before, 0.99)
        self.figures.event_p99_during_sweep_ms = quantile_ms(during, 0.99)

    async def _event_latencies(self, seconds: float) -> dict[float, float]:
        first = self._state_histogram()
        await asyncio.sleep(seconds)  # how long is measured, not a wait for anything
        return difference(self._state_histogram(), first)

    def _state_histogram(self) -> dict[float, float]:
        """Of event arrival to commit: cumulative counts by upper bound in seconds."""
        found = {}
        for line in self.stack.services[-1].get("/metrics")[1].splitlines():
            if line.startswith("beckon_event_committed_seconds_bucket"):
                bound = line.partition('le="')[2].partition('"')[0]
                found[float(bound)] = float(line.rpartition(" ")[2])
        return found


def difference(after: dict[float, float], before: dict[float, float]) -> dict[float, float]:
    return {bound: count - before.get(bound, 0.0) for bound, count in after.items()}


def quantile_ms(histogram: dict[float, float], share: float) -> float:
    """By linear interpolation within the bucket, as Prometheus does it."""
    bounds = sorted(histogram)
    total = histogram[bounds[-1]]
    wanted, lower, below = share * total, 0.0, 0.0
    for bound in bounds:
        if histogram[bound] >= wanted and histogram[bound] > below:
            if bound == float("inf"):
                return round(1000 * lower, 2)
            return round(1000 * (lower + (bound - lower) * (wanted - below) / (histogram[bound] - below)), 2)
        lower, below = bound, histogram[bound]
    return 0.0


def percentile(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2) if ordered else 0.0


def resident_mb(pid: int) -> float:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


async def measure(folder: Path, people: int, say: Callable[[str], None]) -> dict[str, float]:
    async with Million(folder, people) as million:
        say(f"  {people} people are written to PostgreSQL …")
        await million.seed()
        say(f"  timers while {RATE} events/s arrive …")
        await million.timers()
        say("  a rule goes live …")
        await million.sweep()
        return asdict(million.figures)
