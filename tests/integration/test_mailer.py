"""The mailer on real servers: what is sent to whom, and what is not and why."""

import asyncio
import re
from collections import Counter
from pathlib import Path

from msgspec import structs

from services.mailer.preparing import STALE
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
    hanging,
    id_of,
    outcome_of,
    publish,
    settled,
    start,
    status_of,
)
from tests.support.smtp import HANG, RCPT, SmtpServer
from tests.support.stack import Stack, until

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
    await until(lambda: hanging(smtp, 3))
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
