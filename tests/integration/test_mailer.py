"""The mailer on real servers: every send ends once, in exactly one way, and no mail goes twice."""

import asyncio
import re
import signal
from collections import Counter
from pathlib import Path

import pytest
from msgspec import structs

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.mailer.preparing import STALE
from services.setup import database as setup
from shared import subjects
from shared.bus import Outgoing, encode
from shared.clock import DAY, SECOND, SystemClock
from shared.links import Kind, Links
from shared.messages import (
    EmailAction,
    Terms,
)
from tests.support.mailing import (
    People,
    allowed,
    id_of,
    outcome_of,
    outcomes,
    publish,
    reaches,
    settled,
    start,
    status_of,
)
from tests.support.smtp import DROP, HANG, RCPT, SmtpServer
from tests.support.stack import DATABASE_PASSWORDS, Stack, until

# --- The good way -----------------------------------------------------------------------------------------------------


async def test_an_allowed_send_becomes_a_mail(stack: Stack, people: People, smtp: SmtpServer) -> None:
    mailer = await start(stack, smtp)
    trigger = allowed()
    await publish(stack, trigger)
    await settled(stack)
    (mail,) = smtp.received
    assert mail["Subject"] == "Zoë, still in your cart: Copper kettle"
    assert mail["To"] == "ada@example.test"
    assert mail["From"] == "Kiln & Kettle <shop@example.test>"
    assert mail["Message-ID"] == id_of(trigger)
    html = mail.get_body(("html",))
    assert html is not None
    assert "https://shop.example.test/k1.jpg" in html.get_content()
    assert "€129.50" in html.get_content()
    assert people.verified == ["ada"]

    event = await outcome_of(stack, trigger)
    told = event.properties
    assert (event.name, told["template"], told["message_id"]) == ("email_sent", "cart-reminder", id_of(trigger))
    assert told["template_version"] == 1
    stages = [told[stage] for stage in ("due", "committed", "decided", "verified", "accepted")]
    assert stages == sorted(stages)
    assert told["latency_ms"] == (told["accepted"] - told["due"]) / 1000
    assert await status_of(stack, trigger) == "sent"
    (line,) = mailer.logged("email_sent")
    assert (line["trigger"], line["latency_ms"]) == (trigger.id, told["latency_ms"])
    assert "example.test" not in mailer.log.read_text()
    assert mailer.metric("beckon_due_to_accepted_seconds_count") == 1


