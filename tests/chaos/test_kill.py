"""kill -9 of each service in turn under load: nothing acknowledged is lost, no mail is lost, none comes twice."""

import asyncio
import json
import os
from pathlib import Path

import pytest

from tests.support.load import Sent, send
from tests.support.sink import Sink
from tests.support.stack import ROOT, Stack, until
from tests.support.system import SERVICES, WRITE_KEY, Balance, Shoppers, System, balance

pytestmark = pytest.mark.unwatched

RATE = 500
ROUNDS = int(os.environ.get("CHAOS_ROUNDS", "5"))
BETWEEN_S = 1.0


@pytest.mark.chaos
async def test_kill_9_of_each_service_in_turn(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    sink = Sink().start()
    system = System(stack, sink)
    shoppers = Shoppers()
    over = asyncio.Event()
    try:
        await system.start()
        load = asyncio.create_task(send(system.port, WRITE_KEY, shoppers.events(), rate=RATE, until=over.is_set))
        kills = 0
        for _ in range(ROUNDS):
            for service in SERVICES:
                await asyncio.sleep(BETWEEN_S)  # the pace of the kills, not a wait for anything
                await system.restart(service)
                kills += 1
        over.set()
        sent = await load
        result = await settle(stack, sink, shoppers, sent)
    finally:
        sink.stop()
    report = {"rate": RATE, "kills": kills, **result}
    with capsys.disabled():
        print(f"\n  kill -9 under {RATE} events/s: " + ", ".join(f"{name} {count}" for name, count in report.items()))
    _write(report)
    assert report["lost_events"] == 0
    assert report["lost_mails"] == 0
    assert report["double_mails"] == 0
    assert report["false_mails"] == 0
    assert report["pending"] == 0
    # Each kill of the mailer may cut off what it had in hand between the claim and the answer, no more.
    assert report["uncertain"] <= ROUNDS * 16


async def settle(stack: Stack, sink: Sink, shoppers: Shoppers, sent: Sent) -> dict[str, int]:
    """Wait until everything has come to its end, and count."""

    async def stored() -> bool:
        (row,) = await stack.fetch("SELECT count(*) AS count FROM state.events WHERE source <> 'beckon'")
        return bool(row["count"] >= len(sent.accepted))

    async def ended() -> Balance | None:
        found = await balance(stack)
        return found if found.pending == 0 and found.triggers >= len(shoppers.left) else None

    await until(stored, within_s=40, what="every acknowledged event stored")
    counted = await until(ended, within_s=60, what="every trigger ended")
    assert counted is not None
    rows = await stack.fetch("SELECT id FROM state.events WHERE source <> 'beckon'")
    ids = {row["id"] for row in rows}
    mailed = sink.recipients()
    uncertain = await stack.fetch("SELECT person FROM state.triggers WHERE outcome = 'email_uncertain'")
    unsure = {row["person"] for row in uncertain}
    expected = {f"{person}@example.test" for person in shoppers.left}
    missing = {f"{p}@example.test" for p in shoppers.left - unsure} - mailed.keys()
    return {
        "acknowledged": len(sent.accepted),
        "retries": sent.retries,
        "stored": len(ids),
        "lost_events": len(set(sent.accepted) - ids),
        "carts_left": len(shoppers.left),
        "carts_bought": len(shoppers.bought),
        "mails": sum(mailed.values()),
        "uncertain": len(unsure),
        "lost_mails": len(missing),
        "double_mails": sum(count - 1 for count in sink.message_ids().values()),
        "false_mails": len(mailed.keys() - expected),
        "triggers": counted.triggers,
        "pending": counted.pending,
        **dict(sorted(counted.outcomes.items())),
    }


def _write(report: dict[str, int]) -> None:
    folder = Path(ROOT / "build")
    folder.mkdir(exist_ok=True)
    (folder / "chaos-kill.json").write_text(json.dumps(report, indent=2) + "\n")
