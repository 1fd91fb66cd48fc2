"""Two that turn out to be one, on real servers: state and rule-evaluator as they are deployed."""

import asyncio
from random import Random

import asyncpg
import msgspec
import pytest

from services.state import intake
from services.state.identity import Link
from services.state.partition import Partition
from services.state.rows import Claim
from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import MINUTE, SECOND, Lapse, SystemClock
from shared.identity import Identities, Tie
from shared.messages import Event, Trigger
from shared.outcomes import outcome
from shared.partition import partition_of
from shared.rules import PutRule, RulePut
from tests.support.people import committed, event, person, signed_in, triggers
from tests.support.stack import PARTITIONS, Service, Stack, until

THREE_LOOKS = """\
id: three-looks
status: live
when: {event: product_viewed, count: {gte: 3}, within: 24h}
reentry: 24h
action: {email: {template: t}}
"""
CART = """\
id: cart
status: live
when:
  all:
    - {event: added_to_cart, within: 24h}
    - not: {event: purchased, since: added_to_cart}
    - {elapsed: 30m, since: added_to_cart}
reentry: 24h
action: {email: {template: t}}
"""


async def put(stack: Stack, *documents: str) -> None:
    operator = await stack.bus("operator")
    for document in documents:
        answer = await operator.request(subjects.RULES_PUT, PutRule(document), RulePut)
        assert not answer.errors


@pytest.fixture
async def state(stack: Stack) -> Service:
    evaluator = await stack.start("rule_evaluator")
    await put(stack, THREE_LOOKS, CART)
    state = await stack.start("state")

    async def known() -> bool:
        return state.metric("beckon_interest_revision") == 2 and bool(evaluator.logged("interest_announced"))

    await until(known)
    return state


def apart(count: int = 2) -> list[str]:
    """Names that live in different partitions."""
    found: dict[int, str] = {}
    for number in range(1000):
        found.setdefault(partition_of(f"p{number}", PARTITIONS), f"p{number}")
    return list(found.values())[:count]


async def joined(stack: Stack, key: str, events: int) -> None:
    async def check() -> bool:
        return len((await person(stack, key)).history) == events

    await until(check, what=f"{key} has {events} events")


async def aliases(stack: Stack) -> dict[str, str]:
    return {row["alias"]: row["person"] for row in await stack.fetch("SELECT alias, person FROM state.aliases")}


# --- Signing in -------------------------------------------------------------------------------------------------------


async def test_a_rule_half_satisfied_before_signing_in_completes_after_it(stack: Stack, state: Service) -> None:
    visitor, user = apart()
    await stack.publish(*(event("product_viewed", visitor) for _ in range(2)))
    await stack.publish(signed_in(user, visitor, email="ada@example.test"))
    await joined(stack, user, 3)
    await stack.publish(event("product_viewed", user))
    (trigger,) = await triggers(stack, 1)
    assert (trigger.person, trigger.rule) == (user, "three-looks")
    assert [each.name for each in trigger.because] == ["product_viewed"] * 3


async def test_a_timer_of_the_visitor_goes_on_as_the_users(stack: Stack, state: Service) -> None:
    visitor, user = apart()
    due = SystemClock().now() + 2 * SECOND
    await stack.publish(event("added_to_cart", visitor, ago_us=30 * MINUTE - 2 * SECOND))
    await stack.publish(signed_in(user, visitor))
    (trigger,) = await triggers(stack, 1)
    assert (trigger.person, trigger.aliases) == (user, [visitor])
    assert 0 <= trigger.at - due < SECOND
    rows = await stack.fetch("SELECT person FROM state.actors WHERE next_due IS NOT NULL")
    assert {row["person"] for row in rows} <= {user}, "nothing is left of the visitor's"


async def test_a_purchase_as_the_user_stops_what_the_visitor_began(stack: Stack, state: Service) -> None:
    visitor, user = apart()
    await stack.publish(event("added_to_cart", visitor, ago_us=30 * MINUTE - 2 * SECOND))
    await stack.publish(signed_in(user, visitor), event("purchased", user))
    await joined(stack, user, 3)
    await stack.publish(*(event("product_viewed", user) for _ in range(3)))
    found = await triggers(stack, 1, within_s=4)

    async def due_is_over() -> bool:
        rows = await stack.fetch("SELECT count(*) AS overdue FROM state.actors WHERE next_due < now() + interval '1s'")
        return rows[0]["overdue"] == 0

    await until(due_is_over)
    assert {trigger.rule for trigger in found} == {"three-looks"}
    assert {t.rule for t in await stack.messages(subjects.TRIGGERS, Trigger)} == {"three-looks"}


