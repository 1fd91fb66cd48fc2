"""The mailer when something says no, hangs, dies or is away: every send ends once all the same, and no mail goes twice."""

import asyncio
import signal
from collections import Counter
from pathlib import Path

import pytest

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.setup import database as setup
from shared.clock import SECOND, SystemClock
from tests.support.mailing import (
    People,
    allowed,
    hanging,
    id_of,
    outcome_of,
    outcomes,
    publish,
    reaches,
    settled,
    start,
    status_of,
)
from tests.support.smtp import DROP, HANG, SmtpServer
from tests.support.stack import DATABASE_PASSWORDS, Stack, until

# --- The server says no -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ["MAIL", "RCPT", "DATA"])
async def test_what_is_put_off_is_tried_again_and_sent_once(
    stack: Stack, people: People, smtp: SmtpServer, stage: str
) -> None:
    mailer = await start(stack, smtp)
    smtp.answer(stage, "451 4.7.1 greylisted", "451 4.7.1 greylisted", "421 too busy")
    trigger = allowed()
    await publish(stack, trigger)
    await settled(stack)
    assert smtp.accepted() == Counter([id_of(trigger)])
    assert (await outcome_of(stack, trigger)).name == "email_sent"
    assert mailer.metric("beckon_deliveries_deferred_total") >= 2
    assert people.verified[-1:] * len(people.verified) == people.verified
    assert len(people.verified) >= 3, "verified anew each time"


async def test_what_is_put_off_until_it_expires_is_expired(stack: Stack, people: People, smtp: SmtpServer) -> None:
    await start(stack, smtp)
    smtp.answer("RCPT", *["450 4.2.1 not now"] * 50)
    trigger = allowed(expires=SystemClock().now() + 2 * SECOND)
    await publish(stack, trigger)
    await settled(stack)
    event = await outcome_of(stack, trigger)
    assert event.name == "email_expired"
    assert event.properties["reason"].endswith("put off last because of rcpt: 450 4.2.1 not now")
    assert event.timestamp < trigger.expires + SECOND  # type: ignore[operator]


@pytest.mark.parametrize(
    ("stage", "answer", "names"),
    [
        ("MAIL", "550 5.7.1 not you", ["email_failed"]),
        ("RCPT", "550 5.1.1 no such user", ["email_failed", "email_bounced"]),
        ("DATA", "554 5.6.0 no such content", ["email_failed"]),
    ],
)
async def test_what_is_refused_has_failed(
    stack: Stack, people: People, smtp: SmtpServer, stage: str, answer: str, names: list[str]
) -> None:
    await start(stack, smtp)
    smtp.answer(stage, answer)
    refused, fine = allowed("ada"), allowed("bob")
    await publish(stack, refused)
    await settled(stack)
    await publish(stack, fine)
    await publish(stack, refused, attempt="again")
    await settled(stack)
    events = (await outcomes(stack))[refused.id]
    assert [event.name for event in events] == names
    assert answer in events[0].properties["reason"]
    assert events[-1].properties.get("kind") == ("hard" if stage == "RCPT" else None)
    assert smtp.accepted() == Counter([id_of(fine)])


@pytest.mark.parametrize("stage", ["MAIL", "RCPT"])
async def test_a_connection_lost_before_the_content_is_no_harm(
    stack: Stack, people: People, smtp: SmtpServer, stage: str
) -> None:
    await start(stack, smtp)
    smtp.answer(stage, DROP, DROP, DROP)
    trigger = allowed()
    await publish(stack, trigger)
    await settled(stack)
    assert smtp.accepted() == Counter([id_of(trigger)])
    assert (await outcome_of(stack, trigger)).name == "email_sent"


