"""The actor loop on real servers, with scripted verdicts: each event once, each timer on time, each trigger published."""

import asyncio
import signal
from pathlib import Path

import pytest

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.setup import database as setup
from shared import subjects
from shared.bus import Outgoing
from shared.clock import MILLISECOND, MINUTE, SECOND, SystemClock
from shared.messages import Event, GetPerson, Person, PersonFound, Trigger
from shared.outcomes import outcome
from shared.partition import partition_of
from tests.support.people import committed, event, person, triggers
from tests.support.script import TERMS, Script
from tests.support.stack import DATABASE_PASSWORDS, PARTITIONS, Service, Stack, until


def wake(in_us: int, person: str = "ada") -> Event:
    return event("wake", person, at=SystemClock().now() + in_us)


@pytest.fixture
async def script(stack: Stack) -> Script:
    script = Script()
    await script.serve(await stack.bus("rule_evaluator"))
    return script


# --- Events -----------------------------------------------------------------------------------------------------------


async def test_events_are_stored_once_and_the_person_remembers_them(stack: Stack, script: Script) -> None:
    state = await stack.start("state")
    first = event("identify", email="ada@example.test", note="a\0b")
    await stack.publish(first, event("product_viewed", product_id="p1"))
    await committed(stack, 2)
    # A repeat after the stream's own window of duplicates looks like this: another message, the same event.
    bus = await stack.bus("setup")
    await bus.publish(bus.event_message(first)._replace(msg_id="repeated"))
    await stack.publish(event("product_viewed", product_id="p2"))
    await committed(stack, 3)
    ada = await person(stack, "ada")
    assert [kept.name for kept in ada.history] == ["identify", "product_viewed", "product_viewed"]
    assert ada.profile["email"] == "ada@example.test"
    assert state.metric('beckon_state_events_total{outcome="duplicate"}') == 1
    rows = await stack.fetch("SELECT properties->>'note' AS note FROM state.events WHERE name = 'identify'")
    assert rows[0]["note"] == "a�b"


async def test_a_person_is_read_as_after_everything_the_stream_holds(stack: Stack, script: Script) -> None:
    await stack.start("state")
    for number in range(50):
        await stack.publish(event("product_viewed", person="eve", number=number))
        eve = await person(stack, "eve") if number == 0 else await _get(stack, "eve")
        assert len(eve.history) == number + 1


async def _get(stack: Stack, key: str) -> Person:
    bus = stack.buses["mailer"]
    subject = subjects.people_get(partition_of(key, PARTITIONS))
    return (await bus.request(subject, GetPerson(key), PersonFound)).person


async def test_somebody_never_heard_of_is_an_empty_person(stack: Stack, script: Script) -> None:
    await stack.start("state")
    assert await person(stack, "nobody") == Person("nobody")


async def test_what_is_no_event_is_put_aside_with_the_reason_and_the_rest_proceeds(
    stack: Stack, script: Script
) -> None:
    state = await stack.start("state")
    tracker = await stack.bus("tracker")
    subject = subjects.event_subject(partition_of("ada", PARTITIONS))
    await tracker.publish(Outgoing(subject, b"\xc1 not an event", "poison"))
    await stack.publish(event("x"))
    await committed(stack, 1)
    (letter,) = await stack.dead_letters()
    assert letter.reason.startswith("not an event")
    assert letter.data == b"\xc1 not an event"
    assert letter.subject == subject
    assert state.metric('beckon_state_events_total{outcome="dead"}') == 1


async def test_what_can_never_be_committed_is_put_aside_and_the_rest_proceeds(stack: Stack, script: Script) -> None:
    await stack.start("state")
    poison = event("a\0b")
    await stack.publish(*(event("x") for _ in range(20)), poison, *(event("y") for _ in range(20)))
    await committed(stack, 40)
    (letter,) = await stack.dead_letters()
    assert letter.reason.startswith("cannot be committed")


async def test_a_failed_evaluation_loses_no_event(stack: Stack, script: Script) -> None:
    script.broken = True
    state = await stack.start("state")
    await stack.publish(event("x"))
    await committed(stack, 1)
    assert state.logged("evaluation_failed")[0]["error"] == "broken on purpose"


async def test_without_an_evaluator_events_wait(stack: Stack) -> None:
    state = await stack.start("state")
    await stack.publish(event("fire"))

    async def waits() -> bool:
        return bool(state.logged("evaluation_waits"))

    await until(waits)
    assert await stack.fetch("SELECT 1 FROM state.events") == []
    await Script().serve(await stack.bus("rule_evaluator"))
    await committed(stack, 1)
    assert len(await triggers(stack, 1)) == 1


# --- Triggers ---------------------------------------------------------------------------------------------------------