async def test_a_mail_tells_of_opens_and_clicks_and_shows_the_way_out(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    secret, tracker = "what seals the links of these mails", "https://events.shop.example.test"
    await start(stack, smtp, PUBLIC_URL=tracker, SECRET_KEY=secret, TEST_RECIPIENTS="qa@example.test")
    trigger, trial = allowed(), allowed(test=True)
    await publish(stack, trigger, trial)
    await settled(stack)
    mails = {str(mail["Message-ID"]): mail for mail in smtp.received}
    for fired in (trigger, trial):
        mail, links = mails[id_of(fired)], Links([secret])
        html, text = mail.get_body(("html",)), mail.get_body(("plain",))
        assert html
        assert text
        clicked = [
            links.read(Kind.CLICK, token) for token in re.findall(rf'href="{tracker}/c/([^"]*)"', html.get_content())
        ]
        assert {link.url for link in clicked} == {"https://shop.example.test/", "https://shop.example.test/k1"}
        opened = links.read(Kind.OPEN, re.findall(rf'src="{tracker}/o/([^"]*)\.gif"', html.get_content())[0])
        assert (opened.person, opened.trigger, opened.rule) == ("ada", fired.id, fired.rule)
        assert opened.trial == (fired is trial), "a test recipient who unsubscribes is not ada"
        out = f"{tracker}/u/{links.token(Kind.UNSUBSCRIBE, opened)}"
        assert mail["List-Unsubscribe"] == f"<{out}>"
        assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
        assert f'href="{out}"' in html.get_content()
        assert out in text.get_content()


async def test_many_sends_go_once_each_over_few_connections(stack: Stack, people: People, smtp: SmtpServer) -> None:
    await asyncio.gather(*(start(stack, smtp, SMTP_POOL="3") for _ in range(2)))
    first, then = ([allowed(f"person-{n}") for n in range(150)] for _ in range(2))
    await publish(stack, *first)
    await settled(stack, within_s=30)
    assert smtp.connections <= 6
    # Who finds at the very end that another has the same send in hand gives its connection up, so these may take more.
    await publish(stack, *then)
    await publish(stack, *then[:50], *first[:50], attempt="again")
    await settled(stack, within_s=30)
    assert smtp.accepted() == Counter(map(id_of, [*first, *then]))


async def test_a_send_that_comes_again_is_told_again_and_not_sent(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    await start(stack, smtp)
    trigger = allowed()
    await publish(stack, trigger)
    await settled(stack)
    first = await outcome_of(stack, trigger)
    await publish(stack, trigger, attempt="again")
    await settled(stack)
    assert await outcome_of(stack, trigger) == first
    assert len(smtp.received) == 1


# --- Not sent, and why ------------------------------------------------------------------------------------------------


async def test_what_is_no_longer_true_is_not_sent(stack: Stack, people: People, smtp: SmtpServer) -> None:
    await start(stack, smtp)
    people.untrue.add("ada")
    trigger, careless = allowed(), allowed(terms=Terms(EmailAction("cart-reminder"), verify=False))
    await publish(stack, trigger, careless)
    await settled(stack)
    event = await outcome_of(stack, trigger)
    assert event.name == "trigger_suppressed"
    assert event.properties["stage"] == "verify"
    assert event.properties["reason"] == "no longer true: a purchase came in between"
    assert smtp.accepted() == Counter([id_of(careless)])
    assert await status_of(stack, trigger) == "suppressed"
    people.untrue.clear()
    await publish(stack, trigger, attempt="again")
    await settled(stack)
    assert (await outcome_of(stack, trigger)).name == "trigger_suppressed", "it ended, for ever"


async def test_who_unsubscribed_while_the_mail_was_queued_does_not_get_it(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    people.refusals = {("visitor", "nudge"): "suppressed: unsubscribed", ("bob", "news"): "suppressed: unsubscribed"}
    triggers = [allowed("ada"), allowed("bob")]
    triggers[0] = structs.replace(triggers[0], aliases=["visitor"])
    triggers = [structs.replace(t, terms=structs.replace(t.terms, category="nudge")) for t in triggers]
    await publish(stack, *triggers)
    await start(stack, smtp)
    await settled(stack)
    assert [mail["Message-ID"] for mail in smtp.received] == [id_of(triggers[1])]
    event = await outcome_of(stack, triggers[0])
    assert (event.name, event.properties["stage"]) == ("trigger_suppressed", "consent")
    assert event.properties["reason"] == "suppressed: unsubscribed"


async def test_what_comes_up_while_a_server_takes_its_time_counts(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    """Up to the moment at which it waits for the content and for nothing else."""
    smtp.answer(RCPT, HANG, HANG, HANG)
    await start(stack, smtp)
    unsubscribes, buys, neither = triggers = [allowed("ada"), allowed("bob"), allowed("eve")]
    await publish(stack, *triggers)
    await until(lambda: _hang(smtp, 3))
    people.refusals["ada", "default"] = "suppressed: unsubscribed"
    people.untrue.add("bob")
    await asyncio.sleep(STALE / SECOND)  # what was found before counts for so long
    smtp.release()
    await settled(stack)
    assert [mail["Message-ID"] for mail in smtp.received] == [id_of(neither)]
    stages = [(await outcome_of(stack, trigger)).properties.get("stage") for trigger in (unsubscribes, buys)]
    assert stages == ["consent", "verify"]


async def test_nobody_to_send_to(stack: Stack, people: People, smtp: SmtpServer) -> None:
    await start(stack, smtp)
    people.profiles = {"ada": {}, "bob": {"email": "bob at home"}}
    ada, bob = allowed("ada"), allowed("bob")
    await publish(stack, ada, bob)
    await settled(stack)
    for trigger in (ada, bob):
        event = await outcome_of(stack, trigger)
        assert (event.name, event.properties["stage"]) == ("trigger_suppressed", "address")
    assert (await outcome_of(stack, ada)).properties["reason"] == "the profile has no email"
    assert smtp.received == ()


async def test_staging_and_rules_under_test_mail_the_test_recipients_only(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    recipients = "qa@example.test, boss@example.test"
    staging = await start(stack, smtp, BECKON_ENV="staging", TEST_RECIPIENTS=recipients)
    await publish(stack, allowed())
    await settled(stack)
    await staging.stop()
    await start(stack, smtp, TEST_RECIPIENTS=recipients)
    await publish(stack, allowed(test=True))
    await settled(stack)
    assert [(mail["To"], mail["Subject"].split("]")[0]) for mail in smtp.received] == [
        (recipients, "[staging"),
        (recipients, "[test"),
    ]


async def test_staging_without_test_recipients_mails_nobody(stack: Stack, people: People, smtp: SmtpServer) -> None:
    await start(stack, smtp, BECKON_ENV="staging")
    trigger = allowed()
    await publish(stack, trigger)
    await settled(stack)
    assert "TEST_RECIPIENTS" in (await outcome_of(stack, trigger)).properties["reason"]
    assert smtp.received == ()


async def test_a_flawed_template_fails_its_own_mails_only(
    stack: Stack, people: People, smtp: SmtpServer, tmp_path: Path
) -> None:
    for name, html in (("good", "<p>Hi</p>"), ("bad", "<p>\n{{ persn.first_name }}")):
        (tmp_path / "templates" / name).mkdir(parents=True)
        for file, source in (("subject", "Hi"), ("html", html), ("text", "Hi")):
            (tmp_path / "templates" / name / f"{file}.liquid").write_text(source)
    mailer = await start(stack, smtp, TEMPLATES_DIR=str(tmp_path / "templates"))
    assert "bad/html.liquid line 2 column 4" in mailer.logged("template_flawed")[0]["flaw"]
    bad, good, none = allowed(template="bad"), allowed(template="good"), allowed(template="none")
    await publish(stack, bad, good, none)
    await settled(stack)
    event = await outcome_of(stack, bad)
    assert (event.name, event.properties["stage"]) == ("email_failed", "compose")
    assert event.properties["reason"].startswith("bad/html.liquid line 2 column 4: unknown variable 'persn'")
    assert (await outcome_of(stack, none)).properties["reason"] == "there is no template 'none'; there are: good"
    assert smtp.accepted() == Counter([id_of(good)])


async def test_what_expired_in_the_queue_is_not_sent(stack: Stack, people: People, smtp: SmtpServer) -> None:
    now = SystemClock().now()
    expired, old = allowed(expires=now - 1), allowed(at=now - DAY - 1)
    await publish(stack, expired, old)
    await start(stack, smtp)
    await settled(stack)
    assert (await outcome_of(stack, expired)).name == "email_expired"
    assert (await outcome_of(stack, old)).name == "email_failed"
    assert smtp.received == ()
    assert people.verified == []


async def test_a_poisoned_message_is_put_aside_and_the_rest_proceeds(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    await start(stack, smtp)
    throttle = await stack.bus("throttle")
    await throttle.publish(Outgoing(subjects.SENDS_EMAIL, b"\xc1", "poison"))
    await throttle.publish(Outgoing(subjects.SENDS_EMAIL, encode(allowed()), "a trigger, not a send"))
    good = allowed()
    await publish(stack, good)
    await settled(stack)
    assert smtp.accepted() == Counter([id_of(good)])
    letters = await stack.dead_letters()
    assert len(letters) == 2
    assert all(letter.reason.startswith("not a SENDS message: ") for letter in letters)


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
    await until(lambda: _hang(smtp, 1))
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
    await until(lambda: _hang(smtp, 1))
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
    await until(lambda: _hang(smtp, 1))
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
    await until(lambda: _hang(smtp, 1))
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
        await until(lambda: _hang(smtp, 1))
        smtp.answer("RCPT", HANG)
        await publish(stack, bob)
        await until(lambda: _hang(smtp, 2))
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
    await until(lambda: _hang(smtp, 1))
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


async def _hang(smtp: SmtpServer, count: int) -> bool:
    return smtp.waiting == count
