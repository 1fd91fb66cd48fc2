"""What one turn of the loop takes: messages from the readers and, behind the barrier, people whose timer is due."""

import asyncio
from collections.abc import Collection

import msgspec
from msgspec import Struct

from services.state.acceptance import Arrival
from services.state.identity import Link, Message
from services.state.partition import Barrier, Partition
from shared.clock import DAY, Instant, Lapse
from shared.messages import Event
from shared.ordered import Received

BATCH_BYTES = 256 * 1024
"""What one turn takes from the stream; it also bounds what one person's case can grow to."""
LAST_INSTANT: Instant = 366 * DAY * 230
"""About the year 2200. A timestamp beyond is nobody's, and PostgreSQL's arithmetic has an end."""

_decode = msgspec.msgpack.Decoder(Message).decode


class Turn(Struct):
    """``due``: people whose timer is taken, with the instant it was due. ``until``: for each of them the instant up to
    which absence is known. ``homes``: everybody's partition."""

    partitions: dict[int, Partition] = {}
    messages: list[Received] = []
    arrivals: dict[str, list[Arrival]] = {}
    unreadable: list[tuple[Received, str]] = []
    due: dict[str, Instant] = {}
    until: dict[str, Instant] = {}
    homes: dict[str, int] = {}

    @property
    def people(self) -> list[str]:
        return list({**self.arrivals, **self.due})


async def ask_for_barriers(partitions: Collection[Partition], now: Instant) -> None:
    """Where a timer is due: an absence may be judged at ``now`` once everything the stream holds by now was taken."""
    asking = []
    for partition in partitions:
        due = partition.timers.next_due()
        if due is not None and due <= now and partition.barrier is None:
            asking.append(partition)
    for partition, position in zip(asking, await asyncio.gather(*(p.last() for p in asking)), strict=True):
        partition.barrier = Barrier(position, now)


async def take(partitions: Collection[Partition], limit: int, lapse: Lapse) -> Turn:
    """Up to ``limit`` messages and timers (at least one timer of each partition that has some due)."""
    turn = Turn()
    await _take_messages(turn, partitions, limit, lapse)
    _take_timers(turn, partitions, limit - len(turn.messages))
    return turn


async def _take_messages(turn: Turn, partitions: Collection[Partition], limit: int, lapse: Lapse) -> None:
    size = BATCH_BYTES
    waiting = [partition for partition in partitions if len(partition.reader)]
    # The longest queue first: one that fills every turn cannot starve the others for long.
    for partition in sorted(waiting, key=lambda partition: -len(partition.reader)):
        if size <= 0 or len(turn.messages) >= limit:
            return
        reader, count = partition.reader, 0
        while size > 0 and len(turn.messages) < limit and (received := reader.first()) is not None:
            if not _take_message(turn, partition.id, received, lapse):
                break
            reader.drop()
            count += 1
            size -= len(received.msg.data)
            partition.taken, partition.taken_time = received.sequence, received.arrived
        turn.partitions[partition.id] = partition
        await reader.dropped(count)


def _take_message(turn: Turn, home: int, received: Received, lapse: Lapse) -> bool:
    """False: it must wait for the next turn. Somebody who leaves hands over before the turn is committed, so everything
    that came to them earlier must be in the record already, from where the other copies it."""
    try:
        message = decode(received.msg.data)
    except msgspec.DecodeError as error:
        turn.unreadable.append((received, f"not an event: {error}"))
    else:
        if isinstance(message, Link) and message.person in turn.arrivals:
            return False
        arrived = lapse.instant(received.arrived)
        turn.arrivals.setdefault(message.person, []).append(Arrival(message, received.sequence, arrived))
        turn.homes[message.person] = home
    turn.messages.append(received)
    return True


def decode(data: bytes) -> Message:
    """Raises ``msgspec.DecodeError`` for what can never become a row."""
    message: Message = _decode(data)
    if "\0" in message.person or "\0" in message.id:
        raise msgspec.ValidationError("person and id must not contain NUL")
    if isinstance(message, Event) and not 0 <= message.timestamp <= LAST_INSTANT:
        raise msgspec.ValidationError(f"timestamp {message.timestamp} is not in microseconds since 1970")
    return message


def _take_timers(turn: Turn, partitions: Collection[Partition], room: int) -> None:
    for partition in partitions:
        barrier = partition.barrier
        if barrier is None or partition.taken < barrier.position:
            continue
        for person, due in partition.timers.pop(barrier.instant, max(room, 1)):
            turn.due[person] = due
            turn.until[person] = barrier.instant
            turn.homes[person] = partition.id
            turn.partitions[partition.id] = partition
            room -= 1
        following = partition.timers.next_due()
        if following is None or following > barrier.instant:
            partition.barrier = None
