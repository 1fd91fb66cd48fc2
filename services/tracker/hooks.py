"""The webhooks of providers: what they say of mails is handed to the mailer, and answered once it is kept there."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import msgspec
import structlog
from aiohttp import web

from services.tracker import body
from services.tracker.amazon import Amazon
from services.tracker.answers import JSON, REFUSED, REQUESTS, HookTaken, encode, error_answer, refuse
from services.tracker.events import Malformed, decode_body
from services.tracker.keys import Unauthorised
from services.tracker.providers import PROVIDERS, Provider, reading, signatures
from shared import subjects
from shared.clock import Clock
from shared.errors import BusUnavailable, RequestRefused, Unavailable
from shared.reports import MailReport, MailsReported, ReportMails

log = structlog.get_logger()

AT_ONCE = 100
"""Reports in one request to the mailer."""
ASKING_S = 10.0
MAX_TOKENS = 50_000
"""Of Mailgun's, each used once, that are remembered: some hours of them."""

_decode = msgspec.json.Decoder().decode


class Asking(Protocol):
    async def request(
        self, subject: str, message: ReportMails, reply: type[MailsReported], *, timeout_s: float
    ) -> MailsReported: ...


class Told(NamedTuple):
    """``token``: not to be heard again, once this is kept."""

    reports: Iterable[MailReport] = ()
    note: str = ""
    token: str = ""


class Hooks:
    """``secrets``: of each provider that sends webhooks, by its name."""

    def __init__(
        self, bus: Asking, clock: Clock, secrets: Mapping[str, Sequence[str]], amazon: Amazon, *, body_timeout_s: float
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._secrets = secrets
        self._sendgrid_keys = signatures.sendgrid_keys(secrets.get("sendgrid", ()))
        self._amazon = amazon
        self._body_timeout_s = body_timeout_s
        self._tokens: dict[str, None] = {}

    async def hook(self, request: web.BaseRequest) -> web.Response:
        """``POST /hooks/ses``, ``/hooks/sendgrid``, ``/hooks/postmark`` and ``/hooks/mailgun``."""
        provider = PROVIDERS[request.path]
        if not self._secrets.get(provider.name):
            error = f"{provider.setting} is not set: no webhooks of {provider.name} are taken"
            return error_answer(404, error, {"Beckon-Error": error})
        try:
            taken = await self._take(request, provider)
        except REFUSED as error:
            answer = refuse(provider.name, error)
            return error_answer(answer.status, str(error), answer.headers)
        REQUESTS[provider.name, "accepted"].inc()
        return web.Response(body=encode(taken), headers=JSON)

    async def _take(self, request: web.BaseRequest, provider: Provider) -> HookTaken:
        data = await body.read(request, self._body_timeout_s)
        told = await self._read(provider, data, request.headers)
        reports = reading.nameable(told.reports)
        known = 0
        for start in range(0, len(reports), AT_ONCE):
            known += await self._report(reports[start : start + AT_ONCE])
        if told.token:
            self._used(told.token)
        return HookTaken(len(reports), known, told.note)

    async def _read(self, provider: Provider, data: bytes, headers: Mapping[str, str]) -> Told:
        """Raises ``Unauthorised`` or ``Malformed``."""
        secrets = self._secrets[provider.name]
        match provider.name:
            case "ses":
                return await self._ses(data)
            case "sendgrid":
                signatures.check_sendgrid(data, headers, self._sendgrid_keys)
                return Told(reading.sendgrid(_json(data)))
            case "postmark":
                signatures.check_postmark(headers, secrets)
                return Told(reading.postmark(_json(data)))
            case "mailgun":
                content = _json(data)
                token = signatures.check_mailgun(content, secrets, self._clock.now())
                if token in self._tokens:
                    raise Unauthorised("the signature was used before")
                return Told(reading.mailgun(content), token=token)

    async def _ses(self, data: bytes) -> Told:
        message = await self._amazon.read(data)
        match message.type:
            case "Notification":
                return _of_ses(message.message)
            case "SubscriptionConfirmation":
                await self._amazon.confirm(message)
                return Told(note="the subscription is confirmed")
        log.warning("sns_unsubscribed", topic=message.topic_arn, type=message.type)
        return Told(note="nothing to do")

    async def _report(self, reports: list[MailReport]) -> int:
        """How many of them are about mails of ours. Raises ``BusUnavailable`` if they are to be sent again."""
        try:
            answer = await self._bus.request(
                subjects.DELIVERIES_REPORT, ReportMails(reports), MailsReported, timeout_s=ASKING_S
            )
        except (Unavailable, RequestRefused) as error:
            raise BusUnavailable(f"the mailer cannot take it now: {error}") from None
        return answer.known

    def _used(self, token: str) -> None:
        self._tokens[token] = None
        if len(self._tokens) > MAX_TOKENS:
            del self._tokens[next(iter(self._tokens))]


def _of_ses(message: str) -> Told:
    """SES greets a new topic with a sentence."""
    try:
        return Told(reading.ses(_json(message.encode())))
    except Malformed:
        return Told(note="a message that is not JSON says nothing")


def _json(data: bytes) -> Any:
    """Raises ``Malformed``."""
    return decode_body(_decode, data)
