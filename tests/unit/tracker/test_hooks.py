"""What the hooks ask of the mailer, and of Amazon, which no test can reach."""

import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from services.tracker.amazon import Amazon, FetchFailed
from services.tracker.hooks import AT_ONCE, Hooks
from shared.clock import SystemClock
from shared.errors import RequestRefused
from shared.reports import MailReport, MailsReported, ReportMails
from tests.support.hooks import POSTMARK_AUTH, TOPIC, SendGrid, Sns, postmark_headers

SNS, SENDGRID = Sns(), SendGrid()
BOUNCE = {
    "notificationType": "Bounce",
    "bounce": {"bounceType": "Permanent", "bounceSubType": "General", "bouncedRecipients": []},
    "mail": {"headers": [{"name": "X-Beckon-Trigger", "value": "t1"}]},
}


class World:
    """The mailer, and Amazon, as far as they are asked; and a client of the hooks."""

    def __init__(self) -> None:
        self.asked: list[list[MailReport]] = []
        self.refusal: Exception | None = None
        self.fetched: list[str] = []
        self.amazon: bytes | None = SNS.pem
        secrets = {"ses": [TOPIC], "sendgrid": [SENDGRID.public_key], "postmark": [POSTMARK_AUTH]}
        self.hooks = Hooks(self, SystemClock(), secrets, Amazon([TOPIC], self.fetch), body_timeout_s=5)
        self.url = ""

    async def request(
        self, subject: str, message: ReportMails, reply: type[MailsReported], *, timeout_s: float
    ) -> MailsReported:
        assert subject == "deliveries.report"
        if self.refusal:
            raise self.refusal
        self.asked.append(message.reports)
        return MailsReported(len(message.reports), 0)

    async def fetch(self, url: str) -> bytes:
        self.fetched.append(url)
        if self.amazon is None:
            raise FetchFailed("away")
        return self.amazon

    async def post(self, provider: str, data: bytes, **headers: str) -> tuple[int, Any]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{self.url}/hooks/{provider}",
                data=data,
                headers={"Content-Type": "text/plain; charset=UTF-8", **headers},
            ) as answer,
        ):
            return answer.status, await answer.json()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    runner = web.ServerRunner(web.Server(world.hooks.hook, auto_decompress=False))
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    world.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield world
    await runner.cleanup()


async def test_ses_tells_of_a_bounce_once_its_subscription_is_confirmed(world: World) -> None:
    subscription = SNS.body("SubscriptionConfirmation", Token="abc", SubscribeURL="https://evil.example/")
    assert await world.post("ses", subscription) == (
        200,
        {"reports": 0, "known": 0, "note": "the subscription is confirmed"},
    )
    assert world.fetched[1].startswith("https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&TopicArn=")
    greeting = SNS.body(Message="Successfully validated SNS topic for Amazon SES event publishing.")
    assert (await world.post("ses", greeting))[1]["note"] == "a message that is not JSON says nothing"
    assert await world.post("ses", SNS.body(Message=json.dumps(BOUNCE))) == (200, {"reports": 1, "known": 1})
    assert world.asked == [[MailReport("ses", "t1", "", "hard", reason="General")]]
    assert (await world.post("ses", SNS.body("UnsubscribeConfirmation", Token="abc", SubscribeURL="x")))[0] == 200
    assert len(world.fetched) == 2


async def test_while_amazon_is_away_ses_is_to_come_again(world: World) -> None:
    world.amazon = None
    assert (await world.post("ses", SNS.body(Message=json.dumps(BOUNCE))))[0] == 503
    world.amazon = SNS.pem
    assert (await world.post("ses", SNS.body(Message=json.dumps(BOUNCE))))[0] == 200


async def test_many_reports_go_in_several_requests(world: World) -> None:
    body = json.dumps([{"event": "spamreport", "beckon_trigger": f"t{n}"} for n in range(2 * AT_ONCE + 1)]).encode()
    known = 2 * AT_ONCE + 1
    assert await world.post("sendgrid", body, **SENDGRID.headers(body)) == (200, {"reports": known, "known": known})
    assert [len(reports) for reports in world.asked] == [AT_ONCE, AT_ONCE, 1]


async def test_what_the_mailer_refuses_is_not_lost(world: World) -> None:
    world.refusal = RequestRefused("a newer kind of report")
    body = b'{"RecordType": "SpamComplaint", "Type": "SpamComplaint", "Metadata": {"beckon-trigger": "t1"}}'
    status, answer = await world.post("postmark", body, **postmark_headers())
    assert (status, answer["error"]) == (503, "the mailer cannot take it now: a newer kind of report")
