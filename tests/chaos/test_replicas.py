"""Replicas of the state service join and leave under load: nothing is lost or doubled, and no partition stands still for long."""

import asyncio
import json
from pathlib import Path

import asyncpg
import pytest

from tests.chaos.test_kill import settle
from tests.support.load import send
from tests.support.sink import Sink
from tests.support.stack import ROOT, Service, Stack, until
from tests.support.system import WRITE_KEY, Shoppers, System

pytestmark = pytest.mark.unwatched

RATE = 500
PAUSE_S = 2.0
BETWEEN_S = 3.0


class Watch:
    """For each partition, the longest time for which its checkpoint did not move although events kept coming for it."""

    def __init__(self) -> None:
        self.longest_s: dict[int, float] = {}

    async def run(self, url: str) -> None:
        loop = asyncio.get_running_loop()
        connection = await asyncpg.connect(url)
        seen: dict[int, tuple[int, float]] = {}
        try:
            while True:
                for row in await connection.fetch("SELECT id, checkpoint FROM state.partitions"):
                    now = loop.time()
                    checkpoint, since = seen.setdefault(row["id"], (row["checkpoint"], now))
                    if row["checkpoint"] != checkpoint:
                        seen[row["id"]] = row["checkpoint"], now
                    self.longest_s[row["id"]] = max(self.longest_s.get(row["id"], 0.0), now - since)
                await asyncio.sleep(0.02)
        finally:
            await connection.close()


async def shared_by(stack: Stack, count: int) -> None:
    async def check() -> bool:
        rows = await stack.fetch("SELECT owner, count(*) AS held FROM state.partitions GROUP BY owner")
        return len(rows) == count and all(row["owner"] and row["held"] >= 2 for row in rows)

    await until(check, within_s=20, what=f"the partitions are shared by {count}")


@pytest.mark.chaos
async def test_replicas_from_one_to_three_and_back_to_one(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    sink = Sink().start()
    system = System(stack, sink)
    shoppers = Shoppers()
    over = asyncio.Event()
    watch = Watch()
    try:
        await system.start()
        load = asyncio.create_task(send(system.port, WRITE_KEY, shoppers.events(), rate=RATE, until=over.is_set))
        await asyncio.sleep(BETWEEN_S)  # the pace of the changes, not a wait for anything
        watching = asyncio.create_task(watch.run(stack.database_url()))
        joined: list[Service] = []
        for count in (2, 3):
            joined.append(await stack.start("state"))
            await shared_by(stack, count)
            await asyncio.sleep(BETWEEN_S)
        for count in (2, 1):
            assert await joined.pop().stop() == 0
            await shared_by(stack, count)
            await asyncio.sleep(BETWEEN_S)
        watching.cancel()
        over.set()
        sent = await load
        result = await settle(stack, sink, shoppers, sent)
    finally:
        sink.stop()
    longest_s = max(watch.longest_s.values())
    report = {"rate": RATE, "longest_pause_ms": round(1000 * longest_s), **result}
    with capsys.disabled():
        print(f"\n  1 → 3 → 1 replicas at {RATE}/s: " + ", ".join(f"{name} {count}" for name, count in report.items()))
    folder = Path(ROOT / "build")
    folder.mkdir(exist_ok=True)
    (folder / "chaos-replicas.json").write_text(json.dumps(report, indent=2) + "\n")
    for name in ("lost_events", "lost_mails", "double_mails", "false_mails", "pending", "uncertain"):
        assert report[name] == 0, name
    assert longest_s < PAUSE_S
