"""The HTTP shell: reads requests, hands them to the pure parts, waits until the events are stored, answers."""

import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

import msgspec
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from msgspec import Struct

from services.tracker import body
from services.tracker.events import (
    EventIn,
    Malformed,
    Origin,
    Rejected,
    Taken,
    TooMany,
    read_body,
    read_query,
    take,
    write_key,
)
from services.tracker.flaws import Flaw
from services.tracker.keys import Access, Keys, Unauthorised, key_in_authorization
from services.tracker.publisher import Full
from shared import metrics
from shared.clock import Clock
from shared.errors import BusUnavailable
from shared.messages import Event

PIXEL = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
"""One transparent pixel, 43 bytes of GIF."""

Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]


class Store(Protocol):
    async def publish(self, events: Sequence[Event]) -> None: ...


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
    body.TooSlow: Answer(408, "too_slow"),
    body.TooLarge: Answer(413, "too_large"),
    TooMany: Answer(413, "too_large"),
    body.Unsupported: Answer(415, "unsupported"),
    Full: Answer(503, "full", {"Retry-After": "1"}),
    BusUnavailable: Answer(503, "unavailable", {"Retry-After": "2"}),
}
"""How each way in which a request can end badly is answered. Whatever is not here is a bug and a 500."""
REFUSED = tuple(ANSWERS)

_CORS = {"Access-Control-Allow-Origin": "*"}
_JSON = {"Content-Type": "application/json", **_CORS}
_GIF = {
    "Content-Type": "image/gif",
    "Cache-Control": "no-store",
    "Cross-Origin-Resource-Policy": "cross-origin",
    **_CORS,
}
_EXPOSED = {"Access-Control-Expose-Headers": "Beckon-Error, Retry-After"}
_PREFLIGHT = {
    **_CORS,
    "Access-Control-Allow-Methods": "POST, OPTIONS",
    "Access-Control-Allow-Headers": "Authorization, Content-Encoding, Content-Type, X-Write-Key",
    "Access-Control-Max-Age": "86400",
}
_INDEX = b'{"service":"beckon tracker","calls":["GET /track","POST /v1/events"]}'


class Accepted(Struct):
    accepted: int
    rejected: list[Rejected]


class Refused(Struct):
    error: str
    accepted: int = 0
    rejected: Sequence[Rejected] = ()


_encode = msgspec.json.Encoder().encode
_requests = {
    (call, outcome): metrics.TRACKER_REQUESTS.labels(call, outcome)
    for call in ("pixel", "events")
    for outcome in ("accepted", *(answer.outcome for answer in ANSWERS.values()))
}
_accepted = metrics.TRACKER_EVENTS.labels("accepted")
_rejected = metrics.TRACKER_EVENTS.labels("rejected")


class Edge:
    """The calls of the tracker. ``body_timeout_s``: how long a sender may take over its body."""

    def __init__(
        self, store: Store, keys: Keys, clock: Clock, *, pixel_key_required: bool, body_timeout_s: float
    ) -> None:
        self._store = store
        self._keys = keys
        self._clock = clock
        self._pixel_key_required = pixel_key_required
        self._body_timeout_s = body_timeout_s

    async def pixel(self, request: web.BaseRequest) -> web.Response:
        """``GET /track``: one event in the query. The answer is an image whatever happens."""
        try:
            key = _key(request)
            access = self._keys.access(key) if key or self._pixel_key_required else Access.PUBLIC
            await self._store_all([read_query(request.query.items())], "pixel", access)
        except REFUSED as error:
            answer = _refuse("pixel", error)
            return web.Response(body=PIXEL, status=answer.status, headers={**answer.headers, **_GIF})
        _requests["pixel", "accepted"].inc()
        return web.Response(body=PIXEL, headers=_GIF)

    async def events(self, request: web.BaseRequest) -> web.Response:
        """``POST /v1/events``: one event or an array of them."""
        try:
            key = _key(request)
            access = self._keys.access(key) if key else None
            items = read_body(await body.read(request, self._body_timeout_s))
            taken = await self._store_all(items, "api", access or self._keys.access(write_key(items)))
        except REFUSED as error:
            answer = _refuse("events", error)
            return _error(
                answer.status, str(error), answer.headers, error.rejected if isinstance(error, NoneValid) else []
            )
        _requests["events", "accepted"].inc()
        accepted = Accepted(len(taken.events), taken.rejected)
        return web.Response(body=_encode(accepted), status=202, headers=_JSON)

    async def _store_all(self, items: Sequence[EventIn | Flaw], source: str, access: Access) -> Taken:
        taken = take(items, Origin(source, access is Access.SECRET), self._clock.now(), os.urandom)
        if taken.rejected:
            _rejected.inc(len(taken.rejected))
        if not taken.events:
            raise NoneValid(taken.rejected)
        await self._store.publish(taken.events)
        _accepted.inc(len(taken.events))
        return taken


