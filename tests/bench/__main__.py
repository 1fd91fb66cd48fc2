"""``make bench``: floors first, then the product, in one run. Prints a table and writes ``build/bench.json``."""

import argparse
import json
import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path

import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench import floors
from tests.bench.path import PROBE_S, Run, WholePath
from tests.support.stack import ROOT

_LABELS = {"floors": "floor: {}", "whole_path": "{}", "processor_us_per_event": "processor time per event, us: {}"}
RATES = (2000, 2500, 3000, 3500, 4000, 5000)


async def measure(seconds: float, rates: tuple[int, ...]) -> dict[str, object]:
    console = Console(stderr=True)
    with tempfile.TemporaryDirectory(prefix="beckon-bench-") as folder:
        root = Path(folder)
        console.print("floors: bare aiohttp, JetStream, PostgreSQL …")
        bare = await floors.aiohttp_decodes()
        published, pulled = await floors.jetstream(root / "floor-nats")
        upserted = await floors.postgresql_upserts(root / "floor-postgres")
        console.print("the whole path …")
        async with WholePath(root) as path:
            await path.run(500, 3)  # a first run warms caches and connections
            best = 0
            for rate in rates:
                probe = await path.run(rate, PROBE_S)
                console.print(f"  {rate} events/s for {PROBE_S:g} s: {_verdict(probe)}")
                if not probe.held:
                    break
                best = rate
            sustained = await path.run(best or rates[0], seconds)
            console.print(f"  {sustained.rate} events/s for {seconds:g} s: {_verdict(sustained)}")
            mails = await path.mail_latencies_ms()
    return {
        "machine": {"cpus": _cpus(), "python": platform.python_version()},
        "floors": {
            "aiohttp_requests_per_s": round(bare),
            "jetstream_published_per_s": round(published),
            "jetstream_pulled_and_acknowledged_per_s": round(pulled),
            "postgresql_rows_upserted_per_s": round(upserted),
        },
        "whole_path": {
            "events_per_s": round(sustained.achieved),
            "seconds": sustained.seconds,
            "held": sustained.held,
            "answered_p50_ms": round(sustained.percentile_ms(0.5), 2),
            "answered_p99_ms": round(sustained.percentile_ms(0.99), 2),
            "largest_lag_events": max(sustained.lags, default=0),
            "last_lag_events": sustained.lags[-1] if sustained.lags else 0,
            "lags": asdict(sustained)["lags"],
            "mails": len(mails),
            "due_to_accepted_p50_ms": _percentile(mails, 0.5),
            "due_to_accepted_p99_ms": _percentile(mails, 0.99),
        },
        "processor_us_per_event": {name: round(used) for name, used in sustained.cpu_us.items()},
    }


def _verdict(run: Run) -> str:
    state = "held" if run.held else "not held"
    return f"{state}, {run.achieved:.0f}/s, p99 {run.percentile_ms(0.99):.1f} ms, largest lag {max(run.lags, default=0)} events"


def _percentile(ordered: list[float], share: float) -> float:
    return round(ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) if ordered else 0.0


def _cpus() -> int:
    return len(os.sched_getaffinity(0))


def show(result: dict[str, object]) -> None:
    table = Table(title="Beckon, whole path, beside what its parts do alone on this machine in the same run")
    table.add_column("figure")
    table.add_column("value", justify="right")
    for section in ("floors", "whole_path", "processor_us_per_event"):
        figures = result[section]
        assert isinstance(figures, dict)
        for name, value in figures.items():
            if not isinstance(value, list):
                table.add_row(_LABELS[section].format(name.replace("_", " ")), f"{value:,}")
        table.add_section()
    Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the sustained run")
    parser.add_argument("--rates", type=int, nargs="*", default=list(RATES), help="events/s to try, ascending")
    options = parser.parse_args()
    result = uvloop.run(measure(options.seconds, tuple(options.rates)))
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(result, indent=2) + "\n")
    show(result)


if __name__ == "__main__":
    main()
