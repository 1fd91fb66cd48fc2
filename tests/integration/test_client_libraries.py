"""The unmodified libraries of Segment and RudderStack against the real tracker, which is restarted under them, and NATS too."""

import os
import sys

import pytest

from services.local.postgres import free_port
from services.local.process import spawn
from tests.support import node
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
    stack: Stack, runtime: str, library: str
) -> None:
    command = (
        [node.installed(), "tests/clients/send.js"]
        if runtime == "node"
        else [sys.executable, "-m", "tests.clients.send"]
    )
    await stack.start("rule_evaluator")
    await stack.start("state")
    tracker = Tracker(stack, free_port())
    await tracker.start()
    go = stack.folder / "go"
    client = spawn(
        library,
        [*command, library, tracker.url, WRITE, str(EVENTS), go],
        log=stack.folder / "client.log",
        env={"PATH": os.environ["PATH"]},
        cwd=ROOT,
    )

    async def some() -> bool:
        return await count(stack) > 0

    await until(some, within_s=30)
    await stack.nats.kill()
    go.touch()
    await stack.nats.restart()
    assert tracker.service
    assert await tracker.service.stop() == 0
    await tracker.start()
    assert await client.wait() == 0, client.tail()

    async def all_of_them() -> bool:
        return await count(stack) >= EVENTS

    await until(all_of_them, within_s=60, what=f"{EVENTS} events of {library}")
    rows = await stack.fetch("SELECT (properties->>'number')::int AS number, source FROM state.events")
    assert sorted(row["number"] for row in rows) == list(range(EVENTS))
    assert {row["source"] for row in rows} == {"server"}
    await tracker.http.close()


async def count(stack: Stack) -> int:
    (row,) = await stack.fetch("SELECT count(*) AS count FROM state.events")
    found: int = row["count"]
    return found