async def preflight(_: web.BaseRequest) -> web.Response:
    """Any page may post events: the keys are public and no cookie is read."""
    return web.Response(status=204, headers=_PREFLIGHT)


async def index(_: web.BaseRequest) -> web.Response:
    return web.Response(body=_INDEX, headers=_JSON)


def _key(request: web.BaseRequest) -> str | None:
    if authorization := request.headers.get("Authorization"):
        return key_in_authorization(authorization)
    return request.headers.get("X-Write-Key") or request.query.get("key")


def _error(
    status: int, error: str, headers: Mapping[str, str] = MappingProxyType({}), rejected: Sequence[Rejected] = ()
) -> web.Response:
    return web.Response(body=_encode(Refused(error, rejected=rejected)), status=status, headers={**headers, **_JSON})


def _refuse(call: str, error: Exception) -> Answer:
    """The row of the table, with the reason among its headers."""
    answer = ANSWERS[type(error)]
    _requests[call, answer.outcome].inc()
    reason = "".join(letter if " " <= letter <= "~" else "?" for letter in str(error))
    return answer._replace(headers={"Beckon-Error": reason, **_EXPOSED, **answer.headers})


def build_handler(edge: Edge) -> Handler:
    """Every call of the tracker. A table, not aiohttp's router: that takes a fifth of the time of a bare request."""
    calls: dict[str, dict[str, Handler]] = {
        "/": {"GET": index},
        "/track": {"GET": edge.pixel},  # no HEAD: it would count as a view
        "/v1/events": {"POST": edge.events, "OPTIONS": preflight},
    }

    async def handle(request: web.BaseRequest) -> web.Response:
        methods = calls.get(request.path)
        if methods is None:
            return _error(404, f"no such path; there are {', '.join(calls)}")
        handler = methods.get(request.method)
        if handler is None:
            return _error(405, f"{request.path} is for {', '.join(methods)}", {"Allow": ", ".join(methods)})
        return await handler(request)

    return handle


async def listen(
    handler: Handler, host: str, port: int, *, linger_s: float, shutdown_s: float
) -> tuple[web.ServerRunner, int]:
    """Start serving; answers the port taken and the runner, whose ``cleanup`` ends accepting and then waits up to
    ``shutdown_s`` for the requests that are being answered. ``linger_s``: how long the rest of a body is read and thrown
    away after an early answer, so that its sender gets to see the answer."""
    server = web.Server(handler, access_log=None, auto_decompress=False, lingering_time=linger_s, logger=_server_log())
    runner = web.ServerRunner(server, shutdown_timeout=shutdown_s)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024).start()
    return runner, runner.addresses[0][1]


def _server_log() -> logging.Logger:
    """aiohttp's own log without what is not even HTTP: anybody may send that, and the lines would quote it."""

    def is_ours(record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], HttpProcessingError))

    logger = logging.getLogger("beckon.tracker.http")
    logger.filters = [is_ours]
    return logger
