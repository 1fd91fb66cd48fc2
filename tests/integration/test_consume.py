"""The three ways in which handling a message ends, on a real work queue."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from shared import subjects
from shared.bus import Bus, Outgoing, encode
from shared.clock import SystemClock
from shared.consume import MAX_DELIVERIES, Consumer
from shared.errors import InvalidMessage, RetryLater, Unavailable
from shared.messages import EmailAction, Terms, Trigger
from shared.runtime import Runtime
from tests.support.stack import Stack, until

Handler = Callable[[Trigger], Awaitable[None]]


def trigger(name: str) -> Trigger:
    return Trigger(name, "ada", "cart", 1, 1, Terms(EmailAction("reminder")))


@pytest.fixture
async def runtime() -> AsyncIterator[Runtime]:
    with contextlib.suppress(BaseExceptionGroup):
        async with asyncio.TaskGroup() as tasks:
            runtime = Runtime("throttle", SystemClock(), tasks)
            yield runtime
            await runtime.end(5)


async def consume(stack: Stack, runtime: Runtime, handler: Handler, **options: float) -> Bus:
    bus = await stack.bus("throttle")
    await Consumer.start(
        runtime,
        bus,
        stream=subjects.TRIGGERS,
        durable="throttle",
        subject=subjects.ALL_TRIGGERS,
        type=Trigger,
        handler=handler,
        **options,  # type: ignore[arg-type]
    )
    return bus


async def put(stack: Stack, *names: str) -> None:
    state = await stack.bus("state")
    for name in names:
        await state.publish(Outgoing("triggers.1", encode(trigger(name)), name))


async def left(stack: Stack) -> int:
    bus = await stack.bus("setup")
    return int((await bus.nc.jetstream().stream_info(subjects.TRIGGERS)).state.messages)


async def dead(stack: Stack) -> list[tuple[str, bytes]]:
    """Reasons and payloads of the throttle's dead letters."""
    bus = await stack.bus("setup")
    js = bus.nc.jetstream()
    state = (await js.stream_info(subjects.DEAD)).state
    found = [await js.get_msg(subjects.DEAD, number) for number in range(1, state.last_seq + 1)]
    return [((message.headers or {})["Beckon-Reason"], message.data or b"") for message in found]


async def test_a_handled_message_is_gone(stack: Stack, runtime: Runtime) -> None:
    seen: list[str] = []

    async def handle(trigger: Trigger) -> None:
        seen.append(trigger.id)

    await consume(stack, runtime, handle)
    await put(stack, *(str(number) for number in range(100)))

    async def empty() -> bool:
        return await left(stack) == 0

    await until(empty)
    assert sorted(seen) == sorted(str(number) for number in range(100))


async def test_retry_later_comes_again_after_its_delay(stack: Stack, runtime: Runtime) -> None:
    loop = asyncio.get_running_loop()
    seen: list[float] = []

    async def handle(_: Trigger) -> None:
        seen.append(loop.time())
        if len(seen) == 1:
            raise RetryLater(0.3, "not yet")

    await consume(stack, runtime, handle)
    await put(stack, "a")

    async def twice() -> bool:
        return len(seen) == 2

    await until(twice)
    assert seen[1] - seen[0] >= 0.3


async def test_what_is_away_is_waited_for_longer_than_a_bug(stack: Stack, runtime: Runtime) -> None:
    seen: list[int] = []

    async def handle(_: Trigger) -> None:
        seen.append(1)
        if len(seen) < 4:
            raise Unavailable("database away")

    await consume(stack, runtime, handle)
    await put(stack, "a")

    async def done() -> bool:
        return await left(stack) == 0

    await until(done)
    assert len(seen) == 4
    assert await dead(stack) == []


async def test_an_invalid_message_is_put_aside_with_its_reason_and_the_rest_proceeds(
    stack: Stack, runtime: Runtime
) -> None:
    seen: list[str] = []

    async def handle(trigger: Trigger) -> None:
        if trigger.id == "bad":
            raise InvalidMessage("no such thing")
        seen.append(trigger.id)

    await consume(stack, runtime, handle)
    state = await stack.bus("state")
    await state.publish(Outgoing("triggers.1", b"\xc1 not a message", "poison"))
    await put(stack, "bad", "good")

    async def done() -> bool:
        return await left(stack) == 0

    await until(done)
    assert seen == ["good"]
    reasons = await dead(stack)
    assert ("no such thing", encode(trigger("bad"))) in reasons
    assert any(reason.startswith("not a TRIGGERS message") and b"\xc1" in data for reason, data in reasons)


async def test_a_bug_is_tried_ten_times_and_then_put_aside(
    stack: Stack, runtime: Runtime, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("shared.consume.MAX_DELAY_S", 0.05)
    seen: list[int] = []

    async def handle(_: Trigger) -> None:
        seen.append(1)
        raise ZeroDivisionError("a bug")

    await consume(stack, runtime, handle)
    await put(stack, "a")

    async def done() -> bool:
        return await left(stack) == 0

    await until(done, within_s=20)
    assert len(seen) == MAX_DELIVERIES
    ((reason, _),) = await dead(stack)
    assert reason == "failed 10 times, last with ZeroDivisionError: a bug"


@pytest.mark.parametrize(
    ("concurrency", "names"), [(16, ["slow"]), (1, ["slow", "behind"])], ids=["in a handler", "waiting for one"]
)
async def test_a_message_in_hand_is_nobody_elses_however_long_it_takes(
    stack: Stack, runtime: Runtime, concurrency: int, names: list[str]
) -> None:
    seen: list[str] = []
    release = asyncio.Event()

    async def handle(trigger: Trigger) -> None:
        seen.append(trigger.id)
        await release.wait()

    await consume(stack, runtime, handle, ack_wait_s=0.6, concurrency=concurrency)
    await put(stack, *names)

    async def begun() -> bool:
        return seen == ["slow"]

    await until(begun)
    loop = asyncio.get_running_loop()
    begun_at = loop.time()

    async def three_waits_have_passed() -> bool:
        return loop.time() - begun_at > 3 * 0.6

    await until(three_waits_have_passed)
    release.set()

    async def done() -> bool:
        return await left(stack) == 0

    await until(done)
    assert seen == names


async def test_it_goes_on_after_the_server_was_killed(stack: Stack, runtime: Runtime) -> None:
    seen: list[str] = []

    async def handle(trigger: Trigger) -> None:
        seen.append(trigger.id)

    await consume(stack, runtime, handle)
    await put(stack, "before")

    async def one() -> bool:
        return seen == ["before"]

    await until(one)
    await stack.nats.kill()
    await stack.nats.restart()
    await put(stack, "after")

    async def two() -> bool:
        return seen == ["before", "after"]

    await until(two, within_s=5)