async def test_a_firing_is_published_once_with_what_made_it_so(stack: Stack, script: Script) -> None:
    await stack.start("state")
    firing = event("fire", product_id="p1")
    await stack.publish(firing)
    (trigger,) = await triggers(stack, 1)
    assert (trigger.person, trigger.rule, trigger.terms) == ("ada", "script", TERMS)
    assert [because.id for because in trigger.because] == [firing.id]
    assert trigger.stamps.received == firing.received
    assert trigger.stamps.due <= trigger.stamps.committed

    async def marked() -> bool:
        return bool(await stack.fetch("SELECT 1 FROM state.triggers WHERE published_at IS NOT NULL"))

    await until(marked)


async def test_a_trigger_that_was_committed_but_not_published_is_found_by_the_next_owner(
    stack: Stack, script: Script
) -> None:
    state = await stack.start("state")
    await stack.publish(event("fire"))
    (first,) = await triggers(stack, 1)
    await state.kill()
    # As after a crash between the commit and the publish: committed, never seen by the stream.
    await (await stack.bus("setup")).nc.jetstream().delete_stream(subjects.TRIGGERS)
    await stack.declare_streams()
    await stack.fetch("UPDATE state.triggers SET published_at = NULL")
    await stack.start("state")
    (again,) = await triggers(stack, 1)
    assert again.id == first.id

    async def marked() -> bool:
        return bool(await stack.fetch("SELECT 1 FROM state.triggers WHERE published_at IS NOT NULL"))

    await until(marked)


async def test_the_fate_of_a_trigger_is_kept_when_its_outcome_comes_back(stack: Stack, script: Script) -> None:
    await stack.start("state")
    await stack.publish(event("fire"))
    (trigger,) = await triggers(stack, 1)
    await stack.publish(outcome("trigger_suppressed", trigger, SystemClock().now(), reason="cap"))

    async def settled() -> bool:
        (row,) = await stack.fetch("SELECT outcome, reason FROM state.triggers")
        return tuple(row) == ("trigger_suppressed", "cap")

    await until(settled)


# --- Timers -----------------------------------------------------------------------------------------------------------


