"""Triggers that wait: for quiet hours to end, for some time after the last mail, for others that may be more important."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import pytest
from nats.aio.msg import Msg

from shared import subjects
from shared.bus import encode
from shared.clock import HOUR, MINUTE, SECOND, Instant, SystemClock, rfc3339, to_datetime
from shared.consents import Suppress, Suppressed
from shared.messages import GetPerson, Person, PersonFound, SendEmail
from shared.outcomes import outcome
from shared.policies import GetWaiting, WaitingFound
from tests.support.stack import Service, Stack, until
from tests.support.throttle import decisions, fired, outcomes, publish, put_policy, sends, settled

FAST = 60
"""Time runs so many times as fast, so that the next full minute is at most a second away."""


class People:
    """Who the state service would say they are."""

    def __init__(self) -> None:
        self.profiles: dict[str, dict[str, Any]] = {}
        self.became: dict[str, str] = {}
        self.asked: list[str] = []

    async def serve(self, stack: Stack) -> None:
        async def answer(msg: Msg) -> None:
            key = msgspec.msgpack.decode(msg.data, type=GetPerson).person
            self.asked.append(key)
            person = self.became.get(key, key)
            aliases = [each for each, other in self.became.items() if other == person]
            found = PersonFound(Person(person, self.profiles.get(person, {})), 0, aliases=aliases)
            await msg.respond(encode(found))

        state = await stack.bus("state")
        await state.nc.subscribe("people.get.*", cb=answer)
        await state.nc.flush()


@pytest.fixture
async def people(stack: Stack) -> People:
    people = People()
    await people.serve(stack)
    return people


async def start_fast(stack: Stack) -> tuple[Service, Callable[[], Instant]]:
    """A throttle in a time-lapse, and what time it is there."""
    start = SystemClock().now() // SECOND * SECOND
    lapse = f"{rfc3339(start)}@{FAST}"
    throttle = await stack.start("throttle", BECKON_ENV="staging", TIME_LAPSE=lapse)
    return throttle, lambda: start + (SystemClock().now() - start) * FAST


def minute(at: Instant) -> str:
    return f"{to_datetime(at):%H:%M}"


async def waiting(stack: Stack) -> dict[str, str]:
    """What put off each trigger that waits."""
    return {row["trigger_id"]: row["by"] for row in await stack.fetch("SELECT trigger_id, by FROM throttle.waiting")}


async def all_decided(stack: Stack, within_s: float = 15) -> None:
    await settled(stack, within_s)

    async def check() -> bool:
        return not await waiting(stack)

    await until(check, within_s=within_s, what="nothing waits any more")


def how_many(count: int, check: Callable[[], Awaitable[Any]]) -> Callable[[], Awaitable[bool]]:
    async def reached() -> bool:
        return len(await check()) >= count

    return reached


async def test_quiet_hours_are_those_of_the_persons_zone(stack: Stack, people: People) -> None:
    await stack.start("throttle")
    hour = to_datetime(SystemClock().now()).hour
    noon, night = f"Etc/GMT{hour - 12:+}", f"Etc/GMT{hour - 23 if hour >= 11 else hour + 1:+}"
    people.profiles = {
        "day": {"home": {"zone": noon}},
        "night": {"home": {"zone": night}},
        "odd": {"home": {"zone": "?"}},
    }
    await put_policy(
        stack,
        f"{{caps: [], quiet_hours: {{from: '21:00', to: '08:00', timezone: profile.home.zone, default_timezone: {noon},"
        " except: [transactional]}}",
    )
    by_day, by_night, odd = fired("day"), fired("night"), fired("odd")
    receipt = fired("night", category="transactional")
    await publish(stack, by_day, by_night, odd, receipt)
    await settled(stack)
    assert sorted(await sends(stack)) == sorted([by_day.id, odd.id, receipt.id])
    assert people.asked.count("night") == 1, "for what is sent at any hour, nobody is asked where a person is"
    operator = await stack.bus("operator")
    (waits,) = (await operator.request(subjects.POLICY_WAITING, GetWaiting(["night"]), WaitingFound)).triggers
    assert (waits.trigger, waits.by) == (by_night.id, "quiet_hours")
    assert waits.reason == f"quiet hours: 21:00 to 08:00 {night}"
    opens = SystemClock().now() // HOUR * HOUR + 9 * HOUR
    assert waits.due == opens
    assert (await decisions(stack)).keys() == {by_day.id, odd.id, receipt.id}


async def test_what_waited_is_decided_afresh_when_the_quiet_hours_end(stack: Stack, people: People) -> None:
    throttle, now = await start_fast(stack)
    await put_policy(
        stack,
        "{caps: [{max: 1, per: 24h, scope: rule}], quiet_hours:"
        f" {{from: '{minute(now() - HOUR)}', to: '{minute(now() + 3 * MINUTE)}', then: defer}}}}",
    )
    good, capped = fired("ada"), fired("ada")
    unwanted, late = fired("bob"), fired("cleo", expires=now() + MINUTE)
    await publish(stack, good, capped, unwanted, late)
    await settled(stack)
    assert await sends(stack) == []
    name, stage, reason = (await outcomes(stack))[late.id]
    assert (name, stage) == ("email_expired", "throttle"), "it has no use for waiting"
    assert reason.startswith("quiet hours: ")
    assert reason.endswith(" after it expires")
    operator = await stack.bus("operator")
    await operator.request(subjects.SUPPRESSIONS_PUT, Suppress("bob", "asked to"), Suppressed)
    await all_decided(stack)
    assert await sends(stack) == [good.id]
    told = await outcomes(stack)
    assert told[capped.id][2] == "cap: 1 per 24h for rule win-back; rule win-back (priority 0) came first"
    assert told[unwanted.id][2] == "suppressed: asked to"
    assert throttle.metric('beckon_throttle_deferrals_total{by="quiet_hours"}') == 3
    assert throttle.metric("beckon_throttle_return_lateness_seconds_count") > 0


async def test_quiet_hours_may_drop_instead(stack: Stack) -> None:
    await stack.start("throttle")
    now = SystemClock().now()
    begins, ends = minute(now - HOUR), minute(now + HOUR)
    await put_policy(stack, f"{{caps: [], quiet_hours: {{from: '{begins}', to: '{ends}', timezone: UTC, then: drop}}}}")
    trigger = fired()
    await publish(stack, trigger)
    await settled(stack)
    reason = f"quiet hours: {begins} to {ends} UTC"
    assert await outcomes(stack) == {trigger.id: ("trigger_suppressed", "throttle", reason)}


async def test_after_a_mail_the_next_one_waits(stack: Stack, people: People) -> None:
    await start_fast(stack)
    await put_policy(stack, "{caps: [], spacing: 2m}")
    first, second, third = fired(rule="one"), fired(rule="two"), fired(rule="three", category="news")
    for each in (first, second, third):
        await publish(stack, each)
        await settled(stack)
    assert await waiting(stack) == {second.id: "spacing", third.id: "spacing"}
    await all_decided(stack)
    sent = [send.trigger for send in await stack.messages(subjects.SENDS, SendEmail)]
    assert [trigger.id for trigger in sent] == [first.id, second.id, third.id]
    instants = [trigger.stamps.decided for trigger in sent]
    assert all(after - before >= 2 * MINUTE for before, after in itertools.pairwise(instants))


async def test_of_triggers_that_settle_together_the_most_important_goes_first(stack: Stack) -> None:
    await stack.start("throttle")
    await put_policy(stack, "{caps: [{max: 1, per: 24h, scope: all}], settle: 1s}")
    browse, cart, vip = fired(rule="browse"), fired(rule="cart", priority=10), fired(rule="vip", priority=5)
    await publish(stack, browse)
    await settled(stack)
    await publish(stack, vip, cart)
    await all_decided(stack)
    assert await sends(stack) == [cart.id]
    lost = ("trigger_suppressed", "throttle", "cap: 1 per 24h overall; rule cart (priority 10) came first")
    assert await outcomes(stack) == {browse.id: lost, vip.id: lost}


async def test_who_was_merged_while_a_trigger_waited_keeps_caps_choices_and_what_waits(
    stack: Stack, people: People
) -> None:
    _, now = await start_fast(stack)
    soon = minute(now() + 3 * MINUTE)
    await put_policy(
        stack,
        "{caps: [{max: 1, per: 24h, scope: rule}], quiet_hours:"
        f" {{from: '{minute(now() - HOUR)}', to: '{soon}', timezone: UTC, except: [receipt]}}}}",
    )
    capped, unwanted, free = fired("visitor"), fired("guest"), fired("nobody")
    sent_before = fired("ada", category="receipt")
    await publish(stack, capped, unwanted, free, sent_before)
    await settled(stack)
    people.became = {"visitor": "ada", "guest": "bob"}
    await stack.publish(outcome("email_unsubscribed", fired("bob"), now()))
    await all_decided(stack)
    assert sorted(await sends(stack)) == sorted([sent_before.id, free.id])
    told = await outcomes(stack)
    assert told[capped.id][2].startswith("cap: 1 per 24h for rule win-back; rule win-back was sent at ")
    assert told[unwanted.id][2] == "suppressed: unsubscribed"
    send = next(s for s in await stack.messages(subjects.SENDS, SendEmail) if s.trigger.id == free.id)
    assert send.trigger.aliases == []


async def test_what_a_killed_replica_had_in_hand_is_decided_by_another_and_once(stack: Stack) -> None:
    victim = await stack.start("throttle", CONCURRENCY="2")
    await put_policy(stack, "{caps: [{max: 1, per: 24h, scope: all}], settle: 10m}")
    triggers = [fired(f"person-{n % 300}", f"rule-{n}", priority=n) for n in range(600)]
    await publish(stack, *triggers)
    await settled(stack)
    assert len(await waiting(stack)) == 600
    await stack.start("throttle", CONCURRENCY="2")
    await stack.fetch("UPDATE throttle.waiting SET due = now()")
    await until(how_many(20, lambda: decisions(stack)))
    await victim.kill()
    await all_decided(stack, within_s=30)
    sent, others = await sends(stack), await outcomes(stack)
    assert sorted([*sent, *others]) == sorted(trigger.id for trigger in triggers)
    assert sorted(sent) == sorted(trigger.id for trigger in triggers[300:]), "the more important of each person"


async def test_what_would_expire_while_it_settles_is_decided_at_once(stack: Stack, people: People) -> None:
    await stack.start("throttle")
    begins, ends = (minute(SystemClock().now() + hours * HOUR) for hours in (6, 7))
    await put_policy(stack, f"{{caps: [], settle: 10m, quiet_hours: {{from: '{begins}', to: '{ends}'}}}}")
    trigger = fired(expires=SystemClock().now() + MINUTE)
    await publish(stack, trigger)
    await settled(stack)
    assert await sends(stack) == [trigger.id]
    assert people.asked == ["ada"]


async def test_a_trigger_that_comes_again_while_it_waits_waits_once(stack: Stack) -> None:
    throttle = await stack.start("throttle")
    await put_policy(stack, "{caps: [], settle: 1s}")
    trigger = fired()
    for attempt in "abc":
        await publish(stack, trigger, attempt=attempt)
    await all_decided(stack)
    assert await sends(stack) == [trigger.id]
    assert throttle.metric('beckon_throttle_deferrals_total{by="settle"}') == 1


async def test_while_nobody_can_say_where_a_person_is_the_trigger_waits_in_its_queue(stack: Stack) -> None:
    throttle = await stack.start("throttle")
    await put_policy(
        stack, "{caps: [], quiet_hours: {from: '03:00', to: '03:01'}, windows: [{from: '00:00', to: '24:00'}]}"
    )
    trigger = fired()
    await publish(stack, trigger)
    await until(how_many(2, lambda: asyncio.to_thread(throttle.logged, "message_waits")))
    assert await sends(stack) == []
    await People().serve(stack)
    await settled(stack)
    assert await sends(stack) == [trigger.id]


async def test_what_waits_and_cannot_be_read_is_put_aside_and_the_rest_proceeds(stack: Stack) -> None:
    await stack.start("throttle")
    await put_policy(stack, "{caps: [], settle: 1s}")
    await stack.fetch(
        "INSERT INTO throttle.waiting (trigger_id, people, due, by, reason, asked_at, trigger)"
        " VALUES ('odd', '{eve}', now(), 'settle', '', now(), 'no MessagePack')"
    )
    good = fired()
    await publish(stack, good)
    await all_decided(stack)
    assert await sends(stack) == [good.id]
    (letter,) = await stack.dead_letters()
    assert letter.reason.startswith("not a trigger: ")
    assert letter.data == b"no MessagePack"
