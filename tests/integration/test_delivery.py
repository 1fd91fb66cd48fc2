"""How mails get to the SMTP servers: signed, over the right one, in TLS, and none waits for another's domain."""

import asyncio
import re
from collections import Counter
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from msgspec import structs

from services.mailer.compose import Letter
from services.mailer.replies import Deferred
from services.mailer.server import server
from services.mailer.smtp import Options, connect, local
from shared import subjects
from shared.clock import SECOND, SystemClock
from shared.dkim import DkimKey, record, written
from shared.messages import EmailAction, Event, Terms, Trigger
from tests.support.mailing import (
    People,
    allowed,
    hanging,
    id_of,
    outcome_of,
    publish,
    reaches,
    settled,
    start,
    status_of,
)
from tests.support.smtp import CUT, DATA, DROP, GO, HANG, MAIL, RCPT, SmtpServer, certificate
from tests.support.stack import Service, Stack, until

SLOW_DOWN = "421 4.7.28 unusual rate of mails from you"


@pytest.fixture
def servers() -> Iterator[list[SmtpServer]]:
    """Two of them."""
    found = [SmtpServer().start() for _ in range(2)]
    yield found
    for each in found:
        each.stop()


def urls(*servers: SmtpServer, options: str = "") -> str:
    return ",".join(server.url + options for server in servers)


def total(server: SmtpServer) -> int:
    return sum(server.accepted().values())


# --- Signed -----------------------------------------------------------------------------------------------------------


async def test_what_arrives_is_signed_with_every_key(
    stack: Stack, people: People, smtp: SmtpServer, tmp_path: Path
) -> None:
    keys = DkimKey("r1", rsa.generate_private_key(65537, 2048)), DkimKey("e1", ed25519.Ed25519PrivateKey.generate())
    (tmp_path / "keys").write_text(",\n".join(map(written, keys)))
    people.profiles["ada"] = {"email": "ada@example.test", "first_name": "Zoë ☕ " * 20}
    tracker, secret = "https://events.shop.example.test", "what seals the links of these mails"
    mailer = await start(
        stack,
        smtp,
        DKIM_KEYS_FILE=str(tmp_path / "keys"),
        PUBLIC_URL=tracker,
        SECRET_KEY=secret,
        REPLY_TO="Help <help@example.test>",
    )
    triggers = [allowed("ada"), allowed("bob")]
    await publish(stack, *triggers)
    await settled(stack)
    dns = {f"{key.selector}._domainkey.example.test.".encode(): record(key).encode() for key in keys}
    for content in smtp.contents:
        verifier = dkim.DKIM(content)
        assert [verifier.verify(n, dnsfunc=lambda name, timeout=5: dns[name]) for n in range(2)] == [True, True]
        (listed, *_) = re.findall(r"\bh=([^;]+);", content.decode())
        names = "".join(listed.split()).split(":")
        for name in ("List-Unsubscribe-Post", "Feedback-ID", "Reply-To"):
            assert names.count(name) == 2, "once for the header, once against another"
    assert {mail["Reply-To"] for mail in smtp.received} == {"Help <help@example.test>"}
    assert smtp.received[0]["Feedback-ID"] == "cart-abandonment:default:cart-reminder:exampletest"
    assert not mailer.logged("mails_without_signature")


async def test_a_key_that_cannot_sign_stops_it_at_the_start(stack: Stack, smtp: SmtpServer) -> None:
    mailer = await start(stack, smtp, wait=False, DKIM_KEYS="r1:bm90IGEga2V5")
    assert await mailer.process.wait() == 2
    assert mailer.process.tail(1).startswith(
        "beckon mailer: DKIM_KEYS: the key of r1 is not an unencrypted private key"
    )


# --- Over the right server --------------------------------------------------------------------------------------------