async def test_what_still_comes_under_the_old_id_is_the_users(stack: Stack, state: Service) -> None:
    visitor, user = apart()
    await stack.publish(event("product_viewed", visitor), signed_in(user, visitor))
    await joined(stack, user, 2)
    late = event("product_viewed", visitor, ago_us=MINUTE)
    await stack.publish(late, event("product_viewed", visitor))
    (trigger,) = await triggers(stack, 1)
    assert trigger.person == user
    found = await person(stack, visitor)
    assert (found.key, len(found.history)) == (user, 4), "and who asks for the visitor is told of the user"
    # A client's late retry of one of them is recognised, whichever id it comes under.
    bus = await stack.bus("setup")
    await bus.publish(bus.event_message(late)._replace(msg_id="again"))
    await bus.publish(bus.event_message(msgspec.structs.replace(late, person=user))._replace(msg_id="and again"))
    await stack.publish(event("page_viewed", user))
    await joined(stack, user, 5)


async def test_both_written_to_at_once_and_signed_in_again_and_again(stack: Stack, state: Service) -> None:
    visitor, user = apart()

    async def shop(key: str) -> None:
        for _ in range(40):
            await stack.publish(event("page_viewed", key))

    async def sign_in() -> None:
        for _ in range(10):
            await stack.publish(signed_in(user, visitor))

    await asyncio.gather(shop(visitor), shop(user), sign_in(), sign_in())

    async def all_are_the_users() -> bool:
        query = "SELECT count(*) AS count, count(DISTINCT n) AS numbers FROM state.events WHERE person = $1"
        return tuple((await stack.fetch(query, user))[0]) == (100, 100)

    await until(all_are_the_users)
    history = (await person(stack, user)).history
    assert 50 <= len(history) < 50 + 16, "the latest are kept: what no rule needs goes first"
    assert await aliases(stack) == {visitor: user}
    assert len(await stack.fetch("SELECT 1 FROM state.links")) == 1


async def test_who_leaves_is_told_in_a_turn_of_its_own(stack: Stack) -> None:
    """What is handed over is published before the turn is committed, and the record copied from where it stands. Were the
    event before it in the same turn, the copy could miss it."""
    bus = await stack.bus("state")
    subject = subjects.actor_subject(partition_of("v", PARTITIONS))
    messages = [event("page_viewed", "v"), Link("l1", "v", "u"), event("page_viewed", "v"), Link("l2", "v", "w")]
    failures = await bus.publish_many([Outgoing(subject, encode(message), message.id) for message in messages])
    assert failures == [None] * 4
    partition = Partition(bus, Claim(partition_of("v", PARTITIONS), 1, 0, None), lambda: None)
    await partition.open()

    async def arrived() -> bool:
        return len(partition.reader) == 4

    await until(arrived)
    turns = []
    while len(partition.reader):
        turn = await intake.take([partition], 100, Lapse())
        turns.append([arrival.message for arrival in turn.arrivals["v"]])
    assert turns == [messages[:1], messages[1:3], messages[3:]]
    assert partition.taken == 4
    await partition.close()


