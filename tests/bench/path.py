"""The whole path under load: all services, the servers and the load generator share this machine."""

import asyncio
import statistics
import time
from dataclasses import dataclass, field
from pathlib import Path

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.setup import database as setup
from tests.bench.cpu import cpu_s
from tests.support.load import send
from tests.support.sink import Sink
from tests.support.stack import DATABASE_PASSWORDS, NATS_PASSWORDS, USERS_CONF, Stack
from tests.support.system import WRITE_KEY, Shoppers, System

PROBE_S = 8.0
LAG_S = 0.5
"""A run holds its rate if what is accepted but not yet committed never grows beyond so much time's worth."""


@dataclass
class Run:
    rate: int
    seconds: float
    accepted: int = 0
    latencies_s: list[float] = field(default_factory=list)
    lags: list[int] = field(default_factory=list)
    """Events accepted but not yet committed, each half second."""
    cpu_us: dict[str, float] = field(default_factory=dict)
    """Microseconds of processor time per event, by process."""

    @property
    def achieved(self) -> float:
        return self.accepted / self.seconds

    @property
    def held(self) -> bool:
        half = len(self.lags) // 2
        bound = self.rate * LAG_S
        return self.achieved >= 0.98 * self.rate and statistics.median(self.lags[half:] or [0]) <= bound

    def percentile_ms(self, share: float) -> float:
        ordered = sorted(self.latencies_s) or [0.0]
        return 1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class WholePath:
    """A system on servers of its own, with fsync on."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._sink = Sink()
        self._seed = 0
        self._sent = 0

    async def __aenter__(self) -> "WholePath":
        self._nats = await EmbeddedNats.start(self._folder / "nats", users_conf=USERS_CONF, passwords=NATS_PASSWORDS)
        self._postgres = await EmbeddedPostgres.start(self._folder / "postgres")
        await setup.prepare(self._postgres.url(), DATABASE_PASSWORDS)
        self._sink.start()
        self.stack = Stack(self._folder, self._nats, self._postgres, "postgres")
        await self.stack.declare_streams()
        self._system = System(self.stack, self._sink)
        await self._system.start(LOG_LEVEL="warning")
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stack.close()
        self._sink.stop()
        await self._nats.stop()
        await self._postgres.stop()

    async def run(self, rate: int, seconds: float) -> Run:
        self._seed += 1
        shoppers = Shoppers(seed=self._seed, carts=0.01, people=20_000)
        run = Run(rate, seconds)
        before = self._cpu_s()
        end = time.perf_counter() + seconds
        watching = asyncio.create_task(self._watch(run))
        sent = await send(
            self._system.port,
            WRITE_KEY,
            shoppers.events(),
            rate=rate,
            connections=64,
            until=lambda: time.perf_counter() > end,
        )
        run.accepted, run.latencies_s = len(sent.accepted), sent.latencies_s
        watching.cancel()
        self._sent += run.accepted
        await self._drained()
        after = self._cpu_s()
        run.cpu_us = {name: 1e6 * (after[name] - before[name]) / max(1, run.accepted) for name in after}
        return run

    def _cpu_s(self) -> dict[str, float]:
        pids = {name: service.process.pid for name, service in self._system.running.items()}
        used = cpu_s(pids | {"nats": self._nats.pid, "postgresql": self._postgres.pid})
        return used | {"load_generator_and_smtp_sink": time.process_time()}

    async def _watch(self, run: Run) -> None:
        while True:
            await asyncio.sleep(0.5)
            accepted = await self._metric("tracker", 'beckon_tracker_events_total{outcome="accepted"}')
            run.lags.append(max(0, int(accepted - await self._stored())))

    async def _stored(self) -> float:
        return await self._metric("state", 'beckon_state_events_total{outcome="stored"}')

    async def _metric(self, service: str, sample: str) -> float:
        return await asyncio.to_thread(self._system.running[service].metric, sample)

    async def _drained(self) -> None:
        while await self._stored() < self._sent:
            await asyncio.sleep(0.1)

    async def mail_latencies_ms(self) -> list[float]:
        rows = await self.stack.fetch(
            "SELECT (properties->>'latency_ms')::float8 AS ms FROM state.events WHERE name = 'email_sent'"
        )
        return sorted(row["ms"] for row in rows)