async def test_mails_go_over_the_next_server_while_the_first_is_away(
    stack: Stack, people: People, servers: list[SmtpServer]
) -> None:
    first, second = servers
    first.stop()
    mailer = await start(stack, first, SMTP_URL=urls(first, second))
    triggers = [allowed(f"person-{n}") for n in range(20)]
    await publish(stack, *triggers[:10])
    await settled(stack)
    assert total(second) == 10

    async def usable() -> bool:
        return (
            await asyncio.to_thread(mailer.metric, f'beckon_smtp_relay_usable{{relay="127.0.0.1:{first.port}"}}') == 1
        )

    assert not await usable()
    first.start()
    await until(usable)
    await publish(stack, *triggers[10:])
    await settled(stack)
    assert (total(first), total(second)) == (10, 10)
    assert first.accepted() + second.accepted() == Counter(map(id_of, triggers))
    sent = mailer.metric(f'beckon_smtp_mails_total{{outcome="accepted",relay="127.0.0.1:{second.port}"}}')
    assert sent == 10


async def test_a_server_that_takes_nothing_is_left_alone(
    stack: Stack, people: People, servers: list[SmtpServer]
) -> None:
    first, second = servers
    first.answer(MAIL, *["421 4.3.2 not now"] * 1000)
    mailer = await start(stack, first, SMTP_URL=urls(first, second))
    triggers = [allowed(f"person-{n}") for n in range(60)]
    await publish(stack, *triggers)
    await settled(stack)
    assert second.accepted() == Counter(map(id_of, triggers))
    assert mailer.logged("smtp_relay_rests")
    assert mailer.metric("beckon_deliveries_deferred_total") < 30, "some had to find out"


async def test_a_server_gets_no_more_than_its_rate_and_the_next_one_takes_the_rest(
    stack: Stack, people: People, servers: list[SmtpServer]
) -> None:
    first, second = servers
    await start(stack, first, SMTP_URL=f"{first.url}?rate=10/s,{second.url}?rate=40/s&pool=1")
    loop = asyncio.get_running_loop()
    triggers = [allowed(f"person-{n}") for n in range(100)]
    began = loop.time()
    await publish(stack, *triggers)
    await settled(stack)
    took_s = loop.time() - began
    assert first.accepted() + second.accepted() == Counter(map(id_of, triggers))
    assert 0 < total(first) <= 10 * took_s + 2
    assert 0 < total(second) <= 40 * took_s + 2
    assert second.connections <= 2, "and the probe's"


# --- In TLS -----------------------------------------------------------------------------------------------------------


async def test_what_offers_starttls_gets_nothing_in_clear(stack: Stack, people: People, tmp_path: Path) -> None:
    """The handshake fails as long as nobody trusts the certificate."""
    context, trusted = certificate(tmp_path)
    smtp = SmtpServer(tls=context, login=("me", "secret")).start()
    try:
        trigger = allowed()
        await publish(stack, trigger)
        url = smtp.url.replace("//", "//me:secret@")
        wary = await start(stack, smtp, wait=False, SMTP_URL=url)

        async def refuses() -> bool:
            return any("CERTIFICATE_VERIFY_FAILED" in line["error"] for line in wary.logged("smtp_unreachable"))

        await until(refuses)
        assert smtp.received == ()
        await wary.stop()
        await start(stack, smtp, SMTP_URL=url, SSL_CERT_FILE=str(trusted), SMTP_TLS="required")
        await settled(stack)
        assert smtp.accepted() == Counter([id_of(trigger)])
        assert smtp.encrypted == (True,)
        assert await status_of(stack, trigger) == "sent"
    finally:
        smtp.stop()


