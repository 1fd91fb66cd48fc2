"""From an event over HTTP to the endpoint of a rule, and what becomes of the trigger. All services, real SMTP, a real receiver."""

from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from shared.clock import MILLISECOND, SECOND, SystemClock
from tests.support.receiver import Receiver
from tests.support.sink import Sink
from tests.support.stack import Stack, until
from tests.support.system import SECRET_KEY, SERVICES, System, balance, identified

PROMISE = 100 * MILLISECOND
PEOPLE = 60

RULE = """
id: {id}
status: live
when: {{event: {id}, within: {within}}}
reentry: never
throttle: {{category: {id}}}
action: {action}
"""


class Shop:
    def __init__(self, system: System, receiver: Receiver, http: aiohttp.ClientSession) -> None:
        self.system = system
        self.stack = system.stack
        self.receiver = receiver
        self._http = http

    async def post(self, *events: dict[str, object]) -> int:
        """When they were sent."""
        sent = SystemClock().now()
        address = f"http://127.0.0.1:{self.system.port}/v1/events"
        async with self._http.post(address, json=events, headers={"authorization": f"Bearer {SECRET_KEY}"}) as answer:
            assert (await answer.json())["accepted"] == len(events)
        return sent

    async def ended(self, triggers: int) -> dict[str, int]:
        async def all_ended() -> dict[str, int]:
            found = await balance(self.stack)
            return dict(found.outcomes) if (found.triggers, found.pending) == (triggers, 0) else {}

        return await until(all_ended, within_s=20, what=f"{triggers} triggers ended")


@pytest.fixture
async def shop(stack: Stack, tmp_path: Path) -> AsyncIterator[Shop]:
    """With three rules: a webhook, a webhook and a mail, and a webhook that cannot be signed."""
    receiver, sink = await Receiver().start(), Sink().start()
    folder = tmp_path / "rules"
    folder.mkdir()
    hook = f"webhook: {{url: '{receiver.url()}', secret: crm}}"
    for rule, within, action in (
        ("alone", "1h", f"{{{hook}}}"),
        ("both", "1h", f"{{email: {{template: welcome}}, {hook}}}"),
        ("unsigned", "1s", f"{{webhook: {{url: '{receiver.url()}', secret: unknown}}}}"),
    ):
        (folder / f"{rule}.yaml").write_text(RULE.format(id=rule, within=within, action=action))
    system = System(stack, sink)
    await system.start(*SERVICES, "webhook", RULES_DIR=str(folder))
    async with aiohttp.ClientSession() as http:
        yield Shop(system, receiver, http)
    sink.stop()
    await receiver.stop()


def happens(event: str, person: str) -> dict[str, object]:
    return {"user_id": person, "event": event, "properties": {"product_id": "k1"}}


async def test_an_endpoint_hears_of_it_within_a_tenth_of_a_second(shop: Shop) -> None:
    for person in ("warm", "up"):
        await shop.post(happens("alone", person))
    await shop.ended(2)
    posted = {}
    for n in range(PEOPLE):
        posted[f"person-{n}"] = await shop.post(happens("alone", f"person-{n}"))

        async def heard(count: int = n + 3) -> bool:
            return len(shop.receiver.received) == count

        await until(heard, what=f"webhook {n}")
    assert await shop.ended(PEOPLE + 2) == {"webhook_sent": PEOPLE + 2}
    rows = await shop.stack.fetch("SELECT id, fired_at FROM state.triggers")
    fired = {row["id"]: int(row["fired_at"].timestamp() * 1_000_000) for row in rows}
    since_fired, since_posted = [], []
    for received in shop.receiver.received[2:]:
        person = received.verified()["data"]["person"]["id"]
        since_fired.append((received.at - fired[received.id]) / MILLISECOND)
        since_posted.append((received.at - posted[person]) / MILLISECOND)
    shown = {
        name: f"p50 {sorted(times)[PEOPLE // 2]:.1f} p95 {sorted(times)[PEOPLE * 95 // 100]:.1f} most {max(times):.1f} ms"
        for name, times in (("fired", since_fired), ("posted", since_posted))
    }
    print(f"\n  to the endpoint, from the event's being {shown}")
    assert sorted(since_fired)[PEOPLE * 95 // 100] < PROMISE / MILLISECOND


async def test_a_rule_with_both_sends_both_and_ends_as_its_mail_does(shop: Shop) -> None:
    await shop.post(identified("ada"), happens("both", "ada"))
    assert await shop.ended(1) == {"email_sent": 1}

    async def told() -> list[str]:
        rows = await shop.stack.fetch("SELECT name FROM state.events WHERE source = 'beckon' ORDER BY name")
        names = [row["name"] for row in rows]
        return names if len(names) == 2 else []

    assert await until(told) == ["email_sent", "webhook_sent"]
    assert list(shop.system.sink.recipients()) == ["ada@example.test"]
    (received,) = shop.receiver.received
    assert received.verified()["data"]["rule"] == "both"
    assert await shop.ended(1) == {"email_sent": 1}


async def test_a_webhook_that_failed_leaves_the_firing_as_if_it_had_not_been(shop: Shop) -> None:
    """It may fire ``never`` again and once a day, and does: neither counts what came to nothing."""
    first = await shop.post(happens("unsigned", "ada"))
    assert await shop.ended(1) == {"webhook_failed": 1}

    async def given_back() -> bool:
        return bool(await shop.stack.fetch("SELECT 1 FROM throttle.decisions WHERE released_at IS NOT NULL"))

    await until(given_back)

    async def over() -> bool:
        return SystemClock().now() > first + 2 * SECOND

    await until(over)
    await shop.post(happens("unsigned", "ada"))
    assert await shop.ended(2) == {"webhook_failed": 2}
    (reason,) = {row["reason"] for row in await shop.stack.fetch("SELECT reason FROM state.triggers")}
    assert reason == "the rule signs with secret 'unknown', which WEBHOOK_SECRETS does not have"
