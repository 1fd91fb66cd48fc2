"""The bus on a real NATS server: bounded publishes, one message per id, order, and coming back."""

import asyncio

import msgspec
import pytest
from msgspec import Struct

from shared import subjects
from shared.bus import ATOMIC_FROM, Bus, Outgoing
from shared.endpoints import Endpoint, serve_subject
from shared.errors import BusUnavailable, NoResponders, RequestRefused, RequestTimeout, StartError
from shared.messages import Event, GetPerson, Person, PersonFound
from shared.ordered import OrderedReader, Received
from tests.support.stack import Stack, until


def messages(count: int, start: int = 0) -> list[Outgoing]:
    return [Outgoing("events.1.site", b"%d" % number, f"id-{number}") for number in range(start, start + count)]


async def stored(bus: Bus) -> int:
    return int((await bus.nc.jetstream().stream_info(subjects.EVENTS)).state.messages)


@pytest.mark.parametrize("count", [1, ATOMIC_FROM - 1, ATOMIC_FROM, 1200])
async def test_a_batch_is_stored_whole_and_a_repeat_stores_nothing(stack: Stack, count: int) -> None:
    bus = await stack.bus("tracker")
    assert await bus.publish_many(messages(count)) == [None] * count
    assert await bus.publish_many(messages(count)) == [None] * count
    assert await stored(bus) == count


async def test_a_batch_with_some_repeats_stores_the_rest(stack: Stack) -> None:
    bus = await stack.bus("tracker")
    await bus.publish_many(messages(10))
    assert not any(await bus.publish_many(messages(ATOMIC_FROM + 20, start=5)))
    assert await stored(bus) == ATOMIC_FROM + 25


@pytest.mark.parametrize("count", [1, ATOMIC_FROM])
async def test_what_is_stored_is_what_was_sent(stack: Stack, count: int) -> None:
    bus = await stack.bus("tracker")
    sent = [
        Outgoing(f"events.{n % 16}.site", bytes(range(256)) + b"\r\nPUB x 1\r\n%d" % n, f"id-{n}") for n in range(count)
    ]
    assert not any(await bus.publish_many(sent))
    kept = await stack.raw(subjects.EVENTS)
    assert [(each.subject, each.data, (each.headers or {})["Nats-Msg-Id"]) for each in kept] == [
        tuple(each) for each in sent
    ]


async def test_a_header_is_one_line_whatever_it_holds(stack: Stack) -> None:
    bus = await stack.bus("mailer")
    await bus.publish(
        Outgoing("dead.mailer", b"x", "id"), headers={"Beckon-Reason": "a\r\nNats-Msg-Id: other\0 x", "Beckon-X": ""}
    )
    (letter,) = await stack.raw(subjects.DEAD)
    headers = letter.headers or {}
    assert headers["Beckon-Reason"] == "a??Nats-Msg-Id: other? x"
    assert headers["Nats-Msg-Id"] == "id"


async def test_what_is_too_large_is_refused_and_the_connection_lives(stack: Stack) -> None:
    bus = await stack.bus("tracker")
    large = Outgoing("events.1.site", b"x" * bus.nc.max_payload, "large")
    with pytest.raises(BusUnavailable, match="maximum payload"):
        await bus.publish(large, timeout_s=0.2)
    assert not any(await bus.publish_many(messages(3)))


async def test_a_full_stream_is_an_error_within_the_time_given(stack: Stack) -> None:
    setup = await stack.bus("setup")
    js = setup.nc.jetstream()
    config = (await js.stream_info(subjects.EVENTS)).config
    config.max_bytes = 2000
    await js.update_stream(config)
    bus = await stack.bus("tracker")
    results = await bus.publish_many([Outgoing("events.1.site", b"x" * 900, str(n)) for n in range(4)], timeout_s=0.5)
    refused = [str(error) for error in results if error]
    assert set(refused) == {"maximum bytes exceeded"}
    assert await stored(setup) == len(results) - len(refused)


async def test_a_publish_is_bounded_while_the_server_is_away_and_passes_when_it_is_back(stack: Stack) -> None:
    bus = await stack.bus("tracker")
    await stack.nats.kill()
    with pytest.raises(BusUnavailable):
        await bus.publish(messages(1)[0], timeout_s=0.5)
    publishing = asyncio.create_task(bus.publish_many(messages(3), timeout_s=20))
    await stack.nats.restart()
    assert await publishing == [None] * 3
    assert await stored(bus) == 3


async def test_a_subject_that_is_not_the_users_own_is_never_stored(stack: Stack) -> None:
    mailer = await stack.bus("mailer")
    with pytest.raises(BusUnavailable):
        await mailer.publish(Outgoing("events.1.site", b"x", "id"), timeout_s=0.3)
    assert await stored(mailer) == 0


async def test_an_address_that_is_none_is_refused() -> None:
    with pytest.raises(StartError, match="NATS_URL"):
        await Bus.connect("not an address", "tracker", 4)


# --- Ordered reading --------------------------------------------------------------------------------------------------