async def test_a_turn_takes_no_more_once_it_is_large(stack: Stack) -> None:
    bus = await stack.bus("state")
    subject = subjects.actor_subject(partition_of("v", PARTITIONS))
    messages = [event("page_viewed", "v", text="x" * (intake.BATCH_BYTES * 2 // 3)) for _ in range(3)]
    assert await bus.publish_many([Outgoing(subject, encode(each), each.id) for each in messages]) == [None] * 3
    partition = Partition(bus, Claim(partition_of("v", PARTITIONS), 1, 0, None), lambda: None)
    await partition.open()

    async def arrived() -> bool:
        return len(partition.reader) == 3

    await until(arrived)
    turns = [await intake.take([partition], 100, Lapse()) for _ in range(2)]
    assert [len(turn.messages) for turn in turns] == [2, 1]
    await partition.close()


async def test_an_outcome_of_the_visitors_trigger_counts_for_the_user(stack: Stack, state: Service) -> None:
    visitor, user = apart()
    await stack.publish(*(event("product_viewed", visitor) for _ in range(3)))
    (trigger,) = await triggers(stack, 1)
    await stack.publish(signed_in(user, visitor))
    await joined(stack, user, 4)
    await stack.publish(outcome("trigger_suppressed", trigger, SystemClock().now(), reason="no address"))

    async def told() -> bool:
        rows = await stack.fetch("SELECT outcome FROM state.triggers WHERE id = $1", trigger.id)
        return rows[0]["outcome"] == "trigger_suppressed"

    await until(told)
    assert [each.name for each in (await person(stack, user)).history][-1] == "trigger_suppressed"


# --- Who is who -------------------------------------------------------------------------------------------------------


async def test_chains_and_circles_end_in_one_person(stack: Stack, state: Service) -> None:
    keys = apart(4)
    await stack.publish(*(event("page_viewed", key) for key in keys))
    await committed(stack, 4)
    pairs = [(0, 1), (1, 2), (2, 3), (3, 0), (1, 0), (2, 0)]
    await asyncio.gather(*(stack.publish(alias(keys[into], keys[previous], trusted=True)) for previous, into in pairs))

    async def one_person() -> str:
        roots = {(await person(stack, key)).key for key in keys}
        if len(roots) != 1:
            return ""
        (root,) = roots
        names = [each.name for each in (await person(stack, root)).history]
        return root if names.count("page_viewed") == 4 and names.count("alias") == len(pairs) else ""

    root = await until(one_person)
    assert await aliases(stack) == {key: root for key in keys if key != root}


def alias(user: str, previous: str, *, trusted: bool) -> Event:
    said = signed_in(user, previous, "alias")
    return msgspec.structs.replace(said, trusted=trusted)


async def test_a_device_that_is_shared_does_not_make_two_customers_one(stack: Stack, state: Service) -> None:
    visitor, ada, bob = apart(3)
    await stack.publish(event("page_viewed", visitor), signed_in(ada, visitor))
    await joined(stack, ada, 2)
    await stack.publish(signed_in(bob, visitor))

    async def changed_hands() -> bool:
        return await aliases(stack) == {visitor: bob} and (await person(stack, visitor)).key == bob

    await until(changed_hands)
    await stack.publish(event("page_viewed", visitor))
    await joined(stack, bob, 2)
    assert [each.name for each in (await person(stack, ada)).history] == ["page_viewed", "identify"]


@pytest.mark.parametrize("trusted", [False, True])
async def test_two_known_customers_are_one_only_if_a_trusted_alias_says_so(
    stack: Stack, state: Service, trusted: bool
) -> None:
    ada, bob = apart()
    for user in (ada, bob):
        await stack.publish(msgspec.structs.replace(event("page_viewed", user), user_id=user))
    await committed(stack, 2)
    await stack.publish(alias(bob, ada, trusted=trusted))
    if trusted:
        await joined(stack, bob, 3)
        return

    async def refused() -> bool:
        return state.metric('beckon_identity_links_total{outcome="refused"}') == 1

    await until(refused)
    assert await aliases(stack) == {}
    assert (await person(stack, ada)).key == ada


async def test_what_comes_from_everywhere_ends_in_one_person_with_its_source(stack: Stack, state: Service) -> None:
    web, phone, user = apart(3)
    sources = {"web": web, "mobile": phone, "server": user, "shop": user}
    for source, key in sources.items():
        await stack.publish(msgspec.structs.replace(event("page_viewed", key), source=source))
    await stack.publish(signed_in(user, web), signed_in(user, phone))
    await joined(stack, user, 6)
    history = (await person(stack, user)).history
    assert {each.source for each in history if each.name == "page_viewed"} == set(sources)
    rows = await stack.fetch("SELECT source FROM state.events WHERE person = $1 AND name = 'page_viewed'", user)
    assert {row["source"] for row in rows} == set(sources)


async def test_a_link_that_was_committed_but_not_told_is_told_by_the_next_owner(stack: Stack, state: Service) -> None:
    visitor, user = apart()
    await stack.publish(event("page_viewed", visitor))
    await committed(stack, 1)
    await state.kill()
    # As after a crash between the commit and the publish.
    await stack.fetch("INSERT INTO state.aliases VALUES ($1, $2)", visitor, user)
    await stack.fetch(
        "INSERT INTO state.links (partition, previous, person, kind, event, tied_at)"
        " VALUES ($1, $2, $3, 'identify', 'e', now())",
        partition_of(user, PARTITIONS),
        visitor,
        user,
    )
    await stack.start("state")
    await joined(stack, user, 1)


# --- The two ways to decide -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(3))
async def test_postgresql_decides_as_the_pure_graph_does(stack: Stack, state: Service, seed: int) -> None:
    await state.stop()
    chance, pure = Random(seed), Identities()
    connection = await asyncpg.connect(stack.database_url())
    try:
        for user in ("u1", "u2", "u3"):
            pure.knows(user)
            await connection.execute(
                "INSERT INTO state.events (person, id, name, happened_at, arrived_at, sequence, source, trusted, user_id,"
                " properties, context) VALUES ($1, 'e', 'x', now(), now(), 1, 'api', false, $1, '{}', '{}')",
                user,
            )
        names = ["u1", "u2", "u3", "a1", "a2", "a3", "a4"]
        for number in range(80):
            previous, user = chance.sample(names, 2)
            tie = Tie(previous, user, chance.choice(["identify", "alias"]), chance.random() < 0.3, f"e{number}", 1)
            row = await connection.fetchrow("SELECT * FROM state.link(0, $1, $2, $3, $4, $5, $6)", *tie)
            decided = pure.link(tie)
            assert row is not None
            gave_way = row["previous"] if row["into_person"] is not None else None
            assert gave_way == (decided[0] if decided is not None else None), (number, tie)
            rows = await connection.fetch("SELECT alias, person FROM state.aliases")
            assert {row["alias"]: row["person"] for row in rows} == {
                name: pure.person(name) for name in names if pure.person(name) != name
            }
    finally:
        await connection.close()
