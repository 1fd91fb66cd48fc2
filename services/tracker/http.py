"""The HTTP shell: reads requests, hands them to the pure parts, waits until the events are stored, answers."""

import os
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import NamedTuple, Protocol

import msgspec
from aiohttp import web
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

CALLS = {"/": "GET", "/track": "GET", "/v1/events": "POST, OPTIONS"}


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


class Accepted(Struct):
    accepted: int
    rejected: list[Rejected]


class Refused(Struct, omit_defaults=True):
    error: str
    accepted: int = 0
    rejected: list[Rejected] = []


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

    async def pixel(self, request: web.Request) -> web.Response:
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

    async def events(self, request: web.Request) -> web.Response:
        """``POST /v1/events``: one event or an array of them."""
        try:
            key = _key(request)
            access = self._keys.access(key) if key else None
            items = read_body(await body.read(request, self._body_timeout_s))
            taken = await self._store_all(items, "api", access or self._keys.access(write_key(items)))
        except REFUSED as error:
            answer = _refuse("events", error)
            refused = Refused(str(error), rejected=error.rejected if isinstance(error, NoneValid) else [])
            return web.Response(body=_encode(refused), status=answer.status, headers={**answer.headers, **_JSON})
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


async def preflight(_: web.Request) -> web.Response:
    """Any page may post events: the keys are public and no cookie is read."""
    return web.Response(status=204, headers=_PREFLIGHT)


async def index(_: web.Request) -> web.Response:
    return web.Response(body=_encode({"service": "beckon tracker", "calls": CALLS}), headers=_JSON)


async def unknown(request: web.Request) -> web.Response:
    """No such path, or not with this method."""
    if methods := CALLS.get(request.path):
        refused = Refused(f"{request.path} is for {methods}")
        return web.Response(body=_encode(refused), status=405, headers={"Allow": methods, **_JSON})
    return web.Response(body=_encode(Refused(f"no such path; there are {', '.join(CALLS)}")), status=404, headers=_JSON)


def _key(request: web.Request) -> str | None:
    if authorization := request.headers.get("Authorization"):
        return key_in_authorization(authorization)
    return request.headers.get("X-Write-Key") or request.query.get("key")


def _refuse(call: str, error: Exception) -> Answer:
    """The row of the table, with the reason among its headers."""
    answer = ANSWERS[type(error)]
    _requests[call, answer.outcome].inc()
    reason = "".join(letter if " " <= letter <= "~" else "?" for letter in str(error))
    return answer._replace(headers={"Beckon-Error": reason, **_EXPOSED, **answer.headers})


def build_app(edge: Edge) -> web.Application:
    app = web.Application(client_max_size=body.MAX_BODY)
    app.router.add_get("/", index)
    app.router.add_get("/track", edge.pixel, allow_head=False)  # a HEAD must not count as a view
    app.router.add_post("/v1/events", edge.events)
    app.router.add_options("/v1/events", preflight)
    app.router.add_route("*", "/{path:.*}", unknown)
    return app


async def listen(app: web.Application, host: str, port: int, *, shutdown_s: float) -> tuple[web.AppRunner, int]:
    """Start serving; answers the port taken and the runner, whose ``cleanup`` ends accepting and then waits up to
    ``shutdown_s`` for the requests that are being answered."""
    runner = web.AppRunner(app, access_log=None, auto_decompress=False, shutdown_timeout=shutdown_s)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024).start()
    return runner, runner.addresses[0][1]
