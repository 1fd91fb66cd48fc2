"""Bounces and complaints on real servers: who reports what of which mail, and what may go to the address afterwards."""

import asyncio
import ssl
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path

import pytest

from services.mailer.inbound import MAX_SESSIONS
from shared import subjects
from shared.errors import NoResponders
from shared.messages import Event, Trigger
from shared.reports import MailReport, MailsReported, ReportMails
from tests.support.bounces import hand_over, sample, talk, token_of
from tests.support.command import Ran, beckon
from tests.support.mailing import People, allowed, hanging, id_of, outcomes, publish, reaches, settled, start
from tests.support.ports import free_port
from tests.support.smtp import HANG, SmtpServer, certificate
from tests.support.stack import Service, Stack, until

KEY = "what seals the links of these mails"
DOMAIN = "bounces.example.test"


class Mailer:
    """A mailer that takes bounces, and the mail servers of the world."""

    def __init__(self, stack: Stack, smtp: SmtpServer) -> None:
        self.stack = stack
        self.smtp = smtp
        self.port = free_port()
        self.service: Service | None = None

    async def start(self, **more: str) -> "Mailer":
        settings = {
            "PUBLIC_URL": "https://events.example.test",
            "SECRET_KEY": KEY,
            "BOUNCE_DOMAIN": DOMAIN,
            "BOUNCE_LISTEN": f"127.0.0.1:{self.port}",
        }
        self.service = await start(self.stack, self.smtp, **{**settings, **more})
        return self

    async def send(self, person: str = "ada", **more: object) -> Trigger:
        trigger = allowed(person, **more)
        await publish(self.stack, trigger)
        await settled(self.stack)
        return trigger

    def mail(self, trigger: Trigger) -> EmailMessage:
        return next(mail for mail in self.smtp.received if mail["Message-ID"] == id_of(trigger))

    async def bounce(self, name: str, trigger: Trigger) -> str:
        """A server reports to where the mail said that bounces go."""
        token = token_of(self.mail(trigger))
        return await hand_over(self.port, sample(name, token), f"bounce+{token}@{DOMAIN}")

    async def ends(self, trigger: Trigger) -> list[tuple[str, object, object]]:
        events: Sequence[Event] = (await outcomes(self.stack))[trigger.id]
        return [(event.name, event.properties.get("stage"), event.properties.get("reason")) for event in events]

    def count(self, sample: str) -> float:
        assert self.service
        return self.service.metric(sample)


@pytest.fixture
async def mailer(stack: Stack, people: People, smtp: SmtpServer) -> Mailer:
    return await Mailer(stack, smtp).start()


def of_address(reason: str) -> tuple[str, str, str]:
    return ("trigger_suppressed", "address", f"the address is suppressed: {reason}")


async def test_a_hard_bounce_ends_mail_to_the_address_and_not_to_the_person(
    mailer: Mailer, stack: Stack, people: People
) -> None:
    people.profiles["bob"] = {"email": "Ada@example.test"}
    sent = await mailer.send()
    for _ in range(2):  # it may be told twice
        assert (await mailer.bounce("postfix-unknown", sent)).startswith("250")
    told, *bounced = (await outcomes(stack))[sent.id]
    assert told.name == "email_sent"
    assert {(event.name, event.id, event.timestamp) for event in bounced} == {
        ("email_bounced", f"beckon:{sent.id}.email_bounced.hard", bounced[0].timestamp)
    }
    properties = bounced[0].properties
    assert (properties["kind"], properties["rule"], properties["version"]) == ("hard", "cart-abandonment", 1)
    assert properties["reason"] == "550 5.1.1 <…>: Recipient address rejected: User unknown in virtual mailbox table"

    again, other = await mailer.send(), await mailer.send("bob")
    assert await mailer.ends(again) == await mailer.ends(other) == [of_address("hard bounce")]
    people.profiles["ada"] = {"email": "ada@new.example.test"}
    moved = await mailer.send()
    assert [name for name, *_ in await mailer.ends(moved)] == ["email_sent"]
    assert len(mailer.smtp.received) == 2
    assert mailer.service
    assert "example.test" not in mailer.service.log.read_text().replace(DOMAIN, "")
    assert mailer.count('beckon_mail_reports_total{kind="hard",source="smtp"}') == 2


async def test_a_recipient_that_is_refused_at_once_is_not_asked_for_again(mailer: Mailer, stack: Stack) -> None:
    mailer.smtp.answer("RCPT", "550 5.1.1 <ada@example.test>: no such user")
    refused = await mailer.send()
    assert [name for name, *_ in await mailer.ends(refused)] == ["email_failed", "email_bounced"]
    mailer.smtp.answer("RCPT", "550 5.1.1 asked again")
    assert await mailer.ends(await mailer.send()) == [of_address("hard bounce")]
    (kept,) = await stack.fetch("SELECT kind, source, reason FROM mailer.reports")
    assert tuple(kept) == ("hard", "smtp", "rcpt: 550 5.1.1 <…>: no such user")


