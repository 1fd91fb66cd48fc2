"""The throttle on real servers: each trigger decided once, caps exact, nothing lost."""

import asyncio
from collections import Counter
from pathlib import Path

import pytest

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.setup import database as setup
from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import HOUR, MINUTE, SECOND, SystemClock, rfc3339
from shared.consents import CheckConsent, ConsentChecked, Consents, GetConsents, Suppress, Suppressed
from shared.errors import RequestRefused, Unavailable
from shared.messages import Event, SendEmail
from shared.outcomes import outcome
from shared.policies import GetPolicy, PolicyFound, PolicyPut
from tests.support.stack import DATABASE_PASSWORDS, Service, Stack, until
from tests.support.throttle import decisions, fired, outcomes, publish, put_policy, sends, settled

NO_CAPS = "caps: []"


async def test_the_first_is_sent_and_the_second_is_over_the_cap(stack: Stack) -> None:
    throttle = await stack.start("throttle")
    first, second = fired(), fired()
    await publish(stack, first)
    await settled(stack)
    await publish(stack, second)
    await settled(stack)
    (send,) = await stack.messages(subjects.SENDS, SendEmail)
    assert send.trigger.id == first.id
    assert send.trigger.stamps.decided >= first.stamps.committed
    name, stage, reason = (await outcomes(stack))[second.id]
    assert (name, stage) == ("trigger_suppressed", "throttle")
    decided = rfc3339(send.trigger.stamps.decided // SECOND * SECOND)
    assert reason == f"cap: 1 per 24h for rule win-back; rule win-back was sent at {decided}"
    assert throttle.metric('beckon_throttle_decisions_total{outcome="send"}') == 1
    assert {line["outcome"] for line in throttle.logged("trigger_decided")} == {"send", "suppressed"}


async def test_a_trigger_that_comes_again_gets_the_same_decision(stack: Stack) -> None:
    await stack.start("throttle")
    sent, capped = fired(), fired()
    await publish(stack, sent)
    await settled(stack)
    await publish(stack, capped)
    await settled(stack)
    await put_policy(stack, NO_CAPS)  # what was decided stays decided
    for attempt in "abc":
        await publish(stack, sent, capped, attempt=attempt)
    await settled(stack)
    assert await sends(stack) == [sent.id]
    assert list(await outcomes(stack)) == [capped.id]
    assert len(await decisions(stack)) == 2


async def test_caps_are_exact_with_many_deciders_of_one_person(stack: Stack) -> None:
    deciders = [await stack.start("throttle", CONCURRENCY="4") for _ in range(2)]
    await put_policy(stack, "caps: [{max: 3, per: 24h, scope: all}]")
    triggers = [fired(person, rule=f"rule-{n}") for n in range(10) for person in ("ada", "bob", "eve")]
    await publish(stack, *triggers)
    await publish(stack, *triggers, attempt="again")
    await settled(stack)
    by_id = {trigger.id: trigger for trigger in triggers}
    assert Counter(by_id[send].person for send in await sends(stack)) == {"ada": 3, "bob": 3, "eve": 3}
    suppressed = await outcomes(stack)
    assert len(suppressed) == 21
    assert {reason.partition(";")[0] for _, _, reason in suppressed.values()} == {"cap: 3 per 24h overall"}
    assert sum(each.metric("beckon_throttle_races_total") for each in deciders) > 0, "they did race"


async def test_a_firing_that_came_to_nothing_gives_its_place_back(stack: Stack) -> None:
    await stack.start("throttle")
    first = fired()
    await publish(stack, first)
    await settled(stack)
    now = SystemClock().now()
    await stack.publish(outcome("trigger_suppressed", first, now, stage="verify", reason="no longer true"))

    async def released() -> bool:
        return (await decisions(stack))[first.id] == ("send", True)

    await until(released)
    second = fired()
    await publish(stack, second)
    await settled(stack)
    assert await sends(stack) == [first.id, second.id]


async def test_what_was_sent_or_is_uncertain_keeps_its_place(stack: Stack) -> None:
    await stack.start("throttle")
    first, other = fired(), fired("bob")
    await publish(stack, first, other)
    await settled(stack)
    now = SystemClock().now()
    await stack.publish(
        outcome("email_sent", first, now),
        outcome("email_uncertain", first, now, stage="smtp"),
        outcome("email_failed", other, now, stage="smtp"),
    )

    async def released() -> bool:
        return (await decisions(stack))[other.id] == ("send", True)

    await until(released)
    assert (await decisions(stack))[first.id] == ("send", False)


async def test_a_complaint_and_an_unsubscription_end_all_sending_and_a_bounce_is_about_an_address(stack: Stack) -> None:
    await stack.start("throttle")
    people = {"joe": "email_bounced", "bob": "email_complained", "eve": "email_unsubscribed"}
    now = SystemClock().now()
    await stack.publish(*(outcome(name, fired(person), now, kind="hard") for person, name in people.items()))

    async def listed() -> bool:
        return (
            len(
                await stack.fetch("SELECT person FROM throttle.suppressions UNION SELECT person FROM throttle.consents")
            )
            == 2
        )

    await until(listed)
    triggers = {person: fired(person) for person in people}
    await publish(stack, *triggers.values())
    await settled(stack)
    assert await sends(stack) == [triggers["joe"].id]
    found = await outcomes(stack)
    assert found[triggers["bob"].id] == ("trigger_suppressed", "throttle", "suppressed: complaint")
    assert found[triggers["eve"].id] == ("trigger_suppressed", "throttle", "suppressed: unsubscribed")


async def test_what_people_choose_to_get_is_kept_and_the_latest_choice_stands(stack: Stack) -> None:
    await stack.start("throttle")
    tracker = await stack.bus("tracker")
    now = SystemClock().now()

    def chose(person: str, at: int, name: str, **properties: str) -> Event:
        return outcome(name, fired(person), now + at, **properties)

    nudges = {"scope": "category", "category": "nudge"}
    await stack.publish(
        # In whichever order they come, and with others in between.
        chose("ada", 2, "email_resubscribed", scope="all"),
        chose("ada", 1, "email_unsubscribed", scope="all"),
        chose("ada", 3, "email_unsubscribed", **nudges),
        chose("bob", 1, "email_unsubscribed", scope="all"),
    )
    wanted = {"ada": Consents(True, {"nudge": False}), "bob": Consents(False, {})}

    async def told() -> bool:
        got = {who: await tracker.request(subjects.CONSENTS_GET, GetConsents(who), Consents) for who in wanted}
        return got == wanted

    await until(told)
    triggers = [fired("ada", rule="a", category="nudge"), fired("ada", rule="b", category="news"), fired("bob")]
    await publish(stack, *triggers)
    await settled(stack)
    assert await sends(stack) == [triggers[1].id]
    found = await outcomes(stack)
    assert found[triggers[0].id][2] == "suppressed: unsubscribed from category nudge"
    assert found[triggers[2].id][2] == "suppressed: unsubscribed"
    ada = await tracker.request(subjects.CONSENTS_GET, GetConsents("ada"), Consents)
    assert ada == Consents(True, {"news": True, "nudge": False}), "what was sent can be chosen about"


async def test_who_turned_out_to_be_somebody_brings_caps_choices_and_suppressions_along(stack: Stack) -> None:
    await stack.start("throttle")
    visited, guest, annoyed = fired("visitor"), fired("guest"), fired("former-id")
    await publish(stack, visited)
    await settled(stack)
    now = SystemClock().now()
    await stack.publish(outcome("email_unsubscribed", guest, now), outcome("email_complained", annoyed, now))

    async def known() -> bool:
        return len(await stack.fetch("SELECT person FROM throttle.people")) == 3

    await until(known)
    capped = fired("ada", aliases=["visitor"])
    unwanted = fired("bob", aliases=["cart:1", "guest"])
    dead = fired("cleo", aliases=["former-id"])
    free = fired("dan", aliases=["cart:2"])
    await publish(stack, capped, unwanted, dead, free)
    await settled(stack)
    assert await sends(stack) == [visited.id, free.id]
    reasons = {trigger: reason for trigger, (_, _, reason) in (await outcomes(stack)).items()}
    assert reasons[capped.id].startswith("cap: 1 per 24h for rule win-back; rule win-back was sent at ")
    assert reasons[unwanted.id] == "suppressed: unsubscribed"
    assert reasons[dead.id] == "suppressed: complaint"
    mailer = await stack.bus("mailer")
    for each in (capped, unwanted, dead, free):
        asked = CheckConsent(each.person, each.terms.category, each.aliases)
        told = await mailer.request(subjects.CONSENTS_CHECK, asked, ConsentChecked)
        assert told.refusal == ("" if each in (capped, free) else reasons[each.id]), "caps were counted before"
    # What bob chooses from now on counts more than what the guest chose.
    await stack.publish(outcome("email_resubscribed", fired("bob"), now + SECOND))
    again = fired("bob", rule="another", aliases=["guest"])

    async def chosen() -> bool:
        return len(await stack.fetch("SELECT 1 FROM throttle.consents WHERE person = 'bob'")) == 1

    await until(chosen)
    await publish(stack, again)
    await settled(stack)
    assert again.id in await sends(stack)


async def test_caps_hold_for_whoever_has_many_ids_while_many_decide_at_once(stack: Stack) -> None:
    await asyncio.gather(*(stack.start("throttle") for _ in range(4)))
    people = [f"person-{n}" for n in range(20)]
    orders = [["a", "b"], ["b", "a"], ["b"], ["a"]]
    triggers = [
        fired(person, rule=f"r{n}", aliases=[f"{alias}-of-{person}" for alias in orders[n % 4]])
        for n in range(8)
        for person in people
    ]
    await publish(stack, *triggers)
    await settled(stack)
    allowed = set(await sends(stack))
    assert Counter(each.person for each in triggers if each.id in allowed) == dict.fromkeys(people, 2)


async def test_an_operator_puts_people_on_the_suppression_list_and_takes_them_off(stack: Stack) -> None:
    await stack.start("throttle")
    operator = await stack.bus("operator")

    async def put(request: Suppress) -> Suppressed:
        return await operator.request(subjects.SUPPRESSIONS_PUT, request, Suppressed)

    assert await put(Suppress("ada", "asked on the phone")) == Suppressed("ada", True)
    first, second = fired(), fired()
    await publish(stack, first)
    await settled(stack)
    assert (await outcomes(stack))[first.id][2] == "suppressed: asked on the phone"
    assert await put(Suppress("ada", "", remove=True)) == Suppressed("ada", False)
    await publish(stack, second)
    await settled(stack)
    assert await sends(stack) == [second.id]


async def test_people_are_held_out_and_told_as_such(stack: Stack) -> None:
    await stack.start("throttle")
    triggers = [fired(f"person-{n}", holdout=0.5) for n in range(100)]
    await publish(stack, *triggers)
    await settled(stack)
    held = [name for name, _, _ in (await outcomes(stack)).values()]
    assert set(held) == {"trigger_held_out"}
    assert 30 < len(held) < 70
    assert len(held) + len(await sends(stack)) == 100


async def test_what_expired_in_the_queue_is_not_sent(stack: Stack) -> None:
    now = SystemClock().now()
    late, timely = fired(expires=now - MINUTE), fired("bob", expires=now + HOUR)
    await publish(stack, late, timely)
    await stack.start("throttle")
    await settled(stack)
    assert await sends(stack) == [timely.id]
    name, stage, reason = (await outcomes(stack))[late.id]
    assert (name, stage) == ("email_expired", "throttle")
    assert reason.startswith("expired 1m")


async def test_a_new_policy_counts_for_the_next_decision_of_every_replica(stack: Stack) -> None:
    for _ in range(2):
        await stack.start("throttle")
    operator = await stack.bus("operator")
    found = await operator.request(subjects.POLICY_GET, GetPolicy(), PolicyFound)
    assert found.version == 0
    assert "scope: all" in found.document
    await publish(stack, fired())
    await settled(stack)
    assert await put_policy(stack, NO_CAPS) == PolicyPut(1)
    assert await put_policy(stack, NO_CAPS) == PolicyPut(1), "the same document is the same version"
    await publish(stack, *(fired() for _ in range(20)))
    await settled(stack)
    assert len(await sends(stack)) == 21
    assert await put_policy(stack, "caps: [{max: 21, per: 7d, scope: all}]") == PolicyPut(2)
    await publish(stack, *(fired() for _ in range(20)))
    await settled(stack)
    assert len(await sends(stack)) == 21, "a longer window looks back further"


async def test_a_flawed_policy_changes_nothing(stack: Stack) -> None:
    await stack.start("throttle")
    answer = await put_policy(stack, "{caps: [], quiet_hours: {from: '21:00'}}")
    assert answer == PolicyPut(0, ['quiet_hours.to: None is not a time of the day, try "08:00"'])
    operator = await stack.bus("operator")
    assert (await operator.request(subjects.POLICY_GET, GetPolicy(), PolicyFound)).version == 0
    with pytest.raises(RequestRefused):
        await operator.request(subjects.POLICY_PUT, Event("e", "p", "n", 1, 1), PolicyPut)


async def test_the_policy_file_is_put_once_and_an_operator_may_overrule_it(stack: Stack, tmp_path: Path) -> None:
    file = tmp_path / "policy.yaml"
    file.write_text("caps: [{max: 7, per: 1h, scope: rule}]")
    throttle = await stack.start("throttle", POLICY_FILE=str(file))
    assert (await put_policy(stack, NO_CAPS)).version == 2
    await throttle.stop()

    throttle = await stack.start("throttle", POLICY_FILE=str(file))
    operator = await stack.bus("operator")
    assert await operator.request(subjects.POLICY_GET, GetPolicy(), PolicyFound) == PolicyFound(2, NO_CAPS)
    await throttle.stop()

    file.write_text("caps: [{max: 8, per: 1h, scope: rule}]")
    await stack.start("throttle", POLICY_FILE=str(file))
    assert (await operator.request(subjects.POLICY_GET, GetPolicy(), PolicyFound)).version == 3


@pytest.mark.parametrize(
    ("content", "says"),
    [(None, "cannot read"), ("caps: [{max: 1, per: 30x, scope: rule}]", "caps[0].per: '30x' is not a duration")],
)
async def test_a_bad_policy_file_stops_it_at_the_start(
    stack: Stack, tmp_path: Path, content: str | None, says: str
) -> None:
    file = tmp_path / "policy.yaml"
    if content is not None:
        file.write_text(content)
    throttle = await stack.start("throttle", wait=False, POLICY_FILE=str(file))
    assert await throttle.process.wait() == 2
    assert "beckon throttle: POLICY_FILE: " in throttle.process.tail()
    assert says in throttle.process.tail()


async def test_a_poisoned_message_is_put_aside_and_the_rest_proceeds(stack: Stack) -> None:
    await stack.start("throttle")
    state = await stack.bus("state")
    await state.publish(Outgoing("triggers.1", b"\xc1 no MessagePack", "poison"))
    await state.publish(Outgoing("triggers.1", encode(Event("e", "p", "n", 1, 1)), "another tag"))
    stranger = outcome("email_failed", fired(), 1, stage="smtp")
    stranger.properties["trigger_id"] = None
    await stack.publish(stranger)
    good = fired()
    await publish(stack, good)
    await settled(stack)
    assert await sends(stack) == [good.id]

    async def three() -> bool:
        return len(await stack.dead_letters()) == 3

    await until(three)
    letters = {letter.subject.split(".")[0]: letter for letter in await stack.dead_letters()}
    assert letters["triggers"].reason.startswith("not a TRIGGERS message: ")
    assert letters["events"].reason == "email_failed names no trigger: trigger_id is None"


async def test_a_killed_decider_loses_nothing_and_decides_nothing_twice(stack: Stack) -> None:
    victim = await stack.start("throttle")
    await stack.start("throttle")
    triggers = [fired(f"person-{n % 50}", rule=f"rule-{n}") for n in range(400)]
    await publish(stack, *triggers)

    async def some() -> bool:
        return len(await decisions(stack)) > 20

    await until(some)
    await victim.kill()
    await settled(stack, within_s=30)
    sent, others = await sends(stack), await outcomes(stack)
    assert sorted([*sent, *others]) == sorted(trigger.id for trigger in triggers)
    by_id = {trigger.id: trigger for trigger in triggers}
    assert set(Counter(by_id[send].person for send in sent).values()) == {2}


async def test_it_waits_for_postgresql_at_the_start_and_later(tmp_path: Path, nats_server: EmbeddedNats) -> None:
    postgres = await EmbeddedPostgres.start(tmp_path / "own", max_connections=50)
    await setup.prepare(postgres.url(), DATABASE_PASSWORDS)
    stack = Stack(tmp_path, nats_server, postgres, "postgres")
    await stack.declare_streams()
    try:
        await postgres.kill()
        throttle = await stack.start("throttle", wait=False)
        await _reports(throttle, "postgresql_unreachable")
        await postgres.restart()
        await until(lambda: asyncio.to_thread(throttle.ready))

        await postgres.kill()
        triggers = [fired(f"person-{n}") for n in range(20)]
        await publish(stack, *triggers)

        async def unready() -> bool:
            return "postgresql" in (await asyncio.to_thread(throttle.get, "/readyz"))[1]

        await until(unready)
        await postgres.restart()
        await settled(stack, within_s=30)
        assert sorted(await sends(stack)) == sorted(trigger.id for trigger in triggers)
        assert await stack.dead_letters() == []
        await stack.close()
    finally:
        await postgres.stop()


async def test_it_waits_for_nats_and_goes_on_when_it_is_back(stack: Stack) -> None:
    throttle = await stack.start("throttle")
    await stack.nats.kill()

    async def unready() -> bool:
        return "nats" in (await asyncio.to_thread(throttle.get, "/readyz"))[1]

    await until(unready)
    await stack.nats.restart()
    await until(lambda: asyncio.to_thread(throttle.ready), within_s=15)
    trigger = fired()

    async def published() -> bool:
        try:
            await publish(stack, trigger)
        except (AssertionError, Unavailable):
            return False
        return True

    await until(published)
    await settled(stack)
    assert await sends(stack) == [trigger.id]


async def test_it_stops_cleanly(stack: Stack) -> None:
    throttle = await stack.start("throttle")
    await publish(stack, *(fired(f"person-{n}") for n in range(200)))
    assert await throttle.stop() == 0
    await stack.start("throttle")
    await settled(stack)
    assert len(await sends(stack)) == 200


async def _reports(service: Service, event: str) -> None:
    async def check() -> bool:
        return bool(service.logged(event))

    await until(check, what=event)
