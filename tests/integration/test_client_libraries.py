"""The unmodified libraries of Segment and RudderStack against the real tracker, which is restarted under them, and NATS too."""

import os
import sys

import pytest

from services.local.process import spawn
from tests.support import node
from tests.support.people import committed
from tests.support.stack import ROOT, Stack, until
from tests.support.tracker import WRITE, Tracker

pytestmark = pytest.mark.unwatched

EVENTS = int(os.environ.get("CLIENT_EVENTS", "2000"))


@pytest.mark.parametrize(
    ("runtime", "library"),
    [
        ("python", "segment"),
        ("python", "rudderstack"),
        ("node", "segment"),
        ("node", "rudderstack"),
    ],
)
async def test_every_event_arrives_once_although_the_servers_are_restarted(
    stack: Stack, tracker: Tracker, runtime: str, library: str
) -> None:
    command = (
        [node.installed(), "tests/clients/send.js"]
        if runtime == "node"
        else [sys.executable, "-m", "tests.clients.send"]
    )
    await stack.start("rule_evaluator")
    await stack.start("state")
    go = stack.folder / "go"
    client = spawn(
        library,
        [*command, library, tracker.url, WRITE, str(EVENTS), go],
        log=stack.folder / "client.log",
        env={"PATH": os.environ["PATH"]},
        cwd=ROOT,
    )

    async def some() -> bool:
        return bool(await stack.fetch("SELECT 1 FROM state.events LIMIT 1"))

    await until(some, within_s=30)
    await stack.nats.kill()
    go.touch()
    await stack.nats.restart()
    await tracker.restart()
    assert await client.wait() == 0, client.tail()

    await committed(stack, EVENTS, within_s=60)
    rows = await stack.fetch("SELECT (properties->>'number')::int AS number, source FROM state.events")
    assert sorted(row["number"] for row in rows) == list(range(EVENTS))
    assert {row["source"] for row in rows} == {"server"}
