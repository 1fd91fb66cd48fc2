"""The owner of a due timer dies or sleeps: the mail arrives, once, and soon. All services, the shipped rules, real SMTP."""

import signal
from collections.abc import AsyncIterator

import pytest

from shared.clock import MINUTE, SECOND, SystemClock, rfc3339
from shared.partition import partition_of
from tests.support.load import send
from tests.support.sink import Sink
from tests.support.stack import PARTITIONS, Service, Stack, until
from tests.support.system import WRITE_KEY, System, balance, identified

PERSON = "ada"
DUE_US = 4 * SECOND


@pytest.fixture
async def system(stack: Stack) -> AsyncIterator[System]:
    sink = Sink().start()
    system = System(stack, sink)
    await system.start()
    yield system
    sink.stop()


async def fill_cart(system: System) -> None:
    """Filled so long ago that it counts as left behind in a few seconds."""
    cart = {
        "user_id": PERSON,
        "event": "added_to_cart",
        "event_id": "cart-1",
        "timestamp": rfc3339(SystemClock().now() - 30 * MINUTE + DUE_US),
        "properties": {"product_id": "p1", "name": "Kettle", "price": 39.9, "currency": "EUR"},
    }
    sent = await send(system.port, WRITE_KEY, iter([identified(PERSON), cart]), rate=0, connections=1)
    assert len(sent.accepted) == 2

    async def armed() -> bool:
        return bool(await system.stack.fetch("SELECT 1 FROM state.actors WHERE next_due IS NOT NULL"))

    await until(armed)


async def shared_by_two(system: System) -> None:
    async def check() -> bool:
        rows = await system.stack.fetch("SELECT owner, count(*) FROM state.partitions GROUP BY owner")
        return len(rows) == 2 and all(row["owner"] for row in rows)

    await until(check, within_s=15)


async def owner(system: System, services: list[Service]) -> Service:
    (row,) = await system.stack.fetch(
        "SELECT owner FROM state.partitions WHERE id = $1", partition_of(PERSON, PARTITIONS)
    )
    (found,) = [s for s in services if any(line["owner"] == row["owner"] for line in s.logged("state_joined"))]
    return found


async def mailed(system: System) -> bool:
    return bool(system.sink.recipients()[f"{PERSON}@example.test"])


async def all_ended(system: System) -> bool:
    found = await balance(system.stack)
    return found.triggers == 1 and found.pending == 0


async def test_a_killed_owner_is_succeeded_and_the_mail_arrives_once(system: System) -> None:
    services = [system.running["state"], await system.stack.start("state")]
    await shared_by_two(system)
    await fill_cart(system)
    doomed = await owner(system, services)
    killed = SystemClock().now()
    await doomed.kill()
    await until(lambda: mailed(system), within_s=12)
    assert SystemClock().now() - killed < 8 * SECOND
    await until(lambda: all_ended(system))
    assert sum(system.sink.message_ids().values()) == 1


async def test_an_owner_that_slept_for_ten_seconds_does_not_send_again(system: System) -> None:
    services = [system.running["state"], await system.stack.start("state")]
    await shared_by_two(system)
    await fill_cart(system)
    sleeper = await owner(system, services)
    asleep = SystemClock().now()
    sleeper.process.send(signal.SIGSTOP)
    await until(lambda: mailed(system), within_s=12)

    async def ten_seconds_passed() -> bool:
        return SystemClock().now() - asleep > 10 * SECOND

    await until(ten_seconds_passed, within_s=12)
    sleeper.process.send(signal.SIGCONT)
    await shared_by_two(system)
    await until(lambda: all_ended(system))
    assert sum(system.sink.message_ids().values()) == 1