async def test_an_address_that_bounces_while_a_mail_is_on_its_way_gets_no_content(mailer: Mailer, stack: Stack) -> None:
    first = await mailer.send()
    mailer.smtp.answer("RCPT", HANG)
    second = allowed()
    await publish(stack, second)
    await until(lambda: hanging(mailer.smtp, 1))
    assert (await mailer.bounce("exchange-unknown", first)).startswith("250")
    mailer.smtp.release()
    await settled(stack)
    assert await mailer.ends(second) == [of_address("hard bounce")]
    assert len(mailer.smtp.received) == 1


async def test_soft_bounces_on_three_days_end_it_and_blocks_never_do(mailer: Mailer, stack: Stack) -> None:
    sent = [await mailer.send() for _ in range(4)]
    assert (await mailer.bounce("gmail-blocked", sent[0])).startswith("250")
    assert (await mailer.bounce("exchange-full", sent[0])).startswith("250")
    assert (await mailer.bounce("exim-gave-up", sent[1])).startswith("250")
    assert (await mailer.bounce("postfix-delayed", sent[2])).startswith("250")
    for days, each in ((31, sent[0]), (2, sent[1])):
        await stack.fetch(
            "UPDATE mailer.reports SET reported_at = reported_at - $1 * interval '1 day' WHERE send_id = $2",
            days,
            each.id,
        )
    assert (await mailer.bounce("exchange-full", sent[2])).startswith("250")
    assert (await mailer.ends(await mailer.send()))[0][0] == "email_sent", "one of three is too long ago"
    await stack.fetch(
        "UPDATE mailer.reports SET reported_at = reported_at + interval '3 days' WHERE send_id = $1", sent[0].id
    )
    assert (await mailer.bounce("exchange-full", sent[3])).startswith("250")
    assert await mailer.ends(await mailer.send()) == [of_address("soft bounces")]


async def test_a_complaint_stops_what_is_queued_to_the_person_whatever_the_address(
    mailer: Mailer, stack: Stack, people: People
) -> None:
    await people.go_away()
    await stack.start("throttle")
    real = People()
    real.profiles = people.profiles
    await real.serve_all_but_consents(stack)
    sent = await mailer.send()
    token = token_of(mailer.mail(sent))
    assert (await hand_over(mailer.port, sample("arf-abuse", token), f"complaints@{DOMAIN}", sender="f@isp.example"))[
        :3
    ] == "250"

    async def suppressed() -> bool:
        return bool(
            await stack.fetch("SELECT 1 FROM throttle.suppressions WHERE person = 'ada' AND reason = 'complaint'")
        )

    await until(suppressed)
    assert [name for name, *_ in await mailer.ends(sent)] == ["email_sent", "email_complained"]
    people.profiles["ada"] = {"email": "ada@new.example.test"}
    queued = await mailer.send()
    assert await mailer.ends(queued) == [("trigger_suppressed", "consent", "suppressed: complaint")]
    people.profiles["eve"] = {"email": "ada@example.test"}
    assert await mailer.ends(await mailer.send("eve")) == [of_address("complaint")]


async def test_bounces_come_in_over_tls_by_the_certificate_of_the_day(
    stack: Stack, people: People, smtp: SmtpServer, tmp_path: Path
) -> None:
    mailer = await Mailer(stack, smtp).start(BOUNCE_TLS_DIR=str(tmp_path))
    ada, bob = [token_of(mailer.mail(await mailer.send(person))) for person in ("ada", "bob")]
    report, place = sample("postfix-unknown", ada), f"bounce+{ada}@{DOMAIN}"
    assert b"STARTTLS" not in await talk(mailer.port, b"EHLO mx.example.net\r\nQUIT\r\n"), "there is no certificate yet"

    _, trusted = certificate(tmp_path)
    assert await hand_over(mailer.port, report, place, trusted=trusted) == "250 2.0.0 taken"
    earlier = tmp_path / "earlier.crt"
    trusted.rename(earlier)
    _, trusted = certificate(tmp_path)
    report, place = sample("postfix-unknown", bob), f"bounce+{bob}@{DOMAIN}"
    with pytest.raises(ssl.SSLCertVerificationError):
        await hand_over(mailer.port, report, place, trusted=earlier)
    assert await hand_over(mailer.port, report, place, trusted=trusted) == "250 2.0.0 taken"
    assert await mailer.ends(await mailer.send("bob")) == [of_address("hard bounce")]

    (tmp_path / "tls.key").write_text("no key")
    assert await hand_over(mailer.port, report, place, trusted=trusted) == "250 2.0.0 taken", "the one before it stays"
    assert mailer.service
    assert len(mailer.service.logged("certificate_unusable")) == 2, "when there was none, and when it was broken"


