"""Simulated shoppers against the whole system: as fast as it goes, and in a time-lapse with every shipped rule live."""

import asyncio
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from shared import markup
from shared.clock import SECOND, Lapse, SystemClock
from tests.support.sink import Sink
from tests.support.stack import ROOT, Stack, until
from tests.support.system import SECRET_KEY, WRITE_KEY, System, balance

pytestmark = pytest.mark.unwatched

SPEED = 1800
RECIPIENT = "staging@example.test"


@pytest.fixture
async def system(stack: Stack) -> AsyncIterator[System]:
    sink = Sink().start()
    yield System(stack, sink)
    sink.stop()


async def simulate(system: System, folder: Path, *options: str) -> str:
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli", "simulate", "--tracker", f"http://127.0.0.1:{system.port}"),
        *("--key", WRITE_KEY, "--secret-key", SECRET_KEY, *options),
        cwd=folder,
        env={"PATH": "/usr/bin:/bin", "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    out, _ = await asyncio.wait_for(process.communicate(), 120)
    assert process.returncode == 0, out.decode()
    return out.decode()


async def stored(stack: Stack, condition: str = "true") -> int:
    rows = await stack.fetch(f"SELECT count(*) AS count FROM state.events WHERE source <> 'beckon' AND {condition}")
    return int(rows[0]["count"])


async def test_the_past_is_played_as_fast_as_it_goes(stack: Stack, system: System, tmp_path: Path) -> None:
    await system.start("tracker", "state", "rule_evaluator")
    said = await simulate(system, tmp_path, "--people", "60", "--days", "10", "--seed", "4")
    sent = int(said.split()[0])
    assert sent > 300

    async def all_but_repeats() -> bool:
        return 0.95 * sent <= await stored(stack, "copied_from IS NULL") <= sent

    await until(all_but_repeats, within_s=20)
    assert {row["source"] for row in await stack.fetch("SELECT DISTINCT source FROM state.events")} >= {"web", "shop"}
    assert await stored(stack, "trusted AND source = 'shop'") > 0
    assert await stored(stack, "trusted AND source = 'web'") == 0


async def test_half_a_day_of_every_shipped_rule_in_half_a_minute(stack: Stack, system: System, tmp_path: Path) -> None:
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in (ROOT / "examples/rules").glob("*.yaml"):
        text = path.read_text(encoding="utf-8")
        assert markup.load(text)["status"] in ("live", "draft")
        (rules / path.name).write_text(text.replace("status: draft", "status: live"), encoding="utf-8")
    lapse = Lapse(SystemClock().now() // SECOND * SECOND, SPEED)
    await system.start(BECKON_ENV="staging", TIME_LAPSE=str(lapse), TEST_RECIPIENTS=RECIPIENT, RULES_DIR=str(rules))
    await simulate(system, tmp_path, "--people", "80", "--days", "0.5", "--seed", "4", "--time-lapse", str(lapse))

    async def everything_ended() -> bool:
        found = await balance(stack)
        return found.pending == 0 and found.triggers >= 10

    await until(everything_ended, within_s=30)
    fired = await stack.fetch("SELECT DISTINCT rule FROM state.triggers")
    assert {row["rule"] for row in fired} >= {"cart-abandonment", "browse-abandonment", "first-visit"}
    assert set(system.sink.recipients()) == {RECIPIENT}
    assert max(system.sink.message_ids().values()) == 1