async def test_idle_connections_that_the_server_closed_are_replaced(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    mailer = await start(stack, smtp)
    for n in range(3):
        trigger = allowed(f"person-{n}")
        await publish(stack, trigger)
        await settled(stack)
        smtp.disconnect()
    assert sum(smtp.accepted().values()) == 3
    assert mailer.metric("beckon_deliveries_deferred_total") == 0


# --- Nobody can tell --------------------------------------------------------------------------------------------------


async def test_a_connection_lost_after_the_final_dot_is_uncertain_and_not_sent_again(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    await start(stack, smtp)
    smtp.answer("DATA", DROP)
    trigger = allowed()
    await publish(stack, trigger)
    await settled(stack)
    await publish(stack, trigger, attempt="again")
    await settled(stack)
    event = await outcome_of(stack, trigger)
    assert event.name == "email_uncertain"
    assert event.properties["reason"].startswith("content: ")
    assert len(smtp.received) == 1
    assert await status_of(stack, trigger) == "uncertain"


async def test_silence_after_the_final_dot_is_uncertain(stack: Stack, people: People, smtp: SmtpServer) -> None:
    await start(stack, smtp, SMTP_DATA_TIMEOUT_S="0.5")
    smtp.answer("DATA", HANG)
    silent, fine = allowed(), allowed()
    await publish(stack, silent)
    await settled(stack)
    await publish(stack, fine)
    await settled(stack)
    assert (await outcome_of(stack, silent)).name == "email_uncertain"
    assert (await outcome_of(stack, fine)).name == "email_sent"
    assert len(smtp.received) == 2


async def test_a_mailer_killed_while_it_waits_for_the_answer_leaves_one_uncertain_send(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    victim = await start(stack, smtp)
    smtp.answer("DATA", HANG)
    trigger = allowed()
    await publish(stack, trigger)
    await until(lambda: hanging(smtp, 1))
    assert await status_of(stack, trigger) == "claimed"
    await victim.kill()
    await start(stack, smtp)
    await settled(stack)
    assert (await outcome_of(stack, trigger)).name == "email_uncertain"
    assert len(smtp.received) == 1


async def test_a_claim_that_may_be_alive_elsewhere_is_left_alone_for_a_while(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    mailer = await start(stack, smtp)
    trigger = allowed()
    await stack.fetch(
        "INSERT INTO mailer.deliveries (send_id, person, rule, template, status, claim, claimed_at, changed_at)"
        " VALUES ($1, 'ada', 'r', 't', 'claimed', 'somebody', now(), now())",
        trigger.id,
    )
    await publish(stack, trigger)
    await settled(stack)
    assert mailer.logged("message_retried_later")[0]["reason"] == "claimed a moment ago"
    assert (await outcome_of(stack, trigger)).name == "email_uncertain"
    assert smtp.received == ()


async def test_a_mailer_killed_before_the_content_leaves_nothing_uncertain(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    victim = await start(stack, smtp)
    smtp.answer("RCPT", HANG)
    trigger = allowed()
    await publish(stack, trigger)
    await until(lambda: hanging(smtp, 1))
    await victim.kill()
    await start(stack, smtp)
    await settled(stack)
    assert (await outcome_of(stack, trigger)).name == "email_sent"
    assert smtp.accepted() == Counter([id_of(trigger)])


async def test_a_paused_mailer_that_wakes_up_tells_the_truth(stack: Stack, people: People, smtp: SmtpServer) -> None:
    paused = await start(stack, smtp)
    smtp.answer("DATA", HANG)
    trigger = allowed()
    await publish(stack, trigger)
    await until(lambda: hanging(smtp, 1))
    paused.process.send(signal.SIGSTOP)
    await start(stack, smtp)
    await reaches(stack, trigger, "uncertain")
    smtp.release()
    paused.process.send(signal.SIGCONT)
    await reaches(stack, trigger, "sent")
    await settled(stack)

    async def told() -> bool:
        return len((await outcomes(stack))[trigger.id]) == 2

    await until(told)
    assert [event.name for event in (await outcomes(stack))[trigger.id]] == ["email_uncertain", "email_sent"]
    assert smtp.accepted() == Counter([id_of(trigger)])


async def test_a_long_wait_for_the_answer_is_not_taken_for_dead(stack: Stack, people: People, smtp: SmtpServer) -> None:
    """Two mailers, a server that takes longer than the acknowledgement may: the send stays where it is."""
    await asyncio.gather(*(start(stack, smtp) for _ in range(2)))
    smtp.answer("DATA", HANG)
    trigger = allowed()
    await publish(stack, trigger)
    await until(lambda: hanging(smtp, 1))
    deadline = asyncio.get_running_loop().time() + 4

    async def longer_than_any_redelivery() -> bool:
        assert await status_of(stack, trigger) == "claimed"
        return asyncio.get_running_loop().time() > deadline

    await until(longer_than_any_redelivery)
    smtp.release()
    await settled(stack)
    assert (await outcome_of(stack, trigger)).name == "email_sent"
    assert len(smtp.received) == 1


# --- Something is away ------------------------------------------------------------------------------------------------


async def test_it_starts_without_an_smtp_server_and_sends_wait(stack: Stack, people: People) -> None:
    smtp = SmtpServer()
    mailer = await start(stack, smtp, wait=False)
    triggers = [allowed(f"person-{n}") for n in range(30)]
    await publish(stack, *triggers)

    async def unready() -> bool:
        return "smtp" in (await asyncio.to_thread(mailer.get, "/readyz"))[1] and bool(mailer.logged("smtp_unreachable"))

    await until(unready)
    try:
        smtp.start()
        await settled(stack)
        assert smtp.accepted() == Counter(map(id_of, triggers))
        await until(lambda: asyncio.to_thread(mailer.ready))

        smtp.stop()
        later = [allowed(f"person-{n}") for n in range(30)]
        await publish(stack, *later)
        await until(unready)
        smtp.start()
        await settled(stack)
        assert smtp.accepted() == Counter(map(id_of, [*triggers, *later]))
        assert {event.name for (event,) in (await outcomes(stack)).values()} == {"email_sent"}
        assert await stack.dead_letters() == []
    finally:
        smtp.stop()


@pytest.mark.filterwarnings("ignore:Requiring AUTH while not requiring TLS")
async def test_it_logs_in_and_waits_while_the_server_refuses_it(stack: Stack, people: People) -> None:
    smtp = SmtpServer(login=("me@example.test", "p:w")).start()
    try:
        wrong = await start(stack, smtp, wait=False, SMTP_URL=f"smtp://me:wrong@127.0.0.1:{smtp.port}")
        trigger = allowed()
        await publish(stack, trigger)

        async def waits() -> bool:
            return bool(wrong.logged("smtp_unreachable") and wrong.logged("message_retried_later"))

        await until(waits)
        assert "535" in wrong.logged("smtp_unreachable")[0]["error"]
        await wrong.stop()
        await start(stack, smtp, SMTP_URL=f"smtp://me%40example.test:p%3Aw@127.0.0.1:{smtp.port}")
        await settled(stack)
        assert smtp.accepted() == Counter([id_of(trigger)])
    finally:
        smtp.stop()


async def test_while_nobody_knows_the_person_sends_wait(stack: Stack, people: People, smtp: SmtpServer) -> None:
    mailer = await start(stack, smtp)
    await people.go_away()
    trigger = allowed()
    await publish(stack, trigger)

    async def waits() -> bool:
        return bool(mailer.logged("message_waits"))

    await until(waits)
    await people.serve(stack)
    await settled(stack)
    assert smtp.accepted() == Counter([id_of(trigger)])


async def test_postgresql_goes_away_amid_two_mails(tmp_path: Path, nats_server: EmbeddedNats) -> None:
    """One waits for the answer to its content: that is stored when PostgreSQL is back. The other is about to be claimed:
    it is verified anew first."""
    postgres = await EmbeddedPostgres.start(tmp_path / "own", max_connections=50)
    smtp = SmtpServer().start()
    try:
        await setup.prepare(postgres.url(), DATABASE_PASSWORDS)
        stack = Stack(tmp_path, nats_server, postgres, "postgres")
        await stack.declare_streams()
        people = People()
        await people.serve(stack)
        mailer = await start(stack, smtp)
        ada, bob = allowed("ada"), allowed("bob")
        smtp.answer("DATA", HANG)
        await publish(stack, ada)
        await until(lambda: hanging(smtp, 1))
        smtp.answer("RCPT", HANG)
        await publish(stack, bob)
        await until(lambda: hanging(smtp, 2))
        await postgres.kill()
        smtp.release()
        people.untrue.add("bob")
        back_at = asyncio.get_running_loop().time() + 5.5

        async def insists() -> bool:
            lines = mailer.logged("delivery_not_stored_yet")
            return {line["person"] for line in lines} == {"ada", "bob"} and asyncio.get_running_loop().time() > back_at

        await until(insists, within_s=30)
        await postgres.restart()
        await settled(stack, within_s=30)
        assert (await outcome_of(stack, ada)).name == "email_sent"
        assert (await outcome_of(stack, bob)).name == "trigger_suppressed"
        assert smtp.accepted() == Counter([id_of(ada)])
        await stack.close()
    finally:
        smtp.stop()
        await postgres.stop()


async def test_it_finishes_what_it_has_begun_before_it_stops(stack: Stack, people: People, smtp: SmtpServer) -> None:
    mailer = await start(stack, smtp)
    smtp.answer("DATA", HANG)
    triggers = [allowed(f"person-{n}") for n in range(40)]
    await publish(stack, *triggers)
    await until(lambda: hanging(smtp, 1))
    stopping = asyncio.create_task(mailer.stop())
    smtp.release()
    assert await stopping == 0
    assert await stack.fetch("SELECT 1 FROM mailer.deliveries WHERE status = 'claimed'") == []
    await start(stack, smtp)
    await settled(stack)
    assert smtp.accepted() == Counter(map(id_of, triggers))


@pytest.mark.parametrize(
    ("name", "value"),
    [("SMTP_URL", "127.0.0.1:25"), ("TEMPLATES_DIR", "/nowhere")],
)
async def test_a_bad_setting_stops_it_at_the_start(stack: Stack, smtp: SmtpServer, name: str, value: str) -> None:
    mailer = await start(stack, smtp, wait=False, **{name: value})
    assert await mailer.process.wait() == 2
    assert mailer.process.tail(1).startswith(f"beckon mailer: {name}")