async def test_what_was_sent_ahead_of_a_handshake_is_not_heard(
    stack: Stack, people: People, smtp: SmtpServer, tmp_path: Path
) -> None:
    """CVE-2011-0411: who is between two servers could put words into the mouth of one of them."""
    context = ssl.create_default_context(cafile=certificate(tmp_path)[1])
    mailer = await Mailer(stack, smtp).start(BOUNCE_TLS_DIR=str(tmp_path))
    reader, writer = await asyncio.open_connection("127.0.0.1", mailer.port)
    writer.write(b"EHLO mx.example.net\r\nSTARTTLS\r\nEHLO eve.example.net\r\nMAIL FROM:<eve@example.net>\r\n")
    clear = await asyncio.wait_for(reader.readuntil(b"220 2.0.0 go ahead\r\n"), 10)
    assert b"250-STARTTLS\r\n" in clear
    await writer.start_tls(context, server_hostname="127.0.0.1")
    writer.write(b"RCPT TO:<ada@example.test>\r\nMAIL FROM:<>\r\nEHLO mx.example.net\r\nSTARTTLS\r\nQUIT\r\n")
    replies = (await asyncio.wait_for(reader.read(), 10)).splitlines()
    writer.close()
    assert [reply[:4] for reply in replies] == [b"503 ", b"503 ", b"250-", b"250-", b"250 ", b"500 ", b"221 "]
    assert b"250-STARTTLS" not in replies


async def test_nobody_is_suppressed_by_a_bounce_that_is_made_up(mailer: Mailer, stack: Stack) -> None:
    sent = await mailer.send()
    ours, strange = token_of(mailer.mail(sent)), "a" * 32
    for recipient in (f"bounce+{strange}@{DOMAIN}", f"bounce+{ours}@example.test", "ada@example.test", f"ada@{DOMAIN}"):
        reply = await hand_over(mailer.port, sample("postfix-unknown", ours), recipient)
        assert reply == "550 5.1.1 no such address here"
    reply = await hand_over(mailer.port, sample("arf-abuse", strange), f"complaints@{DOMAIN}")
    assert reply == "250 2.0.0 about no mail of ours"
    reply = await hand_over(mailer.port, sample("vacation", ours), f"bounce+{ours}@{DOMAIN}")
    assert reply == "250 2.0.0 not a report to act on"
    assert [name for name, *_ in await mailer.ends(sent)] == ["email_sent"]
    assert [name for name, *_ in await mailer.ends(await mailer.send())] == ["email_sent"]
    assert mailer.count('beckon_bounce_mails_total{outcome="forged"}') == 5
    assert mailer.count('beckon_bounce_mails_total{outcome="ignored"}') == 1


async def test_a_report_that_cannot_be_kept_comes_again(mailer: Mailer, stack: Stack) -> None:
    mailer.smtp.answer("DATA", HANG)
    trigger = allowed()
    await publish(stack, trigger)
    await reaches(stack, trigger, "claimed")

    async def arrived() -> bool:
        return len(mailer.smtp.received) == 1

    await until(arrived)
    assert await mailer.bounce("postfix-unknown", trigger) == "451 4.3.0 come again later"  # it has not ended yet
    mailer.smtp.release()
    await settled(stack)
    await stack.nats.kill()
    try:
        assert await mailer.bounce("postfix-unknown", trigger) == "451 4.3.0 come again later"
    finally:
        await stack.nats.restart()

    async def taken() -> bool:
        return (await mailer.bounce("postfix-unknown", trigger)).startswith("250")

    await until(taken)

    async def told() -> bool:
        return [name for name, *_ in await mailer.ends(trigger)][:2] == ["email_sent", "email_bounced"]

    await until(told)


async def test_a_stranger_who_sends_anything_at_all_does_no_harm(mailer: Mailer) -> None:
    sent = await mailer.send()
    address = f"bounce+{token_of(mailer.mail(sent))}@{DOMAIN}".encode()
    begin = b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<" + address + b">\r\nDATA\r\n"
    for data, last in (
        (b"GET / HTTP/1.1\r\n" * 10, b"421 "),
        (b"\x00\xff\x80" * 10_000, b"500 "),
        (b"NOOP\r\n" * 200, b"421 "),
        (begin + b"x" * 11_000_000, b"552 "),
        (begin + b"\x00\xff\r\n.\r\nQUIT\r\n", b"221 "),
        (begin + b".\r\n" + begin[8:] + sample("postfix-unknown") + b".\r\nQUIT\r\n", b"221 "),
    ):
        replies = (await talk(mailer.port, data)).splitlines()
        assert not replies or replies[-1].startswith(last), (data[:40], replies)
    idle = [await asyncio.open_connection("127.0.0.1", mailer.port) for _ in range(MAX_SESSIONS)]
    for reader, _ in idle:
        assert (await reader.readline()).startswith(b"220 ")
    assert await talk(mailer.port, b"") == b"421 4.3.2 too many connections\r\n"
    for _, writer in idle:
        writer.close()
    assert (await mailer.ends(sent))[-1][0] == "email_bounced", "the last one of them was a report"
    assert mailer.service
    assert mailer.service.logged("bounce_session_failed") == []
    assert mailer.service.ready()


