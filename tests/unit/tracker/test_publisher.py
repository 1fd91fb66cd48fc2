"""Requests share batches, and each hears only of its own events."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count

import pytest

from services.tracker.publisher import BATCH, Full, Publisher
from shared.errors import BusUnavailable
from shared.messages import Event
from tests.support.fake_bus import FakeBus
from tests.support.stack import until

_numbers = count(1000)  # ids of one length


def some_events(number: int) -> list[Event]:
    return [Event(id=f"e{next(_numbers)}", person="u1", name="x", timestamp=0, received=0) for _ in range(number)]


@pytest.fixture
def bus() -> FakeBus:
    return FakeBus()


@asynccontextmanager
async def running(bus: FakeBus, *, capacity: int = 2**20, timeout_s: float = 5) -> AsyncIterator[Publisher]:
    publisher = Publisher(bus, capacity=capacity, timeout_s=timeout_s)
    task = asyncio.create_task(publisher.run())
    yield publisher
    bus.deaf = False
    bus.release()
    bus.back()
    await publisher.drain()
    await task


@pytest.fixture
async def publisher(bus: FakeBus) -> AsyncIterator[Publisher]:
    async with running(bus) as publisher:
        yield publisher


def request(publisher: Publisher, events: list[Event]) -> asyncio.Task[None]:
    return asyncio.create_task(publisher.publish(events))


async def on_its_way(bus: FakeBus, batches: int) -> None:
    async def published() -> bool:
        return len(bus.batches) >= batches

    await until(published)


async def test_a_single_event_goes_at_once_and_its_request_waits_for_the_acknowledgement(
    bus: FakeBus, publisher: Publisher
) -> None:
    bus.hold()
    waiting = request(publisher, some_events(1))
    await on_its_way(bus, 1)
    assert not waiting.done()
    bus.release()
    await waiting
    assert bus.batches == [1]


async def test_requests_that_come_while_a_batch_is_on_its_way_share_the_next(
    bus: FakeBus, publisher: Publisher
) -> None:
    bus.hold()
    first = request(publisher, some_events(2))
    await on_its_way(bus, 1)
    others = [request(publisher, some_events(3)) for _ in range(5)]
    await asyncio.sleep(0)
    bus.release()
    await asyncio.gather(first, *others)
    assert bus.batches == [2, 15]


async def test_a_batch_is_bounded_and_no_request_is_split(bus: FakeBus, publisher: Publisher) -> None:
    bus.hold()
    first = request(publisher, some_events(1))
    await on_its_way(bus, 1)
    others = [request(publisher, some_events(size)) for size in (300, 200, 1, 490)]
    await asyncio.sleep(0)
    bus.release()
    await asyncio.gather(first, *others)
    assert bus.batches == [1, BATCH, 491]


async def test_an_event_that_is_refused_fails_its_own_request_only(bus: FakeBus, publisher: Publisher) -> None:
    bus.hold()
    first = request(publisher, some_events(1))
    await on_its_way(bus, 1)
    good, bad, also_good = some_events(2), some_events(2), some_events(2)
    bus.refused.add(bus.event_message(bad[1]).msg_id)
    requests = [request(publisher, events) for events in (good, bad, also_good)]
    await asyncio.sleep(0)
    bus.release()
    results = await asyncio.gather(first, *requests, return_exceptions=True)
    assert [type(result).__name__ for result in results] == ["NoneType", "NoneType", "BusUnavailable", "NoneType"]


async def test_a_short_interruption_is_waited_out(bus: FakeBus, publisher: Publisher) -> None:
    bus.away()
    waiting = request(publisher, some_events(1))
    await on_its_way(bus, 1)
    bus.back()
    await waiting


async def test_a_long_one_fails_who_waits_then_refuses_at_once_until_the_bus_is_back(bus: FakeBus) -> None:
    async with running(bus, timeout_s=0.5) as publisher:
        bus.away()
        first = request(publisher, some_events(1))
        await on_its_way(bus, 1)
        behind = [request(publisher, some_events(1)) for _ in range(3)]
        results = await asyncio.gather(first, *behind, return_exceptions=True)
        assert [str(result) for result in results] == ["not connected"] * 4
        assert len({id(result) for result in results}) == 4
        with pytest.raises(BusUnavailable, match="away"):
            await publisher.publish(some_events(1))
        assert bus.batches == [1]
        bus.back()
        await publisher.publish(some_events(1))
        assert bus.batches == [1, 1]


async def test_what_may_wait_is_bounded_and_room_is_given_back(bus: FakeBus) -> None:
    first, second, third = (some_events(2) for _ in range(3))
    room = sum(len(bus.event_message(event).payload) for event in [*first, *second])
    async with running(bus, capacity=room) as publisher:
        bus.hold()
        requests = [request(publisher, events) for events in (first, second)]
        await on_its_way(bus, 1)
        with pytest.raises(Full):
            await publisher.publish(third[:1])
        bus.release()
        await asyncio.gather(*requests)
        await publisher.publish(third)


async def test_a_request_that_went_away_disturbs_nobody_and_gives_its_room_back(bus: FakeBus) -> None:
    first, second, third = (some_events(2) for _ in range(3))
    room = sum(len(bus.event_message(event).payload) for event in [*first, *second])
    async with running(bus, capacity=room) as publisher:
        bus.hold()
        gone, stays = request(publisher, first), request(publisher, second)
        await on_its_way(bus, 1)
        gone.cancel()
        await asyncio.wait([gone])
        bus.release()
        await stays
        await publisher.publish([*second, *third])


async def test_no_request_hangs_even_if_the_bus_does(bus: FakeBus) -> None:
    async with running(bus, timeout_s=0.1) as publisher:
        bus.deaf = True
        bus.hold()
        with pytest.raises(BusUnavailable, match="no acknowledgement in time"):
            await publisher.publish(some_events(1))


async def test_draining_stores_what_was_taken_and_takes_nothing_more(bus: FakeBus) -> None:
    publisher = Publisher(bus, capacity=2**20, timeout_s=5)
    task = asyncio.create_task(publisher.run())
    bus.hold()
    taken = [request(publisher, some_events(1)) for _ in range(2)]
    await on_its_way(bus, 1)
    taken.append(request(publisher, some_events(1)))
    await asyncio.sleep(0)
    draining = asyncio.create_task(publisher.drain())
    await asyncio.sleep(0)
    with pytest.raises(BusUnavailable, match="shutting down"):
        await publisher.publish(some_events(1))
    assert not draining.done()
    bus.release()
    await draining
    await asyncio.gather(task, *taken)
    assert len(bus.stored) == 3
