"""What rules need to know, and what happens to everybody when rules come and go. State and rule-evaluator on real servers."""

import pytest

from shared import keyvalue, subjects
from shared.bus import encode
from shared.clock import DAY, HOUR, MINUTE, SECOND, Instant, from_datetime
from shared.messages import Interest
from shared.rules import DeleteRule, GetSweep, PutRule, RuleDeleted, RulePut, SweepProgress
from tests.support.people import committed, event, triggers
from tests.support.stack import Service, Stack, until

SILENT = (
    "id: silent\nstatus: {status}\nwhen: {{elapsed: {days}d, since: activity}}\naction: {{email: {{template: t}}}}\n"
)


async def put(stack: Stack, document: str) -> int:
    answer = await (await stack.bus("operator")).request(subjects.RULES_PUT, PutRule(document), RulePut)
    assert not answer.errors
    return answer.version


async def timers(stack: Stack) -> dict[str, Instant]:
    rows = await stack.fetch("SELECT person, next_due FROM state.actors WHERE next_due IS NOT NULL")
    return {row["person"]: from_datetime(row["next_due"]) for row in rows}


async def swept(stack: Stack, within_s: float = 20) -> SweepProgress:
    """Wait until everybody was looked at for the rules as they are now."""
    (row,) = await stack.fetch("SELECT watched FROM rules.revision")

    async def check() -> SweepProgress | None:
        said = await (await stack.bus("operator")).request(subjects.SWEEP_PROGRESS, GetSweep(), SweepProgress)
        return said if said.revision == row["watched"] and said.partitions_done == said.partitions else None

    found = await until(check, within_s=within_s, what="swept")
    assert found is not None
    return found


@pytest.fixture
async def services(stack: Stack) -> tuple[Service, Service]:
    return await stack.start("rule_evaluator"), await stack.start("state")


async def idle_people(stack: Stack, count: int) -> dict[str, Instant]:
    """Visited some days ago, at an instant each."""
    visits = [event("page_viewed", f"p{number}", ago_us=number % 5 * DAY + HOUR) for number in range(count)]
    for start in range(0, count, 500):
        await stack.publish(*visits[start : start + 500])
    await committed(stack, count, within_s=30)
    return {visit.person: visit.timestamp for visit in visits}


# --- Going live -------------------------------------------------------------------------------------------------------


async def test_a_rule_going_live_arms_everybody_already_half_way(
    stack: Stack, services: tuple[Service, Service]
) -> None:
    visits = await idle_people(stack, 300)
    assert await timers(stack) == {}
    await put(stack, SILENT.format(status="live", days=14))
    said = await swept(stack)
    assert (said.seen, said.armed, said.revision) == (300, 300, 1)
    assert await timers(stack) == {person: visited + 14 * DAY for person, visited in visits.items()}
    assert services[1].metric('beckon_sweep_people_total{outcome="armed"}') == 300


async def test_who_was_armed_by_the_sweep_fires_in_time(stack: Stack, services: tuple[Service, Service]) -> None:
    visit = event("page_viewed", ago_us=14 * DAY - 4 * SECOND)
    await stack.publish(visit)
    await committed(stack, 1)
    await put(stack, SILENT.format(status="live", days=14))
    (trigger,) = await triggers(stack, 1)
    assert trigger.at == visit.timestamp + 14 * DAY
    assert trigger.stamps.committed - trigger.at < SECOND


async def test_what_was_already_true_when_the_rule_went_live_does_not_fire(
    stack: Stack, services: tuple[Service, Service]
) -> None:
    await stack.publish(event("page_viewed", "long gone", ago_us=20 * DAY), event("page_viewed", "recent"))
    await committed(stack, 2)
    await put(stack, SILENT.format(status="live", days=14))
    await swept(stack)
    assert set(await timers(stack)) == {"recent"}


async def test_a_sweep_goes_on_after_its_process_was_killed(stack: Stack, services: tuple[Service, Service]) -> None:
    visits = await idle_people(stack, 4000)
    await put(stack, SILENT.format(status="live", days=14))

    async def half_way() -> bool:
        rows = await stack.fetch("SELECT coalesce(sum(seen), 0) AS seen FROM state.sweeps WHERE revision = 1")
        return bool(rows[0]["seen"] >= 200)

    await until(half_way)
    await services[1].kill()
    rows = await stack.fetch("SELECT sum(seen) AS seen FROM state.sweeps WHERE revision = 1")
    assert rows[0]["seen"] < 4000, "killed in the middle"
    await stack.start("state")
    said = await swept(stack, within_s=40)
    assert 4000 <= said.seen <= 4000 + 64, "it went on where it was; a chunk may have been looked at twice"
    assert len(await timers(stack)) == len(visits)


# --- Editing, pausing, deleting ---------------------------------------------------------------------------------------


async def test_an_edited_rule_moves_everybodys_timer(stack: Stack, services: tuple[Service, Service]) -> None:
    await put(stack, SILENT.format(status="live", days=14))
    visits = await idle_people(stack, 50)
    await put(stack, SILENT.format(status="live", days=21))
    await swept(stack)
    assert await timers(stack) == {person: visited + 21 * DAY for person, visited in visits.items()}


