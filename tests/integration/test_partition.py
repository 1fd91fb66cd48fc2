"""A partition and a stream that has not all it had: what was read and is gone is noticed, and nothing new is taken for it."""

from services.state.partition import Partition
from services.state.rows import Claim
from shared.clock import SECOND, Instant, SystemClock
from tests.support.people import event
from tests.support.stack import Stack, until

PARTITION = 3


async def publish(stack: Stack, count: int) -> None:
    bus = await stack.bus("setup")
    messages = [bus.event_message(event("x"))._replace(subject=f"events.{PARTITION}.site") for _ in range(count)]
    assert not any(await bus.publish_many(messages, timeout_s=20))


async def opened(stack: Stack, checkpoint: int = 0, at: Instant | None = None) -> Partition:
    partition = Partition(await stack.bus("state"), Claim(PARTITION, 1, checkpoint, at), lambda: None)
    await partition.open()
    return partition


async def take(partition: Partition, count: int) -> list[int]:
    """The sequences of so many messages, as a turn takes them."""
    found: list[int] = []

    async def enough() -> bool:
        while len(found) < count and (received := partition.reader.first()):
            partition.reader.drop()
            partition.taken, partition.taken_time = received.sequence, received.arrived
            found.append(received.sequence)
        return len(found) == count

    await until(enough, within_s=15, what=f"{count} messages")
    return found


async def test_a_reader_that_begins_again_reads_no_other_stream(stack: Stack) -> None:
    partition = await opened(stack)
    await publish(stack, 5)
    assert await take(partition, 5) == [1, 2, 3, 4, 5]
    await stack.keep_streams()
    await publish(stack, 5)
    assert await take(partition, 5) == [6, 7, 8, 9, 10]
    await stack.lose_streams()
    await publish(stack, 8)

    async def astray() -> bool:
        return partition.reader.astray

    await until(astray, within_s=20)
    assert len(partition.reader) == 0
    await partition.close()

    again = await opened(stack, partition.taken, partition.taken_time)
    assert await take(again, 8) == list(range(6, 14))
    await again.close()


async def test_what_comes_between_two_questions_is_not_taken_for_what_was_lost(stack: Stack) -> None:
    """The stream has nine messages when it is asked for the tenth, and ten when it is asked how many it has."""
    lost_at = SystemClock().now()
    await publish(stack, 9)
    partition = Partition(await stack.bus("state"), Claim(PARTITION, 1, 10, lost_at), lambda: None)
    answer, asked = partition._message, []

    async def message(query: dict[str, object]) -> tuple[int, Instant] | None:
        found = await answer(query)
        if not asked:
            assert (query, found) == ({"seq": 10}, None)
            await publish(stack, 1)
        asked.append(query)
        return found

    partition._message = message  # type: ignore[method-assign]
    await partition.open()
    assert await take(partition, 10) == list(range(1, 11))
    await partition.close()


async def test_what_the_stream_let_go_of_by_age_is_not_lost(stack: Stack) -> None:
    await publish(stack, 10)
    js = (await stack.bus("setup")).nc.jetstream(timeout=5)
    await js.purge_stream("EVENTS", seq=9)
    partition = await opened(stack, 5, SystemClock().now() - SECOND)
    assert await take(partition, 2) == [9, 10]
    await partition.close()
