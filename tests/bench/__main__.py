"""``make bench``: floors first, then the product, in one run. Prints tables and writes ``build/bench.json``.

``python -m tests.bench --only rules`` measures one section: rules, tracker, mailer, path, million or backtest.
"""

import argparse
import json
import os
import platform
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any

import uvloop
from rich.console import Console
from rich.table import Table

from tests.bench import backtest, floors, mailer, million, rules, tracker
from tests.bench.path import PROBE_S, Run, WholePath
from tests.support.stack import ROOT

SECTIONS = ("rules", "tracker", "mailer", "path", "million", "backtest")
RATES = (2000, 2500, 3000, 3500, 4000, 5000)
TITLES = {
    "rules": "Rules on one core, beside libraries that are handed everything but the last comparison",
    "tracker": "One tracker process, beside a bare handler that only decodes and answers",
    "mailer": "One mailer process: composing on one core, and ten thousand mails through throttle and mailer",
    "floors": "What the parts do alone on this machine, in the same run",
    "whole_path": "Beckon, whole path",
    "processor_us_per_event": "Processor time per event on the whole path, us",
    "million": "A million people with a pending timer",
    "backtest": "A back-test of a million events with ten rules",
}


async def measure(options: argparse.Namespace) -> dict[str, Any]:
    console = Console(stderr=True)
    result: dict[str, Any] = {"machine": {"cpus": _cpus(), "python": platform.python_version()}}
    with tempfile.TemporaryDirectory(prefix="beckon-bench-") as folder:
        root = Path(folder)
        for section in SECTIONS:
            (root / section).mkdir()
        if "rules" in options.only:
            console.print("rules, on one core …")
            result["rules"] = rules.measure()
        if "tracker" in options.only:
            console.print("one tracker process …")
            result["tracker"] = await tracker.measure(root / "tracker", options.minutes, console.print)
        if "mailer" in options.only:
            console.print("one mailer process …")
            result["mailer"] = await mailer.measure(root / "mailer", options.mails, console.print)
        if "path" in options.only:
            result |= await _path(root / "path", options, console)
        if "million" in options.only:
            console.print("a million people …")
            result["million"] = await million.measure(root / "million", options.people, console.print)
        if "backtest" in options.only:
            console.print("back-tests …")
            result["backtest"] = await backtest.measure(root / "backtest", options.events, console.print)
    return result


async def _path(root: Path, options: argparse.Namespace, console: Console) -> dict[str, Any]:
    console.print("floors: bare aiohttp, JetStream, PostgreSQL …")
    bare = await floors.aiohttp_decodes()
    published, pulled = await floors.jetstream(root / "floor-nats")
    upserted = await floors.postgresql_upserts(root / "floor-postgres")
    console.print("the whole path …")
    async with WholePath(root) as path:
        await path.run(500, 3)  # a first run warms caches and connections
        held = []
        for rate in options.rates:
            probe = await path.run(rate, PROBE_S)
            console.print(f"  {rate} events/s for {PROBE_S:g} s: {_verdict(probe)}")
            if not probe.held:
                break
            held.append(rate)
        for rate in reversed(held or options.rates[:1]):
            sustained = await path.run(rate, options.seconds)
            console.print(f"  {rate} events/s for {options.seconds:g} s: {_verdict(sustained)}")
            if sustained.held:
                break
        mails = await path.mail_latencies_ms()
    return {
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


def show(result: dict[str, Any]) -> None:
    for section, title in TITLES.items():
        if section not in result:
            continue
        table = Table(title=title, title_justify="left")
        table.add_column("figure")
        table.add_column("value", justify="right")
        for name, value in result[section].items():
            if not isinstance(value, list):
                table.add_row(name.replace("_", " "), f"{value:,}")
        Console().print(table)


def main() -> None:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--only", nargs="*", choices=SECTIONS, default=list(SECTIONS), help="sections to measure")
    parser.add_argument("--seconds", type=float, default=60.0, help="length of the sustained run")
    parser.add_argument("--rates", type=int, nargs="*", default=list(RATES), help="events/s to try, ascending")
    parser.add_argument("--minutes", type=float, default=10.0, help="for how long the tracker's memory is watched")
    parser.add_argument("--mails", type=int, default=10_000, help="mails at once")
    parser.add_argument("--people", type=int, default=1_000_000, help="people with a pending timer")
    parser.add_argument("--events", type=int, default=1_000_000, help="events of the back-test")
    options = parser.parse_args()
    result = uvloop.run(measure(options))
    folder = ROOT / "build"
    folder.mkdir(exist_ok=True)
    (folder / "bench.json").write_text(json.dumps(result, indent=2) + "\n")
    show(result)


if __name__ == "__main__":
    main()
