"""Eight replicas decide at once what one alone would have decided in order: never one over a cap, none wrongly refused."""

import asyncio
import random
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

import pytest

from services.throttle.decide import Decision, Standing, decide_together
from services.throttle.deciding import Deciding
from services.throttle.document import read
from services.throttle.policies import Policies
from services.throttle.returning import Returning
from services.throttle.store import BY_KEY, MIGRATIONS, Store, Waiting
from shared import db, subjects
from shared.clock import HOUR, MINUTE, SECOND, Instant, Lapse, SystemClock
from shared.errors import RetryLater
from shared.messages import SendEmail, Trigger
from tests.support.stack import Stack, until
from tests.support.throttle import fired

REPLICAS = 8
SIDE_BY_SIDE = 8


class SetClock:
    """Stands still until it is set."""

    def __init__(self) -> None:
        self.at = SystemClock().now()

    def now(self) -> Instant:
        return self.at


class Replica(NamedTuple):
    store: Store
    policies: Policies
    deciding: Deciding
    returning: Returning


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


@pytest.fixture
async def replicas(stack: Stack, clock: SetClock) -> AsyncIterator[list[Replica]]:
    bus = await stack.bus("throttle")
    pools = [
        await db.open_pool(
            stack.database_url("throttle"), name="t", schema="throttle", migrations=MIGRATIONS, size=4, settings=BY_KEY
        )
        for _ in range(REPLICAS)
    ]
    made = []
    for pool in pools:
        store = Store(pool)
        policies = Policies(store, clock)
        deciding = Deciding(bus, store, policies, clock)
        returning = Returning(bus, store, deciding, clock, Lapse(), concurrency=SIDE_BY_SIDE)
        made.append(Replica(store, policies, deciding, returning))
    yield made
    for pool in pools:
        await pool.close()


async def arrive(replicas: Sequence[Replica], triggers: Sequence[Trigger]) -> None:
    """All at once, spread over the replicas; what cannot be decided comes again, as it does from the queue."""
    waiting = list(triggers)

    async def work(deciding: Deciding) -> None:
        while waiting:
            trigger = waiting.pop()
            try:
                await deciding.arrived(trigger)
            except RetryLater:
                waiting.insert(0, trigger)

    async with asyncio.TaskGroup() as tasks:
        for replica in replicas:
            for _ in range(SIDE_BY_SIDE):
                tasks.create_task(work(replica.deciding))


async def return_all(replicas: Sequence[Replica]) -> None:
    """Every replica looks for what is due, until nothing waits any more."""
    async with asyncio.TaskGroup() as tasks:
        for replica in replicas:
            tasks.create_task(replica.returning.run())

        async def nothing_waits() -> bool:
            return not await replicas[0].store.waiting()

        await until(nothing_waits, within_s=60)
        for replica in replicas:
            await replica.returning.stop()


async def sent(stack: Stack) -> set[str]:
    rows = await stack.fetch("SELECT trigger_id FROM throttle.decisions WHERE outcome = 'send'")
    return {row["trigger_id"] for row in rows}


async def test_of_what_settles_the_most_important_win_under_eight_replicas(
    stack: Stack, clock: SetClock, replicas: list[Replica]
) -> None:
    caps = "[{max: 1, per: 24h, scope: rule}, {max: 3, per: 24h, scope: all}]"
    await replicas[0].store.put_policy(f"{{caps: {caps}, settle: 10m}}", "a test", clock.now())
    triggers = [
        # Half of the people were two once, and each trigger tells, in whichever order.
        fired(f"p{n}", f"rule-{k % 5}", priority=k, aliases=[f"q{n}"])
        if n % 2
        else fired(f"p{n}", f"rule-{k % 5}", priority=k)
        for n in range(1000)
        for k in range(10)
    ]
    random.Random(1).shuffle(triggers)
    await arrive(replicas, triggers)
    clock.at += HOUR
    await return_all(replicas)
    assert (await stack.fetch("SELECT count(*) FROM throttle.decisions"))[0][0] == 10_000
    allowed = await sent(stack)
    by_person = defaultdict(list)
    for trigger in triggers:
        if trigger.id in allowed:
            by_person[trigger.person].append(trigger)
    assert {len(each) for each in by_person.values()} == {3}
    assert len(by_person) == 1000
    assert all(len({trigger.rule for trigger in each}) == 3 for each in by_person.values())
    important = {tuple(sorted(trigger.terms.priority for trigger in each)) for each in by_person.values()}
    assert important == {(7, 8, 9)}
    published = Counter([send.trigger.id for send in await stack.messages(subjects.SENDS, SendEmail)])
    assert published == Counter(allowed)


