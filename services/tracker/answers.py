"""How the tracker answers: one table from what went wrong to a status, and the bodies and headers of every answer."""

from collections.abc import Mapping, Sequence
from http import HTTPStatus
from types import MappingProxyType
from typing import NamedTuple

import msgspec
from aiohttp import HttpVersion11, web
from aiohttp.abc import AbstractStreamWriter
from msgspec import Struct

from services.tracker import body
from services.tracker.events import Malformed, Rejected, TooMany
from services.tracker.keys import Forbidden, Unauthorised
from services.tracker.limits import TooFast
from services.tracker.preferences import BadForm
from services.tracker.publisher import Full
from shared import metrics
from shared.errors import BusUnavailable
from shared.links import BadToken

PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""One transparent pixel, 43 bytes of GIF."""


class Prompt(web.Response):
    """The answer to nearly every request: a few headers and a few bytes, written at once.

    aiohttp takes 11 us for a response (of the 36 of a whole bare request, half of which is the kernel's): a mapping of headers,
    cookies, compression, a date, the name of the server. This takes 2. Whoever speaks HTTP/1.0, or wants the connection
    closed, gets aiohttp's.
    """

    def __init__(self, status: int, headers: Mapping[str, str], content: bytes) -> None:  # not of the base: see above
        self._code = status
        self._given = headers
        self._content = content
        self._whole: web.Response | None = None

    @property
    def status(self) -> int:
        return self._code

    @property
    def keep_alive(self) -> bool:
        return self._whole is None or bool(self._whole.keep_alive)

    def whole(self) -> web.Response:
        """The same from aiohttp, to which headers can be added."""
        return web.Response(status=self._code, headers=self._given, body=self._content)

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        if request.version != HttpVersion11 or not request.keep_alive:
            self._whole = self.whole()
            return await self._whole.prepare(request)
        lines = "".join([f"{name}: {value}\r\n" for name, value in self._given.items()])
        head = f"{_STATUS_LINES[self._code]}{lines}Content-Length: {len(self._content)}\r\n\r\n"
        await request.writer.write(head.encode("latin-1") + self._content)
        return None

    async def write_eof(self, data: bytes = b"") -> None:
        if self._whole is not None:
            await self._whole.write_eof()


_STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n" for status in HTTPStatus}


class NoneValid(Exception):
    """Every event of the request is refused."""

    def __init__(self, rejected: list[Rejected]) -> None:
        super().__init__(rejected[0].error if len(rejected) == 1 else "no event in the request is valid")
        self.rejected = rejected


class Answer(NamedTuple):
    status: int
    outcome: str
    """Label of the metric."""
    headers: Mapping[str, str] = MappingProxyType({})


ANSWERS: dict[type[Exception], Answer] = {
    NoneValid: Answer(400, "invalid"),
    Malformed: Answer(400, "malformed"),
    # Bearer, not Basic: for Basic a browser would ask the visitor for a password.
    Unauthorised: Answer(401, "unauthorised", {"WWW-Authenticate": 'Bearer realm="beckon"'}),
    Forbidden: Answer(403, "forbidden"),
    body.TooSlow: Answer(408, "too_slow"),
    body.TooLarge: Answer(413, "too_large"),
    TooMany: Answer(413, "too_large"),
    body.Unsupported: Answer(415, "unsupported"),
    TooFast: Answer(429, "too_fast"),
    BadForm: Answer(400, "malformed"),
    BadToken: Answer(404, "unknown"),
    Full: Answer(503, "full", {"Retry-After": "1"}),
    BusUnavailable: Answer(503, "unavailable", {"Retry-After": "2"}),
}
"""How each way in which a request can end badly is answered. Whatever is not here is a bug and a 500."""
REFUSED = tuple(ANSWERS)

CORS = {"Access-Control-Allow-Origin": "*"}
JSON = {"Content-Type": "application/json", **CORS}
GIF = {
    "Content-Type": "image/gif",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "cross-origin",
    **CORS,
}
EXPOSED = {"Access-Control-Expose-Headers": "Beckon-Error, Retry-After"}
PREFLIGHT = {
    **CORS,
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    # X-Retry-Count and AnonymousId are Segment's and RudderStack's browser libraries'
    "Access-Control-Allow-Headers": "Authorization, Content-Encoding, Content-Type, X-Write-Key, X-Retry-Count, AnonymousId",
    "Access-Control-Max-Age": "86400",
}


class Accepted(Struct):
    accepted: int
    rejected: list[Rejected]


class Refused(Struct):
    error: str
    accepted: int = 0
    rejected: Sequence[Rejected] = ()


class CallsAccepted(Struct):
    """As Segment's libraries expect it, status 200."""

    accepted: int
    rejected: list[Rejected]
    success: bool = True


class CallsRefused(Struct):
    """``code`` and ``message`` are what Segment's and RudderStack's libraries for Python log."""

    code: str
    message: str
    rejected: Sequence[Rejected] = ()
    accepted: int = 0
    success: bool = False


class WebhookTaken(Struct, omit_defaults=True):
    """``note``: why a webhook is not used."""

    accepted: int
    rejected: list[Rejected]
    note: str = ""


class HookTaken(Struct, omit_defaults=True):
    """``reports``: of bounces and complaints; ``known``: of them, those about mails that were sent from here."""

    reports: int
    known: int
    note: str = ""


encode = msgspec.json.Encoder().encode
_CALLS = (
    *("pixel", "events", "import", "segment", "settings"),
    *("shopify", "woocommerce"),
    *("ses", "sendgrid", "postmark", "mailgun"),
    *("open", "click", "unsubscribe"),
)
REQUESTS = {
    (call, outcome): metrics.TRACKER_REQUESTS.labels(call, outcome)
    for call in _CALLS
    for outcome in ("accepted", *(answer.outcome for answer in ANSWERS.values()))
}
EVENTS_ACCEPTED = metrics.TRACKER_EVENTS.labels("accepted")
TAKEN_S = metrics.TRACKER_STAGE_S.labels("taken")
EVENTS_REJECTED = metrics.TRACKER_EVENTS.labels("rejected")


def error_answer(
    status: int, error: str, headers: Mapping[str, str] = MappingProxyType({}), rejected: Sequence[Rejected] = ()
) -> web.Response:
    return web.Response(body=encode(Refused(error, rejected=rejected)), status=status, headers={**headers, **JSON})


def rejected(error: Exception) -> Sequence[Rejected]:
    """Each event's own reason, where the request is refused because of its events."""
    return error.rejected if isinstance(error, NoneValid) else ()


def refuse(call: str, error: Exception) -> Answer:
    """The row of the table, with the reason among its headers."""
    answer = ANSWERS[type(error)]
    REQUESTS[call, answer.outcome].inc()
    reason = "".join(letter if " " <= letter <= "~" else "?" for letter in str(error))
    headers = {"Beckon-Error": reason, **EXPOSED, **answer.headers}
    if isinstance(error, TooFast):
        headers["Retry-After"] = str(error.retry_s)
    return answer._replace(headers=headers)
