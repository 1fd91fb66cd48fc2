"""The rule-evaluator on real servers: documents kept, replicas that follow, flawed files, servers that go away."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.setup import database as setup
from shared import subjects
from shared.clock import DAY, HOUR, MINUTE, SECOND, Instant, SystemClock
from shared.errors import RequestRefused, Unavailable
from shared.messages import Case, Evaluate, Evaluated, HistoryEvent, Person, RuleState, Step, Verdict, Verified, Verify
from shared.rules import GetRule, ListRules, PutRule, RuleFound, RulePut, RulesListed
from tests.support.stack import DATABASE_PASSWORDS, ROOT, Stack, until

CART = (ROOT / "examples/rules/cart-abandonment.yaml").read_text(encoding="utf-8")
FIRST_LOOK = """\
id: first-look
status: live
when: {event: product_viewed}
action: {email: {template: hello}}
"""


async def put(stack: Stack, document: str) -> RulePut:
    operator = await stack.bus("operator")
    return await operator.request(subjects.RULES_PUT, PutRule(document, "a test"), RulePut)


async def listed(stack: Stack) -> dict[str, Any]:
    operator = await stack.bus("operator")
    answer = await operator.request(subjects.RULES_LIST, ListRules(), RulesListed)
    return {rule.id: rule for rule in answer.rules}


async def evaluate(stack: Stack, *cases: Case) -> list[Verdict]:
    state = await stack.bus("state")
    return (await state.request(subjects.RULES_EVALUATE, Evaluate(list(cases)), Evaluated)).verdicts


async def verify(stack: Stack, rule: str, version: int, person: Person, at: Instant) -> Verified:
    mailer = await stack.bus("mailer")
    return await mailer.request(subjects.RULES_VERIFY, Verify(rule, version, person, at), Verified)


def event(n: int, name: str, at: Instant, **properties: Any) -> HistoryEvent:
    return HistoryEvent(n, f"e{n}", name, at, at, properties)


def arrives(person: Person, *events: HistoryEvent, rules: dict[str, RuleState] | None = None) -> Case:
    return Case(person, rules or {}, [Step(each.arrived, each) for each in events])


async def test_a_cart_is_watched_fires_and_is_verified(stack: Stack) -> None:
    await stack.start("rule_evaluator")
    assert await put(stack, CART) == RulePut("cart-abandonment", 1, True)
    now = SystemClock().now()
    filled = event(1, "added_to_cart", now + SECOND, product_id="p1")

    (verdict,) = await evaluate(stack, arrives(Person("ada"), filled))
    assert (verdict.fires, verdict.wake, verdict.error) == ([], filled.timestamp + 30 * MINUTE, "")

    ada = Person("ada", {}, [filled], 1)
    assert verdict.wake is not None
    (due,) = await evaluate(stack, Case(ada, verdict.rules, [Step(verdict.wake)]))
    (fire,) = due.fires
    assert (fire.rule, fire.version, fire.at, fire.because, fire.timer) == (
        "cart-abandonment",
        1,
        verdict.wake,
        [1],
        True,
    )
    assert fire.expires == fire.at + 2 * HOUR
    assert fire.terms.action.template == "cart-reminder"

    assert await verify(stack, fire.rule, fire.version, ada, fire.at + SECOND) == Verified(True)
    bought = Person("ada", {}, [filled, event(2, "purchased", fire.at)], 2)
    assert await verify(stack, fire.rule, fire.version, bought, fire.at + SECOND) == Verified(
        False, "the condition no longer holds"
    )


async def test_what_is_true_when_a_rule_goes_live_does_not_fire(stack: Stack) -> None:
    await stack.start("rule_evaluator")
    now = SystemClock().now()
    earlier = event(1, "product_viewed", now - MINUTE)
    await put(stack, FIRST_LOOK)
    later = event(2, "product_viewed", now + MINUTE)
    known, unknown = await evaluate(
        stack, arrives(Person("ada", {}, [earlier], 1), later), arrives(Person("bob"), later)
    )
    assert known.fires == []
    assert [fire.rule for fire in unknown.fires] == ["first-look"]


async def test_every_version_is_kept_and_the_same_document_is_no_new_one(stack: Stack) -> None:
    await stack.start("rule_evaluator")
    operator = await stack.bus("operator")
    await put(stack, FIRST_LOOK)
    again = await put(stack, FIRST_LOOK)
    assert (again.version, again.changed) == (1, False)
    since = (await listed(stack))["first-look"].live_since

    held_out = FIRST_LOOK + "holdout: 5%\n"
    assert (await put(stack, held_out)).version == 2
    assert (await listed(stack))["first-look"].live_since == since, "the condition is the same: it goes on"

    other = FIRST_LOOK.replace("product_viewed", "page_viewed")
    assert (await put(stack, other)).version == 3
    third = (await listed(stack))["first-look"]
    assert third.live_since > since

    assert (await put(stack, other.replace("live", "paused"))).version == 4
    assert (await listed(stack))["first-look"].live_since is None
    assert (await put(stack, other)).version == 5
    assert (await listed(stack))["first-look"].live_since > third.live_since

    first = await operator.request(subjects.RULES_GET, GetRule("first-look", 1), RuleFound)
    current = await operator.request(subjects.RULES_GET, GetRule("first-look"), RuleFound)
    missing = await operator.request(subjects.RULES_GET, GetRule("first-look", 9), RuleFound)
    assert (first.document, current.document, missing.summary) == (FIRST_LOOK, other, None)
    assert current.summary is not None
    assert current.summary.version == 5


async def test_an_edit_that_leaves_the_condition_alone_keeps_what_people_have_done(stack: Stack) -> None:
    await stack.start("rule_evaluator")
    await put(stack, CART)
    filled = event(1, "added_to_cart", SystemClock().now() + SECOND)
    (waiting,) = await evaluate(stack, arrives(Person("ada"), filled))
    await put(stack, CART.replace("holdout: 0%", "holdout: 7%"))
    assert waiting.wake is not None
    (due,) = await evaluate(stack, Case(Person("ada", {}, [filled], 1), waiting.rules, [Step(waiting.wake)]))
    (fire,) = due.fires
    assert (fire.version, fire.terms.holdout) == (2, 0.07)


async def test_a_flawed_document_is_refused_whole(stack: Stack) -> None:
    await stack.start("rule_evaluator")
    answer = await put(stack, CART.replace("elapsed: 30m", "elapsed: 30x").replace("status: live", "status: alive"))
    assert answer.errors == [
        "status: 'alive' is not one of draft, test, live, paused",
        "when.all[2].elapsed: '30x' is not a duration, try 30m",
    ]
    assert await listed(stack) == {}


async def test_what_is_taken_and_will_not_go_everywhere_is_said(stack: Stack) -> None:
    await stack.start("rule_evaluator")
    hook = "webhook: {url: http://hooks.example.com, secret: crm}"
    answer = await put(stack, CART.replace("email: {template: cart-reminder}", hook))
    assert answer.changed
    assert [warning.split(":")[0] for warning in answer.warnings] == ["action.webhook.url"]


async def test_a_request_that_is_none_is_refused_and_the_next_is_served(stack: Stack) -> None:
    await stack.start("rule_evaluator")
    state = await stack.bus("state")

    class Nonsense(msgspec.Struct):
        cases: str = "none"

    with pytest.raises(RequestRefused, match=r"rules.evaluate: Expected `array`"):
        await state.request(subjects.RULES_EVALUATE, Nonsense(), Evaluated)
    assert await evaluate(stack) == []


async def test_verification_names_what_is_in_the_way(stack: Stack) -> None:
    await stack.start("rule_evaluator")
    now = SystemClock().now()
    looked = Person("ada", {}, [event(1, "product_viewed", now)], 1)
    assert await verify(stack, "first-look", 1, looked, now) == Verified(False, "there is no rule first-look")
    await put(stack, FIRST_LOOK)
    assert await verify(stack, "first-look", 1, looked, now) == Verified(True)
    await put(stack, FIRST_LOOK.replace("product_viewed", "page_viewed"))
    assert not (await verify(stack, "first-look", 1, looked, now)).holds, "an edited rule as it is now"
    await put(stack, FIRST_LOOK.replace("live", "paused"))
    assert await verify(stack, "first-look", 1, looked, now) == Verified(False, "rule first-look is paused")


async def test_every_replica_follows_a_change_within_a_second(stack: Stack) -> None:
    replicas = [await stack.start("rule_evaluator") for _ in range(3)]
    await put(stack, CART)

    async def all_follow() -> bool:
        return all(replica.metric("beckon_rules_live") == 1 for replica in replicas)

    await until(all_follow, within_s=1, what="all three know the rule")


async def test_a_lost_announcement_is_made_up_for(stack: Stack) -> None:
    replica = await stack.start("rule_evaluator")
    await stack.fetch(
        "INSERT INTO rules.documents SELECT 'x', 1, $1, 'x', 'live', '', 1, now(), 'nobody', now()", FIRST_LOOK
    )
    await stack.fetch("UPDATE rules.revision SET number = number + 1")

    async def follows() -> bool:
        return replica.metric("beckon_rules_live") == 1

    await until(follows, within_s=2, what="the replica looked for itself")


async def test_a_replica_behind_catches_up_before_it_answers(stack: Stack) -> None:
    """A state that somebody with newer rules has written is not answered from older ones."""
    await stack.start("rule_evaluator")
    await put(stack, CART)
    filled = event(1, "added_to_cart", SystemClock().now() + SECOND)
    (first,) = await evaluate(stack, arrives(Person("ada"), filled))
    await stack.fetch(
        "INSERT INTO rules.documents SELECT 'first-look', 1, $1, '', 'live', '', 1, now(), '', now()", FIRST_LOOK
    )
    await stack.fetch("UPDATE rules.revision SET number = number + 1")
    looked = event(2, "product_viewed", filled.timestamp + SECOND)
    states = {**first.rules, "first-look": RuleState(1, False, filled.timestamp, 1)}
    (verdict,) = await evaluate(stack, arrives(Person("ada", {}, [filled], 1), looked, rules=states))
    assert [fire.rule for fire in verdict.fires] == ["first-look"]


async def test_a_live_rule_of_a_newer_release_is_left_to_others(stack: Stack) -> None:
    await stack.start("rule_evaluator")
    newer = FIRST_LOOK.replace("{event: product_viewed}", "{horoscope: leo}")
    await stack.fetch(
        "INSERT INTO rules.documents SELECT 'first-look', 1, $1, '', 'live', '', 1, now(), '', now()", newer
    )
    await stack.fetch("UPDATE rules.revision SET number = number + 1")
    replica = await stack.start("rule_evaluator")
    (line,) = replica.logged("rule_unreadable")
    assert line["rule"] == "first-look"
    assert "when.horoscope" in line["errors"][0]
    now = SystemClock().now()
    states = {"first-look": RuleState(1, True, now, 1, [("t", now)])}
    (verdict,) = await evaluate(
        stack, arrives(Person("ada", {}, [], 1), event(2, "product_viewed", now + 1), rules=states)
    )
    assert (verdict.rules, verdict.fires, verdict.error) == (states, [], "")


async def test_one_case_that_breaks_does_not_spoil_the_others(stack: Stack) -> None:
    service = await stack.start("rule_evaluator")
    await put(stack, FIRST_LOOK.replace("{event: product_viewed}", "{event: product_viewed, where: {price: {gt: 1}}}"))
    at = SystemClock().now() + SECOND
    broken = HistoryEvent(1, "e1", "product_viewed", at, at, "no mapping")  # type: ignore[arg-type]
    spoilt, whole = await evaluate(
        stack, arrives(Person("ada"), broken), arrives(Person("bob"), event(1, "product_viewed", at, price=2))
    )
    assert "ValidationError" in spoilt.error
    assert (spoilt.rules, spoilt.fires) == ({}, [])
    assert len(whole.fires) == 1
    assert service.metric("beckon_cases_failed_total") == 1


# --- RULES_DIR --------------------------------------------------------------------------------------------------------


async def test_rules_come_from_a_folder_and_flawed_files_are_named(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yaml").write_text(FIRST_LOOK)
    (folder / "b.json").write_text('{"id": "b", "when": {"event": "b"}, "action": {"email": {"template": "b"}}}')
    (folder / "c.yml").write_text("id: c\nwhen: {evnt: b}\naction: {email: {template: c}}\n")
    (folder / "d.yaml").write_text(FIRST_LOOK)
    (folder / "e.yaml").write_bytes(b"\xff\xfe")
    (folder / "README.md").write_text("not a rule")
    service = await stack.start("rule_evaluator", RULES_DIR=str(folder))
    assert {name: rule.status for name, rule in (await listed(stack)).items()} == {"first-look": "live", "b": "draft"}
    invalid = {Path(line["file"]).name: line["errors"][0] for line in service.logged("rule_file_invalid")}
    assert set(invalid) == {"c.yml", "d.yaml", "e.yaml"}
    assert invalid["c.yml"].startswith("when.evnt: is not a condition, did you mean event?")
    assert invalid["d.yaml"] == "id: first-look is given by a.yaml already"


async def test_a_restart_puts_only_files_that_changed(stack: Stack, tmp_path: Path) -> None:
    folder = tmp_path / "rules"
    folder.mkdir()
    (folder / "a.yaml").write_text(FIRST_LOOK)
    first = await stack.start("rule_evaluator", RULES_DIR=str(folder))
    paused = FIRST_LOOK.replace("live", "paused")
    await put(stack, paused)
    await first.stop()
    second = await stack.start("rule_evaluator", RULES_DIR=str(folder))
    assert (await listed(stack))["first-look"].version == 2, "what the operator put stands"
    await second.stop()
    (folder / "a.yaml").write_text(FIRST_LOOK.replace("hello", "good-day"))
    await stack.start("rule_evaluator", RULES_DIR=str(folder))
    assert (await listed(stack))["first-look"].version == 3


async def test_a_folder_that_is_not_there_stops_the_start(stack: Stack, tmp_path: Path) -> None:
    service = await stack.start("rule_evaluator", wait=False, RULES_DIR=str(tmp_path / "nowhere"))

    async def ended() -> bool:
        return service.process.exit_code is not None

    await until(ended, what="the process ended")
    assert service.process.exit_code == 2
    assert f"RULES_DIR: cannot read folder '{tmp_path}/nowhere': No such file or directory" in service.process.tail(1)


async def test_the_shipped_rules_are_read_without_a_complaint(stack: Stack) -> None:
    service = await stack.start("rule_evaluator", RULES_DIR=str(ROOT / "examples/rules"))
    statuses = {name: rule.status for name, rule in (await listed(stack)).items()}
    assert {name for name, status in statuses.items() if status == "live"} == {
        "cart-abandonment",
        "high-value-interest",
        "win-back",
    }
    assert len(statuses) == 12
    assert service.logged("rule_file_invalid") == []


# --- Servers that go away ---------------------------------------------------------------------------------------------


async def test_without_postgresql_people_are_still_evaluated_and_puts_say_so(
    tmp_path: Path, nats_server: EmbeddedNats
) -> None:
    postgres = await EmbeddedPostgres.start(tmp_path / "postgres", fsync=False)
    try:
        await setup.prepare(postgres.url(), DATABASE_PASSWORDS)
        stack = Stack(tmp_path, nats_server, postgres, "postgres")
        await stack.declare_streams()
        service = await stack.start("rule_evaluator")
        await put(stack, FIRST_LOOK)

        await postgres.kill()
        looked = event(1, "product_viewed", SystemClock().now() + DAY)
        (verdict,) = await evaluate(stack, arrives(Person("ada"), looked))
        assert len(verdict.fires) == 1
        with pytest.raises(Unavailable, match=r"rules\.put"):
            await put(stack, CART)

        await postgres.restart()

        async def accepts() -> bool:
            try:
                return (await put(stack, CART)).version == 1
            except Unavailable:
                return False

        await until(accepts, what="rules can be put again")
        await stack.fetch("UPDATE rules.revision SET number = number + 1")

        async def follows() -> bool:
            return len(service.logged("rules_followed")) == 4

        await until(follows, within_s=3, what="and what changes is followed again")
        await stack.close()
    finally:
        await postgres.stop()


async def test_sigterm_ends_it_cleanly(stack: Stack) -> None:
    service = await stack.start("rule_evaluator")
    assert await service.stop() == 0