@pytest.mark.parametrize("seed", range(6))
async def test_in_whichever_order_they_come_the_most_important_win(
    stack: Stack, clock: SetClock, replicas: list[Replica], seed: int
) -> None:
    """Against the sequential decision of each person's triggers in the order of their priority."""
    chance = random.Random(seed)
    document = (
        f"caps: [{{max: {chance.randint(1, 2)}, per: 24h, scope: rule}}, {{max: {chance.randint(1, 4)}, per: 7d, scope: all}},"
        f" {{max: {chance.randint(1, 3)}, per: 1h, scope: category}}]\nsettle: 2s\n"
    )
    if chance.random() < 0.5:
        document += "spacing: {least: 1h, scope: category, then: drop}\n"
    await replicas[0].store.put_policy(document, "a test", clock.now())
    persons = []
    for n in range(40):
        names = [f"p{n}-{k}" for k in range(chance.choice([1, 1, 2, 3]))]
        persons.append([_any(chance, names) for _ in range(chance.randint(1, 12))])
    triggers = [trigger for person in persons for trigger in person]
    chance.shuffle(triggers)
    half = len(triggers) // 2
    await arrive(replicas, triggers[:half])
    clock.at += SECOND
    await arrive(replicas, triggers[half:])
    clock.at += MINUTE
    await return_all(replicas)
    expected = set()
    for person in persons:
        for trigger, verdict in decide_together(person, Standing(), read(document), clock.now()):
            if isinstance(verdict, Decision) and verdict.outcome == "send":
                expected.add(trigger.id)
    assert await sent(stack) == expected


async def test_who_turns_out_to_be_another_while_it_settles_competes_with_that_one(
    stack: Stack, clock: SetClock, replicas: list[Replica]
) -> None:
    await replicas[0].store.put_policy("{caps: [{max: 1, per: 24h, scope: all}], settle: 2s}", "a test", clock.now())
    visitor, phone = fired("visitor", "a", priority=1), fired("phone", "b", priority=2)
    ada = fired("ada", "c", priority=3, aliases=["visitor", "phone"])
    for n, trigger in enumerate((visitor, phone, ada)):
        await arrive(replicas[n : n + 1], [trigger])
    clock.at += 2 * SECOND
    # Whichever of them is taken first: the two know nothing of each other.
    await replicas[3].deciding.returned(Waiting(visitor, 0, clock.now(), "settle"))
    assert await sent(stack) == {ada.id}
    rows = await stack.fetch("SELECT reason FROM throttle.decisions WHERE outcome = 'suppressed'")
    assert {row["reason"] for row in rows} == {"cap: 1 per 24h overall; rule c (priority 3) came first"}


def _any(chance: random.Random, names: list[str]) -> Trigger:
    """Of one of the names, and all of a person's triggers tell of all the others: they are known to be one."""
    name = chance.choice(names)
    others = [other for other in names if other != name]
    chance.shuffle(others)
    return fired(
        name,
        f"rule-{chance.randrange(4)}",
        category=f"category-{chance.randrange(2)}",
        priority=chance.randrange(-2, 3),
        aliases=others,
    )
