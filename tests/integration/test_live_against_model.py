"""The live system against the brute-force model: real NATS, real PostgreSQL, state and rule-evaluator as processes of their
own, and a clock that runs fifty times as fast.

The model is told what the stream holds, with the stream's own times, and must come to the very firings that stand in
``state.triggers``, to the microsecond.
"""

import asyncio
from random import Random
from typing import Any, NamedTuple

import msgspec
import pytest

from services.state.identity import Handover, Link, Message
from shared import subjects
from shared.clock import SECOND, Instant, Lapse, SystemClock, from_datetime, rfc3339, to_datetime
from shared.messages import Event
from shared.rules import PutRule, RulePut
from tests.property import cases, model
from tests.support.stack import Stack, until

pytestmark = pytest.mark.unwatched

SPEED = 50
RULES = 10
PEOPLE = 30
"""Each is a visitor and a user, and tried against each rule."""
LASTS_S = 60
LONGEST_S = 13
"""Longer than any duration in a rule."""

_decode = msgspec.msgpack.Decoder(Message).decode


class Stored(NamedTuple):
    message: Message
    arrived: Instant


async def put(stack: Stack, chance: Random) -> list[dict[str, Any]]:
    documents: list[dict[str, Any]] = []
    while len(documents) < RULES:
        for document, _ in cases.world(chance).rules:
            documents.append(document | {"id": f"rule-{len(documents)}"})
    for document in documents:
        answer = await (await stack.bus("operator")).request(
            subjects.RULES_PUT, PutRule(msgspec.json.encode(document).decode()), RulePut
        )
        assert not answer.errors
    return documents


def happenings(chance: Random, number: int) -> list[tuple[int, int, Event]]:
    """(second of sending, offset of the timestamp, event) of one visitor and user, who sign in at some moment maybe."""
    found = []
    for happening in cases.world(chance).happenings:
        second = happening.arrived // SECOND % LASTS_S
        if isinstance(happening, cases.Come):
            event = happening.event
            offset = event.timestamp // SECOND - happening.arrived // SECOND
        else:
            event = Event("sign", "ada", "identify", 0, 0, user_id="ada", anonymous_id="visitor")
            offset = 0
        found.append((second, offset, _of(event, number, len(found))))
    return found


def _of(event: Event, number: int, place: int) -> Event:
    named = {
        field: f"{value}-{number}"
        for field in ("person", "user_id", "anonymous_id")
        if (value := getattr(event, field))
    }
    return msgspec.structs.replace(event, id=f"{number}-{place}", **named)


async def stored(stack: Stack, lapse: Lapse) -> list[Stored]:
    js = (await stack.bus("setup")).nc.jetstream(timeout=5)
    state = (await js.stream_info(subjects.EVENTS)).state
    found = []
    for sequence in range(1, state.last_seq + 1):
        raw = await js.get_msg(subjects.EVENTS, sequence)
        assert raw.time is not None
        found.append(Stored(_decode(raw.data or b""), lapse.instant(from_datetime(raw.time))))
    return found


def firings(
    document: dict[str, Any], live_since: Instant, messages: list[Stored], until_: Instant
) -> set[model.Firing]:
    """What the model makes of the stream for one rule."""
    lives: dict[str, model.Life] = {}
    histories: dict[str, dict[str, model.Happening]] = {}
    counts: dict[str, int] = {}
    gone: set[str] = set()
    for message, arrived in messages:
        key = message.person
        if key in gone:
            continue  # forwarded: it comes once more, as somebody else's
        life = lives.setdefault(key, model.Life(key, document, live_since))
        history = histories.setdefault(key, {})
        if isinstance(message, Event):
            if message.id in history:
                continue
            counts[key] = counts.get(key, 0) + 1
            history[message.id] = model.Happening(
                counts[key], message.name, message.timestamp, arrived, message.properties, message.trusted
            )
            life.arrive(history[message.id])
        elif isinstance(message, Link):
            life.pass_to(arrived)
            gone.add(key)
        elif isinstance(message, Handover):
            other, offset = histories[message.source], counts.get(key, 0)
            brought = [e._replace(n=offset + e.n) for name, e in other.items() if name not in history]
            history |= {name: e for name, e in other.items() if name not in history}
            counts[key] = offset + counts.get(message.source, 0)
            life.join(lives[message.source], brought, arrived)
    for key, life in lives.items():
        if key not in gone:
            life.pass_to(until_)
    return {firing for life in lives.values() for firing in life.fired}


@pytest.mark.parametrize("seed", [1])
async def test_the_live_system_fires_as_the_model_says_to_the_microsecond(stack: Stack, seed: int) -> None:
    lapse = Lapse(SystemClock().now() // SECOND * SECOND, SPEED)
    clock = SystemClock(lapse)
    staging = {"BECKON_ENV": "staging", "TIME_LAPSE": f"{rfc3339(lapse.start)}@{SPEED}", "RECENT_LIMIT": "2"}
    await stack.start("rule_evaluator", **staging)
    documents = await put(stack, Random(seed))
    await stack.start("state", **staging)

    begins = clock.now()
    plan = sorted(
        (item for number in range(PEOPLE) for item in happenings(Random(f"{seed}-{number}"), number)),
        key=lambda item: item[0],
    )
    for second, offset, event in plan:
        while (now := clock.now()) < begins + second * SECOND:
            await asyncio.sleep(0.001)
        timestamp = (now // SECOND + offset) * SECOND
        await stack.publish(msgspec.structs.replace(event, timestamp=timestamp, received=now))
    ends = clock.now() + 2 * LONGEST_S * SECOND

    async def over() -> bool:
        rows = await stack.fetch("SELECT count(*) AS due FROM state.actors WHERE next_due <= $1", to_datetime(ends))
        return clock.now() > ends + 5 * SECOND and rows[0]["due"] == 0

    await until(over, within_s=30, what="every timer has come due")
    messages = await stored(stack, lapse)
    assert sum(isinstance(each.message, Handover) for each in messages) >= PEOPLE // 6
    rows = await stack.fetch("SELECT id, live_since FROM rules.current")
    live_since = {row["id"]: lapse.instant(from_datetime(row["live_since"])) for row in rows}
    expected = {
        firing for document in documents for firing in firings(document, live_since[document["id"]], messages, ends)
    }
    fired = await stack.fetch("SELECT person, rule, fired_at FROM state.triggers")
    found = {model.Firing(row["person"], row["rule"], from_datetime(row["fired_at"])) for row in fired}
    assert {firing for firing in found if firing.at <= ends} == expected
    assert len(fired) == len(found) >= PEOPLE // 2
