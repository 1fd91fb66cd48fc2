"""What the tracker's publisher relies on, shown of the real bus and of the one its tests use."""

from collections.abc import Awaitable, Callable

import pytest

from shared import subjects
from shared.bus import Bus
from shared.messages import Event
from tests.support.fake_bus import FakeBus
from tests.support.stack import Stack, until


def event(number: int) -> Event:
    return Event(id=f"e{number}", person="u1", name="x", timestamp=0, received=0)


class Subject:
    """A bus with its server in hand."""

    def __init__(
        self,
        bus: Bus | FakeBus,
        stored: Callable[[], Awaitable[int]],
        away: Callable[[], Awaitable[None]],
        back: Callable[[], Awaitable[None]],
    ) -> None:
        self.bus = bus
        self.stored = stored
        self.away = away
        self.back = back


async def fake() -> Subject:
    bus = FakeBus()

    async def stored() -> int:
        return len(bus.stored)

    async def away() -> None:
        bus.away()

    async def back() -> None:
        bus.back()

    return Subject(bus, stored, away, back)


async def real(stack: Stack) -> Subject:
    bus = await stack.bus("tracker")

    async def stored() -> int:
        return int((await bus.nc.jetstream().stream_info(subjects.EVENTS)).state.messages)

    return Subject(bus, stored, stack.nats.kill, stack.nats.restart)


Make = Callable[[], Awaitable[Subject]]


@pytest.fixture(params=["fake", "real"])
def make(request: pytest.FixtureRequest) -> Make:
    if request.param == "fake":
        return fake
    stack = request.getfixturevalue("stack")
    return lambda: real(stack)


@pytest.mark.parametrize("count", [1, 40])
async def test_each_message_is_answered_for_and_stored_once(make: Make, count: int) -> None:
    subject = await make()
    messages = [subject.bus.event_message(event(number)) for number in range(count)]
    assert await subject.bus.publish_many(messages, timeout_s=5) == [None] * count
    assert await subject.bus.publish_many(messages, timeout_s=5) == [None] * count
    assert await subject.stored() == count


async def test_without_a_server_each_message_fails_within_the_time_given_and_passes_later(make: Make) -> None:
    subject = await make()
    await subject.away()

    async def noticed() -> bool:
        return not subject.bus.connected

    await until(noticed)
    messages = [subject.bus.event_message(event(number)) for number in range(3)]
    errors = await subject.bus.publish_many(messages, timeout_s=0.2)
    assert [type(error).__name__ for error in errors] == ["BusUnavailable"] * 3
    await subject.back()
    assert await subject.bus.publish_many(messages, timeout_s=10) == [None] * 3
    assert subject.bus.connected
    assert await subject.stored() == 3
