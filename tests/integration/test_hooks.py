"""Webhooks of providers over real HTTP and NATS to the mailer, and what they change there."""

import json
import time
from typing import Any

import pytest

from tests.support.hooks import (
    MAILGUN_KEY,
    POSTMARK_AUTH,
    TOPIC,
    SendGrid,
    Sns,
    mailgun_signature,
    postmark_headers,
)
from tests.support.mailing import People, allowed, id_of, outcomes, publish, settled, start
from tests.support.smtp import SmtpServer
from tests.support.stack import Stack, until
from tests.support.tracker import Tracker

SENDGRID = SendGrid()


@pytest.fixture
async def tracker(idle_tracker: Tracker) -> Tracker:
    await idle_tracker.start(
        SES_TOPIC_ARNS=TOPIC,
        SENDGRID_PUBLIC_KEY=SENDGRID.public_key,
        POSTMARK_HOOK_AUTH=POSTMARK_AUTH,
        MAILGUN_SIGNING_KEY=MAILGUN_KEY,
        BODY_TIMEOUT_S="5",
    )
    return idle_tracker


async def deliver(tracker: Tracker, provider: str, content: Any, **headers: str) -> tuple[int, Any]:
    """Status and decoded body."""
    data = content if isinstance(content, bytes) else json.dumps(content).encode()
    if provider == "sendgrid":
        headers = {**SENDGRID.headers(data), **headers}
    if provider == "postmark":
        headers = {**postmark_headers(), **headers}
    status, body, _ = await tracker.post(data, key=None, path=f"/hooks/{provider}", **headers)
    return status, body


def mailgun(trigger: str, token: str, **event: Any) -> dict[str, Any]:
    variables = {"user-variables": {"beckon_trigger": trigger}}
    return {"signature": mailgun_signature(int(time.time()), token), "event-data": {**variables, **event}}


FAILED = {"event": "failed", "severity": "permanent", "reason": "bounce", "delivery-status": {"code": 550}}


async def test_each_provider_has_an_address_suppressed(
    tracker: Tracker, stack: Stack, people: People, smtp: SmtpServer
) -> None:
    await start(stack, smtp)
    sent = {name: allowed(name) for name in ("sendgrid", "postmark", "mailgun")}
    await publish(stack, *sent.values())
    await settled(stack)
    bounce = {"event": "bounce", "type": "bounce", "status": "5.1.1", "reason": "550 5.1.1 <ada@example.net>"}
    told = {
        "sendgrid": [{**bounce, "smtp-id": id_of(sent["sendgrid"])}, {**bounce, "smtp-id": "<x@y>"}, {"event": "open"}],
        "postmark": {"RecordType": "Bounce", "Type": "HardBounce", "Metadata": {"beckon-trigger": sent["postmark"].id}},
        "mailgun": mailgun(sent["mailgun"].id, "once", **FAILED),
    }
    for name, content in told.items():
        expected = {"reports": 2, "known": 1} if name == "sendgrid" else {"reports": 1, "known": 1}
        assert await deliver(tracker, name, content) == (200, expected)
    again = {name: allowed(name) for name in sent}
    await publish(stack, *again.values())
    await settled(stack)
    found = await outcomes(stack)
    for name in sent:
        assert [event.name for event in found[sent[name].id]] == ["email_sent", "email_bounced"]
        assert found[sent[name].id][1].properties["source"] == name
        (stopped,) = found[again[name].id]
        assert stopped.properties["reason"] == "the address is suppressed: hard bounce"
    assert len(smtp.received) == 3
    assert tracker.service
    assert tracker.service.metric('beckon_tracker_requests_total{call="postmark",outcome="accepted"}') == 1


async def test_what_is_not_the_providers_is_401_and_changes_nothing(tracker: Tracker) -> None:
    good = mailgun("t1", "x", **FAILED)
    for provider, content, headers in (
        ("sendgrid", [], SendGrid().headers(b"[]")),
        ("postmark", {}, postmark_headers("postmark:another-password-it-is")),
        ("mailgun", {**good, "signature": mailgun_signature(int(time.time()), key="a-key-of-a-stranger")}, {}),
        ("mailgun", {**good, "signature": mailgun_signature(int(time.time()) - 90_000)}, {}),
        ("ses", Sns().message(TopicArn=TOPIC.replace("bounces", "others")), {}),
        ("ses", Sns().message(SigningCertURL="https://evil.example/SimpleNotificationService-0.pem"), {}),
    ):
        status, body = await deliver(tracker, provider, content, **headers)
        assert (status, body["accepted"]) == (401, 0), provider
    for provider in ("ses", "sendgrid", "postmark", "mailgun"):
        assert (await deliver(tracker, provider, b"{"))[0] == 400


async def test_mailguns_signature_is_heard_once(
    tracker: Tracker, stack: Stack, people: People, smtp: SmtpServer
) -> None:
    content = mailgun("nobody's", "once", event="complained")
    status, body = await deliver(tracker, "mailgun", content)
    assert (status, body["error"]) == (503, "the mailer cannot take it now: nobody answers on deliveries.report")
    await start(stack, smtp)
    assert await deliver(tracker, "mailgun", content) == (200, {"reports": 1, "known": 0})
    status, body = await deliver(tracker, "mailgun", content)
    assert (status, body["error"]) == (401, "the signature was used before")


async def test_without_the_mailer_it_is_503_and_comes_again(
    tracker: Tracker, stack: Stack, people: People, smtp: SmtpServer
) -> None:
    mailer = await start(stack, smtp)
    sent = allowed()
    await publish(stack, sent)
    await settled(stack)
    await mailer.stop()
    content = {"RecordType": "SpamComplaint", "Type": "SpamComplaint", "Metadata": {"beckon-trigger": sent.id}}
    assert (await deliver(tracker, "postmark", content))[0] == 503
    await start(stack, smtp)

    async def taken() -> bool:
        return (await deliver(tracker, "postmark", content))[0] == 200

    await until(taken)
    assert [event.name for event in (await outcomes(stack))[sent.id]] == ["email_sent", "email_complained"]


async def test_a_hook_whose_setting_is_empty_is_404_and_names_it(idle_tracker: Tracker) -> None:
    await idle_tracker.start()
    for provider, setting in (
        ("ses", "SES_TOPIC_ARNS"),
        ("sendgrid", "SENDGRID_PUBLIC_KEY"),
        ("postmark", "POSTMARK_HOOK_AUTH"),
        ("mailgun", "MAILGUN_SIGNING_KEY"),
    ):
        status, body = await deliver(idle_tracker, provider, {})
        assert (status, body["error"]) == (404, f"{setting} is not set: no webhooks of {provider} are taken")