async def read(reader: OrderedReader, count: int) -> list[Received]:
    found: list[Received] = []

    async def enough() -> bool:
        before = len(found)
        while len(found) < count and (received := reader.first()) is not None:
            found.append(received)
            reader.drop()
        await reader.dropped(len(found) - before)
        return len(found) == count

    await until(enough, within_s=15, what=f"{count} messages")
    return found


async def test_a_reader_reads_in_order_from_where_it_is_told(stack: Stack) -> None:
    tracker, state = await stack.bus("tracker"), await stack.bus("state")
    await tracker.publish_many(messages(300))
    reader = OrderedReader(state, subjects.EVENTS, "events.1.*", 100, window=50, on_arrival=lambda: None)
    await reader.start()
    found = await read(reader, 200)
    assert [int(received.msg.data) for received in found] == list(range(100, 300))
    assert [received.sequence for received in found] == list(range(101, 301))
    await reader.stop()


async def test_no_more_than_the_window_lies_unread(stack: Stack) -> None:
    tracker, state = await stack.bus("tracker"), await stack.bus("state")
    await tracker.publish_many(messages(300))
    reader = OrderedReader(state, subjects.EVENTS, "events.1.*", 0, window=20, on_arrival=lambda: None)
    await reader.start()

    async def full() -> bool:
        return len(reader) == 20

    await until(full)
    assert reader.through == 20
    assert [int(received.msg.data) for received in await read(reader, 300)] == list(range(300))
    await reader.stop()


async def test_a_reader_goes_on_after_the_server_was_killed_without_a_gap_or_a_repeat(stack: Stack) -> None:
    tracker, state = await stack.bus("tracker"), await stack.bus("state")
    reader = OrderedReader(state, subjects.EVENTS, "events.1.*", 0, window=500, on_arrival=lambda: None)
    await reader.start()
    await tracker.publish_many(messages(10))
    first = await read(reader, 10)
    await stack.nats.kill()
    await stack.nats.restart()
    assert await tracker.publish_many(messages(10, start=10), timeout_s=20) == [None] * 10
    second = await read(reader, 10)
    assert [int(received.msg.data) for received in first + second] == list(range(20))
    await reader.stop()


# --- Requests ---------------------------------------------------------------------------------------------------------


async def test_an_answer_a_refusal_and_a_failure_come_back_as_what_they_are(stack: Stack) -> None:
    state, mailer = await stack.bus("state"), await stack.bus("mailer")

    async def get(request: GetPerson) -> PersonFound:
        if request.person == "refused":
            raise RequestRefused("not this one")
        if request.person == "broken":
            raise ZeroDivisionError("a bug")
        if request.person == "away":
            raise BusUnavailable("moving")
        return PersonFound(Person(request.person), 1)

    await serve_subject(state, Endpoint("people.get.3", GetPerson, get))
    await state.nc.flush()
    assert (await mailer.request("people.get.3", GetPerson("ada"), PersonFound)).person.key == "ada"
    with pytest.raises(RequestRefused, match="not this one"):
        await mailer.request("people.get.3", GetPerson("refused"), PersonFound)
    with pytest.raises(RequestRefused, match="ZeroDivisionError"):
        await mailer.request("people.get.3", GetPerson("broken"), PersonFound)
    with pytest.raises(RequestTimeout):  # it stays silent: another process may be the one that can
        await mailer.request("people.get.3", GetPerson("away"), PersonFound, timeout_s=0.2)
    with pytest.raises(NoResponders):
        await mailer.request("people.get.4", GetPerson("ada"), PersonFound)


async def test_a_request_that_cannot_be_read_is_refused_and_says_why(stack: Stack) -> None:
    state, mailer = await stack.bus("state"), await stack.bus("mailer")

    async def get(request: GetPerson) -> PersonFound:
        return PersonFound(Person(request.person), 1)

    class Other(Struct):
        number: int = 1

    await serve_subject(state, Endpoint("people.get.3", GetPerson, get))
    await state.nc.flush()
    with pytest.raises(RequestRefused, match="missing required field `person`"):
        await mailer.request("people.get.3", Other(), PersonFound)


async def test_an_answer_that_does_not_come_is_a_timeout(stack: Stack) -> None:
    state, mailer = await stack.bus("state"), await stack.bus("mailer")

    async def never(_: GetPerson) -> PersonFound:
        await asyncio.Event().wait()
        raise AssertionError

    await serve_subject(state, Endpoint("people.get.3", GetPerson, never))
    await state.nc.flush()
    with pytest.raises(RequestTimeout):
        await mailer.request("people.get.3", GetPerson("ada"), PersonFound, timeout_s=0.2)


async def test_an_events_message_is_the_same_for_the_same_event_only(stack: Stack) -> None:
    bus = await stack.bus("tracker")
    event = Event("e", "ada", "x", 1, 1)
    again = msgspec.structs.replace(event, received=2)
    assert bus.event_message(event).msg_id == bus.event_message(again).msg_id
    assert bus.event_message(msgspec.structs.replace(event, person="bob")).msg_id != bus.event_message(event).msg_id
    assert bus.event_message(msgspec.structs.replace(event, source="beckon")).subject.endswith(".outcome")