async def test_the_envelope_is_the_addresss_and_a_trial_changes_nothing(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    mailer = await Mailer(stack, smtp).start(TEST_RECIPIENTS="qa@example.test", MAIL_PROVIDER="postmark")
    trial = await mailer.send(test=True)
    mail = mailer.mail(trial)
    assert mail["X-PM-Metadata-beckon-trigger"] == trial.id
    assert mail["CFBL-Address"] == f"complaints@{DOMAIN}; report=arf"
    assert smtp.senders == [f"bounce+{token_of(mail)}@{DOMAIN}"]
    assert (await mailer.bounce("postfix-unknown", trial)).startswith("250")
    assert [name for name, *_ in await mailer.ends(trial)] == ["email_sent"]
    assert [name for name, *_ in await mailer.ends(await mailer.send())] == ["email_sent"]
    assert mailer.count('beckon_mail_reports_total{kind="trial",source="smtp"}') == 1


# --- By request ---------------------------------------------------------------------------------------------------------


async def report(stack: Stack, *reports: MailReport) -> MailsReported:
    tracker = await stack.bus("tracker")
    return await tracker.request(subjects.DELIVERIES_REPORT, ReportMails(list(reports)), MailsReported)


async def test_providers_name_a_mail_by_its_trigger_or_its_message_id(mailer: Mailer, stack: Stack) -> None:
    by_trigger, by_id = await mailer.send(), await mailer.send("bob")
    answer = await report(
        stack,
        MailReport("ses", trigger=by_trigger.id, kind="blocked", reason="550 5.7.1 <ada@example.test> is not for you"),
        MailReport("mailgun", message_id=id_of(by_id).strip("<>"), status="5.1.1", code=550),
        MailReport("sendgrid", trigger="nobody's", kind="hard"),
        MailReport("sendgrid", kind="hard"),
    )
    assert answer == MailsReported(known=2, unknown=2)
    assert (await mailer.ends(by_trigger))[1] == ("email_bounced", "report", "550 5.7.1 <…> is not for you")
    assert [name for name, *_ in await mailer.ends(await mailer.send())] == ["email_sent"]
    assert await mailer.ends(await mailer.send("bob")) == [of_address("hard bounce")]


async def test_a_report_of_a_mail_on_its_way_is_to_come_again_and_the_others_are_kept(
    mailer: Mailer, stack: Stack
) -> None:
    sent = await mailer.send("bob")
    mailer.smtp.answer("DATA", HANG)
    trigger = allowed()
    await publish(stack, trigger)
    await reaches(stack, trigger, "claimed")
    with pytest.raises(NoResponders, match="still being handed over"):
        await report(stack, MailReport("ses", trigger.id, kind="hard"), MailReport("ses", sent.id, kind="hard"))
    mailer.smtp.release()
    assert await mailer.ends(await mailer.send("bob")) == [of_address("hard bounce")]


async def test_an_operator_suppresses_an_address_and_lifts_it(mailer: Mailer, stack: Stack) -> None:
    async def suppress(*arguments: str) -> Ran:
        return await beckon(stack.nats.url("operator"), "suppress", "--address", *arguments)

    put = await suppress("ADA@Example.test", "--reason", "asked by phone")
    assert put == Ran(0, "ADA@Example.test: gets no mail any more\n", "")
    assert await mailer.ends(await mailer.send()) == [of_address("asked by phone")]
    assert (await suppress("ada@example.test", "--remove", "--json")).json() == {"suppressed": False}
    sent = await mailer.send()
    assert await report(stack, MailReport("ses", sent.id, kind="hard")) == MailsReported(1, 0)
    assert (await suppress("ada@example.test", "--remove")).out == "ada@example.test: may get mail\n"
    assert await report(stack, MailReport("ses", sent.id, kind="hard")) == MailsReported(1, 0)
    assert [name for name, *_ in await mailer.ends(await mailer.send())] == ["email_sent"], "that was told before"
    assert "the mailer says no: the address cannot be read" in (await suppress("ada", "--remove")).err