async def test_a_timer_fires_when_it_is_due(stack: Stack, script: Script) -> None:
    await stack.start("state")
    people = [f"p{number}" for number in range(30)]
    await stack.publish(*(wake(SECOND, person) for person in people))
    found = await triggers(stack, len(people))
    late = sorted(trigger.stamps.committed - trigger.stamps.due for trigger in found)
    assert len({trigger.person for trigger in found}) == len(people)
    assert late[0] >= 0
    assert late[len(late) // 2] < 250 * MILLISECOND


async def test_a_timer_survives_a_restart(stack: Stack, script: Script) -> None:
    state = await stack.start("state")
    await stack.publish(wake(SECOND))
    await committed(stack, 1)
    await state.kill()
    await stack.start("state")
    (trigger,) = await triggers(stack, 1)
    assert trigger.timer


async def test_what_was_published_before_a_timer_was_due_is_seen_before_it_also_after_downtime(
    stack: Stack, script: Script
) -> None:
    state = await stack.start("state")
    due = SystemClock().now() + SECOND
    await stack.publish(event("wake", at=due))
    await committed(stack, 1)
    await state.stop()
    await stack.publish(event("cancel"))

    async def overdue() -> bool:
        return SystemClock().now() > due + 200 * MILLISECOND

    await until(overdue)
    await stack.start("state")
    await committed(stack, 2)
    await stack.publish(event("x"))
    await committed(stack, 3)
    names = [name for _, name, _ in script.steps]
    assert names.index("cancel") < (names.index("timer") if "timer" in names else len(names))
    assert await stack.messages(subjects.TRIGGERS, Trigger) == []


async def test_a_straggler_is_found_and_counted(stack: Stack, script: Script) -> None:
    state = await stack.start("state", STRAGGLERS_EVERY_S="0.5")
    await stack.publish(wake(20 * MINUTE))
    await committed(stack, 1)
    await stack.fetch("UPDATE state.actors SET next_due = now() - interval '1 minute'")

    async def found() -> bool:
        return state.metric("beckon_timers_straggling_total") == 1

    await until(found)


# --- Sharing the work -------------------------------------------------------------------------------------------------


async def owners(stack: Stack) -> set[str]:
    rows = await stack.fetch(
        "SELECT DISTINCT owner FROM state.partitions WHERE owner IS NOT NULL AND lease_until > now()"
    )
    return {row["owner"] for row in rows}


async def shared_by(stack: Stack, count: int) -> None:
    async def check() -> bool:
        (row,) = await stack.fetch("SELECT count(*) AS free FROM state.partitions WHERE owner IS NULL")
        return row["free"] == 0 and len(await owners(stack)) == count

    await until(check, within_s=15, what=f"{count} owners")


async def owner_of(stack: Stack, key: str, services: list[Service]) -> Service:
    (row,) = await stack.fetch("SELECT owner FROM state.partitions WHERE id = $1", partition_of(key, PARTITIONS))
    for service in services:
        if any(line["owner"] == row["owner"] for line in service.logged("state_joined")):
            return service
    raise AssertionError(row)


async def test_two_processes_share_the_partitions_and_hand_them_over(stack: Stack, script: Script) -> None:
    first = await stack.start("state")
    await shared_by(stack, 1)
    await stack.start("state")
    await shared_by(stack, 2)
    await stack.publish(*(event("x", f"p{number}") for number in range(200)))
    await committed(stack, 200)
    await first.stop()
    await shared_by(stack, 1)
    await stack.publish(*(event("x", f"p{number}") for number in range(200)))
    await committed(stack, 400)


async def test_the_other_takes_over_a_due_timer_when_its_owner_is_killed(stack: Stack, script: Script) -> None:
    services = [await stack.start("state"), await stack.start("state")]
    await shared_by(stack, 2)
    await stack.publish(wake(2 * SECOND))
    await committed(stack, 1)
    owner = await owner_of(stack, "ada", services)
    await owner.kill()
    killed = SystemClock().now()
    (trigger,) = await triggers(stack, 1, within_s=10)
    assert trigger.stamps.committed - killed < 8 * SECOND


async def test_an_owner_that_was_paused_writes_nothing_when_it_wakes(stack: Stack, script: Script) -> None:
    services = [await stack.start("state"), await stack.start("state")]
    await shared_by(stack, 2)
    await stack.publish(wake(2 * SECOND))
    await committed(stack, 1)
    owner = await owner_of(stack, "ada", services)
    owner.process.send(signal.SIGSTOP)
    await triggers(stack, 1, within_s=10)
    owner.process.send(signal.SIGCONT)
    await shared_by(stack, 2)
    await stack.publish(event("x"))
    await committed(stack, 2)
    assert len(await stack.messages(subjects.TRIGGERS, Trigger)) == 1
    assert owner.logged("leases_given_up") or owner.logged("partitions_lost") or owner.logged("commit_fenced")


# --- Servers that go away ---------------------------------------------------------------------------------------------


async def test_it_goes_on_where_it_was_when_nats_comes_back(stack: Stack, script: Script) -> None:
    await stack.start("state")
    await stack.publish(*(event("x") for _ in range(10)))
    await committed(stack, 10)
    await stack.nats.kill()
    await stack.nats.restart()
    await stack.publish(*(event("x") for _ in range(10)))
    await committed(stack, 20)


async def test_a_stream_that_lost_its_tail_raises_an_alarm_and_skips_no_new_event(stack: Stack, script: Script) -> None:
    state = await stack.start("state")
    await stack.publish(*(event("x") for _ in range(5)))
    await committed(stack, 5)
    await stack.keep_streams()
    await stack.publish(*(event("y") for _ in range(5)))
    await committed(stack, 10)
    await stack.lose_streams()
    await stack.publish(*(event("z") for _ in range(8)))
    await committed(stack, 18)
    assert state.metric("beckon_stream_tail_lost_total") >= 1


async def test_a_timer_of_a_partition_whose_newest_messages_were_lost_still_fires(stack: Stack, script: Script) -> None:
    await stack.start("state")
    await stack.publish(event("x"))
    await committed(stack, 1)
    await stack.keep_streams()
    await stack.publish(wake(4 * SECOND))
    await committed(stack, 2)
    await stack.lose_streams()
    await triggers(stack, 1)


async def test_it_goes_on_when_postgresql_comes_back(tmp_path: Path, nats_server: EmbeddedNats) -> None:
    postgres = await EmbeddedPostgres.start(tmp_path / "postgres", fsync=False)
    try:
        await setup.prepare(postgres.url(), DATABASE_PASSWORDS)
        stack = Stack(tmp_path, nats_server, postgres, "postgres")
        await stack.declare_streams()
        await Script().serve(await stack.bus("rule_evaluator"))
        state = await stack.start("state")
        await stack.publish(*(event("x") for _ in range(5)))
        await committed(stack, 5)
        await postgres.kill()
        await stack.publish(*(event("y") for _ in range(5)))

        async def unready() -> bool:
            return "postgresql" in (await asyncio.to_thread(state.get, "/readyz"))[1]

        await until(unready)
        await postgres.restart()
        await committed(stack, 10, within_s=20)
        await until(lambda: asyncio.to_thread(state.ready))
        await stack.close()
    finally:
        await postgres.stop()


async def test_another_number_of_partitions_is_refused(stack: Stack) -> None:
    state = await stack.start("state", wait=False, PARTITIONS="8")
    assert await state.process.wait() == 2
    assert "PARTITIONS is 8, but stream EVENTS was made for 16" in state.process.tail()


async def test_it_stops_cleanly_and_frees_what_it_held(stack: Stack, script: Script) -> None:
    state = await stack.start("state")
    await shared_by(stack, 1)
    assert await state.stop() == 0
    rows = await stack.fetch("SELECT 1 FROM state.partitions WHERE owner IS NOT NULL")
    assert rows == []
