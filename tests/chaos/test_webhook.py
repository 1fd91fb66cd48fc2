"""kill -9 of the webhook service in a loop: nothing is lost, every repeat is known by its id, every trigger ends once."""

import os
from collections import Counter

import pytest

from shared import subjects
from shared.messages import Event
from tests.support.mailing import People
from tests.support.receiver import Receiver
from tests.support.stack import Stack, until
from tests.support.webhooks import allowed, publish, start

pytestmark = [pytest.mark.chaos, pytest.mark.unwatched]

KILLS = 4 * int(os.environ.get("CHAOS_ROUNDS", "5"))
WEBHOOKS = 60
"""Between two kills."""


async def test_kill_9_of_the_webhook_service_at_any_moment(stack: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    await People().serve(stack)
    receiver = await Receiver().start()
    sent: set[str] = set()
    try:
        webhook = await start(stack)
        for kill in range(KILLS):
            triggers = [allowed(receiver.url(f"/{n % 3}"), f"person-{kill}-{n}") for n in range(WEBHOOKS)]
            sent |= {trigger.id for trigger in triggers}
            await publish(stack, *triggers)
            before = len(receiver.received)

            async def under_way(count: int = before + (kill * 7) % WEBHOOKS + 1) -> bool:
                return len(receiver.received) >= count

            await until(under_way)
            await webhook.kill()
            webhook = await start(stack)

        async def all_told() -> list[str]:
            names = [event.properties["trigger_id"] for event in await stack.messages(subjects.EVENTS, Event)]
            return names if len(names) >= len(sent) else []

        told = await until(all_told, within_s=60, what="everything ended")
        times = Counter(received.id for received in receiver.received)
        repeats = sum(times.values()) - len(times)
        with capsys.disabled():
            print(f"\n  kill -9 of the webhook service: kills {KILLS}, webhooks {len(sent)}, repeats {repeats}, lost 0")
        assert set(times) == sent
        assert sorted(told) == sorted(sent)
        assert len({(received.id, received.body) for received in receiver.received}) == len(sent)
        # Each kill may repeat what was in hand: at most the places of three endpoints.
        assert repeats <= KILLS * 3 * 8
    finally:
        await receiver.stop()
