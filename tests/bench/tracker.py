"""One tracker process: how many events it answers beside a bare handler, how fast, with how much memory, and in a flood."""

import asyncio
import itertools
import multiprocessing
import statistics
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import uvloop

from services.local.nats import EmbeddedNats
from tests.bench.cpu import cpu_s
from tests.bench.floors import bare_server
from tests.support.load import Sent, send
from tests.support.ports import free_port
from tests.support.stack import NATS_PASSWORDS, USERS_CONF, Service, Stack

KEY, FLOOD = "wk-public", "wk-flood"
ROUNDS, ROUND_S = 5, 3.0
CONNECTIONS = 64
MANY = 400
"""As many as are needed for neither to wait for its senders, who wait for their answers (with ``CONNECTIONS`` of them a tracker
rests while JetStream writes), and no more than one batch holds."""
CALM_S = 20.0
QUIET_RATE, LIMIT = 500, "600:1200"
"""What the others send a second, and what a key may: a flood is whatever is more than usual."""

Say = Callable[[str], None]


async def measure(folder: Path, minutes: float, say: Say) -> dict[str, Any]:
    async with _tracker(folder) as (service, port, nats):
        result = await _beside_bare(service, port, nats.pid, MANY, say)
        few = await _beside_bare(service, port, nats.pid, CONNECTIONS, say)
        result |= {
            f"{name}_of_{CONNECTIONS}_connections": few[name] for name in ("events_per_s", "share_of_bare_percent")
        }
        half = round(result["events_per_s"] / 2)
        calm = await send(port, KEY, events(), rate=half, connections=CONNECTIONS, until=_after(CALM_S))
        result |= {
            "half_rate_events_per_s": half,
            "half_rate_p50_ms": percentile_ms(calm, 0.5),
            "half_rate_p99_ms": percentile_ms(calm, 0.99),
        }
        say(f"  at half that rate p99 {result['half_rate_p99_ms']} ms; memory for {minutes:g} min …")
        result |= await _memory(service, port, half, minutes)
    async with _tracker(folder, RATE_PER_KEY=LIMIT) as (_, port, _nats):
        result |= await _flooded(port)
    return result


@asynccontextmanager
async def _tracker(folder: Path, **environment: str) -> AsyncIterator[tuple[Service, int, EmbeddedNats]]:
    """A tracker on a NATS of its own, without the services behind it."""
    port = free_port()
    nats = await EmbeddedNats.start(folder / f"nats-{port}", users_conf=USERS_CONF, passwords=NATS_PASSWORDS)
    stack = Stack(folder, nats, None, "")
    try:
        await stack.declare_streams()
        settings = {"WRITE_KEYS": f"{KEY},{FLOOD}", "HTTP_PORT": str(port), "LOG_LEVEL": "warning"}
        yield await stack.start("tracker", **settings, **environment), port, nats
    finally:
        await stack.close()
        await nats.stop()


def events(prefix: str = "u") -> Iterator[dict[str, object]]:
    for number in itertools.count():
        yield {"user_id": f"{prefix}{number % 20_000}", "event": "product_viewed", "event_id": f"{prefix}{number}"}


def _after(seconds: float) -> Callable[[], bool]:
    end = time.perf_counter() + seconds
    return lambda: time.perf_counter() > end


def percentile_ms(sent: Sent, share: float) -> float:
    ordered = sorted(sent.latencies_s) or [0.0]
    return round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 2)


async def _beside_bare(service: Service, port: int, nats: int, connections: int, say: Say) -> dict[str, Any]:
    """In turns, so that both have the same machine."""
    prefixes = map(str, itertools.count())
    bare_rates, rates, ratios, used = [], [], [], []
    async with bare_server() as bare:
        for _ in range(ROUNDS):
            each = []
            for target in (bare, port):
                before = cpu_s({"tracker": service.process.pid, "nats": nats})
                sent = await send(
                    target,
                    KEY,
                    events(f"{connections}-{next(prefixes)}-"),
                    rate=0,
                    connections=connections,
                    until=_after(ROUND_S),
                )
                each.append(len(sent.accepted) / ROUND_S)
            after = cpu_s({"tracker": service.process.pid, "nats": nats})
            used.append({name: 1e6 * (after[name] - before[name]) / len(sent.accepted) for name in after})
            bare_rates.append(each[0])
            rates.append(each[1])
            ratios.append(each[1] / each[0])
            say(f"  {connections} connections: bare {each[0]:.0f}/s, tracker {each[1]:.0f}/s: {ratios[-1]:.0%}")
    return {
        "bare_aiohttp_requests_per_s": round(statistics.median(bare_rates)),
        "events_per_s": round(statistics.median(rates)),
        "share_of_bare_percent": round(100 * statistics.median(ratios)),
        "tracker_us_per_event": round(statistics.median(each["tracker"] for each in used)),
        "nats_us_per_event": round(statistics.median(each["nats"] for each in used)),
    }


async def _memory(service: Service, port: int, rate: int, minutes: float) -> dict[str, Any]:
    """Resident, after a fifth of the time and at its end."""
    samples = []
    loading = asyncio.create_task(
        send(port, KEY, events("m"), rate=rate, connections=CONNECTIONS, until=_after(60 * minutes))
    )
    while not loading.done():
        await asyncio.wait({loading}, timeout=5)
        samples.append(_resident_mb(service.process.pid))
    await loading
    return {
        "memory_minutes": minutes,
        "memory_begin_mb": samples[len(samples) // 5],
        "memory_end_mb": samples[-1],
        "memory_largest_mb": max(samples),
    }


def _resident_mb(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return round(pages * 4096 / 1e6, 1)


def _flood(port: int, seconds: float) -> None:
    """In a process of its own: as fast as it can, from as many connections, whatever is answered."""
    uvloop.run(send(port, FLOOD, events("f"), rate=0, connections=CONNECTIONS, until=_after(seconds)))


async def _flooded(port: int) -> dict[str, Any]:
    """Another key's events, alone and beside the flood."""
    calm = await send(port, KEY, events("c"), rate=QUIET_RATE, until=_after(CALM_S))
    flood = multiprocessing.get_context("spawn").Process(target=_flood, args=(port, CALM_S + 10), daemon=True)
    flood.start()
    try:
        await asyncio.sleep(3)  # until it has used up what it may send at once
        beside = await send(port, KEY, events("b"), rate=QUIET_RATE, until=_after(CALM_S))
    finally:
        flood.terminate()
        flood.join()
    return {
        "quiet_p99_ms": percentile_ms(calm, 0.99),
        "beside_a_flood_p99_ms": percentile_ms(beside, 0.99),
        "beside_a_flood_refused": sum(beside.refused.values()),
    }
