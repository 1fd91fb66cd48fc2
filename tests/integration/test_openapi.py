"""What the description of the calls promises, tried by schemathesis with whatever it allows and whatever it does not."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.hooks import MAILGUN_KEY, POSTMARK_AUTH, TOPIC, SendGrid
from tests.support.stack import ROOT
from tests.support.tracker import WRITE, Tracker

pytestmark = pytest.mark.unwatched

EXAMPLES = int(os.environ.get("OPENAPI_EXAMPLES", "10"))


@pytest.fixture
async def tracker(idle_tracker: Tracker) -> Tracker:
    await idle_tracker.start(
        LOG_LEVEL="error",
        SHOPIFY_SECRETS="s" * 16,
        WOOCOMMERCE_SECRETS="w" * 16,
        SES_TOPIC_ARNS=TOPIC,
        SENDGRID_PUBLIC_KEY=SendGrid().public_key,
        POSTMARK_HOOK_AUTH=POSTMARK_AUTH,
        MAILGUN_SIGNING_KEY=MAILGUN_KEY,
    )
    return idle_tracker


async def test_every_call_does_what_its_description_says(tracker: Tracker, tmp_path: Path) -> None:
    command = [
        str(Path(sys.executable).with_name("st")),
        *("--config-file", str(ROOT / "tests/support/schemathesis.toml")),
        "run",
        f"{tracker.url}/openapi.json",
        *("--header", f"X-Write-Key: {WRITE}"),
        *("--max-examples", str(EXAMPLES)),
        *("--phases", "examples,coverage,fuzzing,stateful"),
        *("--mode", "all"),
        "--generation-deterministic",
        "--no-color",
    ]
    done = await asyncio.to_thread(subprocess.run, command, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert tracker.service
    assert tracker.service.process.exit_code is None


async def test_it_can_be_read(tracker: Tracker) -> None:
    async with tracker.http.get("/docs") as answer:
        assert (answer.status, answer.content_type) == (200, "text/html")
        page = await answer.text()
    async with tracker.http.get("/openapi.json") as answer:
        described = await answer.json()
    for path in described["paths"]:
        assert f"<code>{path}</code>" in page
    async with tracker.http.get("/") as answer:
        for call in (await answer.json())["calls"]:
            method, _, path = call.partition(" ")
            assert method.lower() in described["paths"][path]