@pytest.mark.parametrize("end", ["paused", "draft", "deleted"])
async def test_a_rule_that_ends_leaves_no_timer(stack: Stack, services: tuple[Service, Service], end: str) -> None:
    await put(stack, SILENT.format(status="live", days=14))
    await put(stack, SILENT.replace("silent", "longer").format(status="live", days=30))
    visits = await idle_people(stack, 50)
    for rule in ("silent", "longer"):
        if end == "deleted":
            await (await stack.bus("operator")).request(subjects.RULES_DELETE, DeleteRule(rule), RuleDeleted)
        else:
            days = 14 if rule == "silent" else 30
            await put(stack, SILENT.replace("silent", rule).format(status=end, days=days))
        await swept(stack)
        left = await timers(stack)
        if rule == "silent":
            assert left == {person: visited + 30 * DAY for person, visited in visits.items()}, "the other one goes on"
    assert left == {}


# --- What rules need to know ------------------------------------------------------------------------------------------


async def test_events_that_no_rule_mentions_are_not_evaluated(stack: Stack, services: tuple[Service, Service]) -> None:
    evaluator, _ = services
    await put(stack, "id: r\nstatus: live\nwhen: {event: wanted}\naction: {email: {template: t}}\n")
    await swept(stack)
    await stack.publish(*(event("page_viewed") for _ in range(20)))
    await committed(stack, 20)
    assert evaluator.metric("beckon_steps_evaluated_total") == 0
    await stack.publish(event("wanted"))
    assert [trigger.rule for trigger in await triggers(stack, 1)] == ["r"]
    assert evaluator.metric("beckon_steps_evaluated_total") == 1


async def test_what_was_forgotten_is_looked_up_when_a_rule_needs_it(
    stack: Stack, services: tuple[Service, Service]
) -> None:
    await put(stack, "id: r\nstatus: live\nwhen: {event: wanted}\naction: {email: {template: t}}\n")
    await swept(stack)
    await stack.publish(*(event("wished", ago_us=HOUR + number) for number in range(2)))
    for _ in range(4):
        await stack.publish(*(event("page_viewed") for _ in range(40)))
    await committed(stack, 162)
    await put(stack, "id: s\nstatus: live\nwhen: {event: wished, count: {gte: 3}}\naction: {email: {template: t}}\n")
    await swept(stack)
    await stack.publish(event("wished"))
    (trigger,) = await triggers(stack, 1)
    assert [each.name for each in trigger.because] == ["wished"] * 3
    assert services[1].metric("beckon_histories_refilled_total") == 1


async def test_what_is_announced_is_replaced_by_who_saw_it_only(stack: Stack) -> None:
    rules = await stack.bus("rule_evaluator")
    assert await keyvalue.write(rules, subjects.INTEREST_LIVE, b"first", 0)
    assert not await keyvalue.write(rules, subjects.INTEREST_LIVE, b"late", 0), "somebody was faster"
    entry = await keyvalue.read(await stack.bus("state"), subjects.INTEREST_STREAM, subjects.INTEREST_LIVE)
    assert entry is not None
    assert entry.data == b"first"
    assert await keyvalue.write(rules, subjects.INTEREST_LIVE, b"second", entry.sequence)


async def test_a_database_put_back_to_an_earlier_state_goes_on_behind_what_was_announced(stack: Stack) -> None:
    assert await keyvalue.write(await stack.bus("rule_evaluator"), subjects.INTEREST_LIVE, encode(Interest(70, 70)), 0)
    evaluator, state = await stack.start("rule_evaluator"), await stack.start("state")

    async def gone_on() -> bool:
        return state.metric("beckon_interest_revision") == 71

    await until(gone_on)
    assert evaluator.logged("rules_went_back")[0]["announced"] == 70
    visits = await idle_people(stack, 10)
    await put(stack, SILENT.format(status="live", days=14))
    assert (await swept(stack)).revision == 72
    assert len(await timers(stack)) == len(visits)


async def test_a_rule_put_while_events_flow_misses_none(stack: Stack, services: tuple[Service, Service]) -> None:
    """From the moment the rule is live on, every third look fires, whoever knew of it first."""
    await stack.start("rule_evaluator")
    for number in range(30):
        await stack.publish(*(event("product_viewed", f"p{number}") for _ in range(2)))
        if number == 15:
            await put(
                stack,
                "id: r\nstatus: live\nwhen: {event: product_viewed, count: {gte: 3}}\naction: {email: {template: t}}\n",
            )
    await stack.publish(*(event("product_viewed", f"p{number}") for number in range(30)))
    found = await triggers(stack, 30, within_s=20)
    assert sorted(trigger.person for trigger in found) == sorted(f"p{number}" for number in range(30))


async def test_without_a_bucket_everything_is_kept_and_sent(stack: Stack) -> None:
    """As when state starts first of all, or the bucket was lost."""
    state = await stack.start("state")
    await stack.publish(*(event("page_viewed", ago_us=MINUTE + number) for number in range(120)))
    evaluator = await stack.start("rule_evaluator")
    await committed(stack, 120)
    assert evaluator.logged("interest_announced")
    await put(stack, "id: r\nstatus: live\nwhen: {event: page_viewed, count: 121}\naction: {email: {template: t}}\n")
    await swept(stack)
    await stack.publish(event("page_viewed"))
    assert len(await triggers(stack, 1)) == 1
    assert state.process.exit_code is None