async def test_where_tls_is_required_a_server_without_gets_nothing(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    mailer = await start(stack, smtp, wait=False, SMTP_TLS="required")
    await publish(stack, allowed())

    async def refuses() -> bool:
        return bool(mailer.logged("smtp_unreachable") and mailer.logged("message_retried_later"))

    await until(refuses)
    assert mailer.logged("smtp_unreachable")[0]["error"] == "it offers no STARTTLS, and SMTP_TLS is required"
    assert smtp.received == ()


@pytest.mark.parametrize(
    ("address", "here"),
    [("127.0.0.1", True), ("::1", True), ("10.0.0.7", False), ("fe80::1%eth0", False), ("192.0.2.1", False)],
)
def test_a_password_goes_in_clear_on_this_machine_only(address: str, here: bool) -> None:
    assert local(address) == here


# --- Whose domain it is -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("answer", [SLOW_DOWN, "451 4.7.1 greylisted, come back in a minute", HANG])
async def test_who_waits_for_a_domain_holds_up_nobody_else(stack: Stack, people: People, answer: str) -> None:
    """A server that puts off, or keeps waiting, whatever is for gmail.test."""
    smtp = SmtpServer(script=lambda stage, to: answer if stage == RCPT and to.endswith("@gmail.test") else None).start()
    try:
        mailer = await start(stack, smtp, RETRY_FIRST_S="2", SMTP_TIMEOUT_S="2")
        before = await latencies_ms(stack, people, "before")
        waiting = [allowed(f"waits-{n}") for n in range(80)]
        people.profiles |= {trigger.person: {"email": f"{trigger.person}@gmail.test"} for trigger in waiting}
        await publish(stack, *waiting)

        async def put_off() -> bool:
            return len(mailer.logged("message_retried_later")) + smtp.waiting >= len(waiting)

        await until(put_off)
        meanwhile = await latencies_ms(stack, people, "meanwhile")
        assert total(smtp) == 2 * OTHERS
        assert meanwhile[-2] < 3 * before[-2] + 3000, "were they held up, it would be many seconds"
    finally:
        smtp.stop()


OTHERS = 60


async def latencies_ms(stack: Stack, people: People, name: str) -> list[float]:
    """Of mails for other.test, in ascending order; a few each moment."""
    triggers = []
    for n in range(OTHERS):
        people.profiles[f"{name}-{n}"] = {"email": f"{name}-{n}@other.test"}
        triggers.append(allowed(f"{name}-{n}"))
        await publish(stack, triggers[-1])
        await asyncio.sleep(0.02)  # the pace of the mails, not a wait for anything
    for trigger in triggers:
        await reaches(stack, trigger, "sent")
    events = {event.properties["trigger_id"]: event for event in await stack.messages(subjects.EVENTS, Event)}
    return sorted(events[trigger.id].properties["latency_ms"] for trigger in triggers)


async def test_a_domain_that_takes_mails_again_gets_them_all(stack: Stack, people: People, smtp: SmtpServer) -> None:
    mailer = await start(stack, smtp, DOMAIN_CONCURRENCY="2")
    smtp.answer(RCPT, *[SLOW_DOWN] * 4)
    triggers = [allowed(f"person-{n}") for n in range(40)]
    await publish(stack, *triggers)
    await settled(stack)
    assert smtp.accepted() == Counter(map(id_of, triggers))
    assert mailer.logged("recipient_domain_rests")
    assert mailer.metric('beckon_deliveries_held_back_total{reason="resting"}') > 0
    assert mailer.metric("beckon_deliveries_deferred_total") < 10, "most never asked"


async def test_what_waits_for_its_domain_expires_in_time(stack: Stack, people: People, smtp: SmtpServer) -> None:
    await start(stack, smtp, RETRY_FIRST_S="60")
    smtp.answer(RCPT, SLOW_DOWN)
    first = allowed("ada")
    await publish(stack, first)
    await reaches(stack, first, "deferred")
    second = allowed("bob", expires=SystemClock().now() + 1 * SECOND)
    await publish(stack, second)
    await reaches(stack, second, "expired")
    event = await outcome_of(stack, second)
    assert event.timestamp < second.expires + SECOND  # type: ignore[operator]


# --- Nobody can tell, and the rule says what then ---------------------------------------------------------------------


def transactional(person: str = "ada", **more: Any) -> Trigger:
    return allowed(person, terms=Terms(EmailAction("cart-reminder", uncertain="retry_once")), **more)


async def told(stack: Stack, trigger: Trigger) -> dict[str, Any]:
    return (await outcome_of(stack, trigger)).properties


async def test_an_uncertain_mail_goes_once_more_where_its_rule_says_so(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    mailer = await start(stack, smtp)
    smtp.answer(DATA, DROP)
    trigger = transactional()
    await publish(stack, trigger)
    await settled(stack)
    assert [mail["Message-ID"] for mail in smtp.received] == [id_of(trigger)] * 2
    event = await outcome_of(stack, trigger)
    assert (event.name, event.properties["repeated"]) == ("email_sent", True)
    assert mailer.metric("beckon_deliveries_repeated_total") == 1


async def test_it_goes_no_third_time(stack: Stack, people: People, smtp: SmtpServer) -> None:
    await start(stack, smtp)
    smtp.answer(DATA, DROP, "451 4.3.0 not now", DROP)
    trigger = transactional()
    await publish(stack, trigger)
    await settled(stack)
    await publish(stack, trigger, attempt="again")
    await settled(stack)
    assert len(smtp.received) == 3, "the second of them was put off, and so not sent"
    assert (await outcome_of(stack, trigger)).name == "email_uncertain"


async def test_what_may_have_been_sent_is_not_said_to_have_failed(
    stack: Stack, people: People, smtp: SmtpServer
) -> None:
    await start(stack, smtp)
    smtp.answer(DATA, DROP, "554 5.6.0 no")
    refused = transactional()
    await publish(stack, refused)
    await settled(stack)
    assert (await told(stack, refused))["reason"] == "it may have been sent; once more: content: 554 5.6.0 no"

    smtp.answer(DATA, DROP)
    smtp.answer(RCPT, "250 OK", *["450 4.2.1 not now"] * 50)
    expires = structs.replace(transactional("bob"), expires=SystemClock().now() + 2 * SECOND)
    await publish(stack, expires)
    await settled(stack)
    assert (await outcome_of(stack, expires)).name == "email_uncertain"
    assert len(smtp.received) == 3


async def test_a_mailer_that_dies_over_it_leaves_it_to_the_next(stack: Stack, people: People, smtp: SmtpServer) -> None:
    """And when that dies as well, nobody sends it."""
    smtp.answer(DATA, HANG, HANG)
    trigger = transactional()
    await publish(stack, trigger)
    for times in (1, 2):
        victim: Service = await start(stack, smtp)
        await until(partial(hanging, smtp, times))
        await victim.kill()
    await start(stack, smtp)
    await settled(stack)
    assert (await outcome_of(stack, trigger)).name == "email_uncertain"
    assert len(smtp.received) == 2


# --- On the wire ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("ending", [CUT, HANG])
async def test_a_content_that_is_not_taken_whole_is_known_not_to_be_sent(smtp: SmtpServer, ending: str) -> None:
    """The dot that ends it is not written before the rest has left. Larger than what the kernels in between take in."""
    connection = await connect(server(smtp.url), Options("example.test", 5, 1, tls_required=False, tls_verify=True))
    smtp.answer(GO, CUT if ending == CUT else "250 OK")
    letter = Letter("shop@example.test", ("ada@example.test",), "<t1@example.test>", (b"x" * 70 + b"\r\n") * 200_000)
    assert await connection.envelope(letter) is None
    if ending == HANG:
        smtp.pause()
    result = await connection.content(letter)
    assert isinstance(result, Deferred)
    assert smtp.received == ()


async def test_dots_at_the_start_of_lines_arrive(smtp: SmtpServer) -> None:
    connection = await connect(server(smtp.url), Options("example.test", 5, 5, tls_required=False, tls_verify=True))
    content = b"Subject: dots\r\n\r\n.\r\n..\r\n.x\r\n\r\n.\r\n"
    letter = Letter("shop@example.test", ("ada@example.test",), "<t1@example.test>", content)
    assert await connection.envelope(letter) is None
    await connection.content(letter)
    assert smtp.contents == (content,)
    await connection.quit()
