"""What people do, published as the tracker publishes it, and what comes of it."""

import itertools

from shared import subjects
from shared.clock import SystemClock
from shared.errors import Unavailable
from shared.messages import Event, GetPerson, Person, PersonFound, Trigger
from shared.partition import partition_of
from tests.support.stack import PARTITIONS, Stack, until

_ids = itertools.count(1)


def event(name: str, person: str = "ada", *, ago_us: int = 0, **properties: object) -> Event:
    now = SystemClock().now()
    return Event(f"e{next(_ids)}", person, name, now - ago_us, now, properties=properties)


def signed_in(user: str, visitor: str, name: str = "identify", **properties: object) -> Event:
    """The visitor turns out to be the user."""
    now = SystemClock().now()
    return Event(f"e{next(_ids)}", user, name, now, now, properties=properties, user_id=user, anonymous_id=visitor)


async def committed(stack: Stack, count: int, within_s: float = 10) -> None:
    async def check() -> bool:
        (row,) = await stack.fetch("SELECT count(*) AS count FROM state.events")
        return bool(row["count"] == count)

    await until(check, within_s=within_s, what=f"{count} events committed")


async def triggers(stack: Stack, count: int, within_s: float = 10) -> list[Trigger]:
    async def check() -> list[Trigger]:
        found = await stack.messages(subjects.TRIGGERS, Trigger)
        return found if len(found) >= count else []

    return await until(check, within_s=within_s, what=f"{count} triggers published")


async def person(stack: Stack, key: str) -> Person:
    bus = await stack.bus("mailer")

    async def ask() -> PersonFound | None:
        try:
            return await bus.request(subjects.people_get(partition_of(key, PARTITIONS)), GetPerson(key), PersonFound)
        except Unavailable:
            return None

    found = await until(ask)
    assert found is not None
    return found.person


async def remembers(stack: Stack, key: str, events: int) -> None:
    async def check() -> bool:
        return len((await person(stack, key)).history) == events

    await until(check, what=f"{key} has {events} events")
