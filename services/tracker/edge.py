"""The calls by which events come: each is read, handed to the pure parts, and answered once its events are stored."""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from time import perf_counter
from types import MappingProxyType
from typing import NamedTuple, Protocol

import structlog
from aiohttp import web

from services.tracker import body, segment
from services.tracker.answers import (
    EVENTS_ACCEPTED,
    EVENTS_REJECTED,
    GIF,
    JSON,
    PIXEL,
    REFUSED,
    REQUESTS,
    TAKEN_S,
    Accepted,
    CallsAccepted,
    CallsRefused,
    NoneValid,
    Prompt,
    WebhookTaken,
    encode,
    error_answer,
    refuse,
    rejected,
)
from services.tracker.events import EventIn, Origin, Read, Taken, read_body, read_query, take
from services.tracker.flaws import Flaw
from services.tracker.guard import Guard
from services.tracker.keys import NOBODY, Access, Forbidden, Key, key_in_authorization
from services.tracker.shops import SHOPS, Shop
from shared.clock import Clock
from shared.messages import Event
from shared.outcomes import IMPORTED

log = structlog.get_logger()

OBSERVED = 8
"""Of so many requests one is timed; to time each would take 1 us of the 60 of an event."""
SETTINGS = ("/v1/projects/", "/settings")
"""What stands before and after the key where Segment's browser library asks for its settings."""


class Store(Protocol):
    async def publish(self, events: Sequence[Event]) -> None: ...


class Received(NamedTuple):
    """``key``: the one that stands beside the body, if one does. ``began``: when the request came, as ``perf_counter`` says."""

    key: Key | None
    body: bytes
    began: float


class Edge:
    """The calls of the tracker. ``body_timeout_s``: how long a sender may take over its body. ``public_url``: where sites
    reach it, if that is not what their requests say. ``shop_secrets``: of each shop that sends webhooks, by its name."""

    def __init__(
        self,
        store: Store,
        guard: Guard,
        clock: Clock,
        *,
        pixel_key_required: bool,
        body_timeout_s: float,
        public_url: str = "",
        shop_secrets: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        self._store = store
        self._guard = guard
        self._clock = clock
        self._pixel_key_required = pixel_key_required
        self._body_timeout_s = body_timeout_s
        self._public_url = public_url
        self._shop_secrets = shop_secrets
        self._requests = 0

    async def pixel(self, request: web.BaseRequest) -> web.Response:
        """``GET /track``: one event in the query. The answer is an image whatever happens."""
        try:
            told = _key(request)
            key = self._admit(request, told) if told or self._pixel_key_required else NOBODY
            _, headers = await self._store_all(request, "pixel", key, [read_query(request.query.items())])
        except REFUSED as error:
            answer = refuse("pixel", error)
            return web.Response(body=PIXEL, status=answer.status, headers={**answer.headers, **GIF})
        REQUESTS["pixel", "accepted"].inc()
        return Prompt(200, {**headers, **GIF}, PIXEL)

    def events(self, request: web.BaseRequest) -> Awaitable[web.Response]:
        """``POST /v1/events``: one event or an array of them."""
        return self._events(request, "events", "api")

    async def past(self, request: web.BaseRequest) -> web.Response:
        """``POST /v1/import``: the same, of any age, with a secret key. Segment's library for Ruby posts its batches to this
        path; they are calls like any."""
        try:
            received = await self._receive(request, any_type=True)
        except REFUSED as error:
            return _events_refused("import", error)
        if segment.is_batch(received.body):
            return await self.call(request, received)
        return await self._events(request, "import", IMPORTED, received)

    async def _events(
        self, request: web.BaseRequest, call: str, source: str, received: Received | None = None
    ) -> web.Response:
        try:
            taken, headers = await self._post(request, source, read_body, received or await self._receive(request))
        except REFUSED as error:
            return _events_refused(call, error)
        REQUESTS[call, "accepted"].inc()
        accepted = Accepted(len(taken.events), taken.rejected)
        return Prompt(202, {**headers, **JSON}, encode(accepted))

    async def call(self, request: web.BaseRequest, received: Received | None = None) -> web.Response:
        """``POST /v1/track``, ``/v1/batch`` and the others of Segment's tracking API."""
        read = partial(segment.read_calls, segment.PATHS[request.path])
        try:
            received = received or await self._receive(request, any_type=True)
            taken, headers = await self._post(request, "segment", read, received)
        except REFUSED as error:
            answer = refuse("segment", error)
            refused = CallsRefused(answer.outcome, str(error), rejected(error))
            return web.Response(body=encode(refused), status=answer.status, headers={**answer.headers, **JSON})
        REQUESTS["segment", "accepted"].inc()
        accepted = CallsAccepted(len(taken.events), taken.rejected)
        return Prompt(200, {**headers, **JSON}, encode(accepted))

    async def webhook(self, request: web.BaseRequest) -> web.Response:
        """``POST /v1/shops/shopify`` and ``/v1/shops/woocommerce``. What cannot be an event is answered 200 as well: a shop
        sends again whatever is answered otherwise, and in the end sends nothing any more."""
        shop = SHOPS[request.path]
        secrets = self._shop_secrets.get(shop.name)
        if not secrets:
            error = f"{shop.setting} is not set: no webhooks of {shop.name} are taken"
            return error_answer(404, error, {"Beckon-Error": error})
        try:
            taken, headers = await self._webhook(request, shop, secrets)
        except REFUSED as error:
            answer = refuse(shop.name, error)
            return error_answer(answer.status, str(error), answer.headers)
        REQUESTS[shop.name, "accepted"].inc()
        return web.Response(body=encode(taken), headers={**headers, **JSON})

    async def settings(self, request: web.BaseRequest) -> web.Response:
        """``GET /v1/projects/KEY/settings``: where Segment's browser library, given this server as its ``cdnURL``, learns
        that this server is where it sends to, and that there is nothing else to load."""
        key = request.path.removeprefix(SETTINGS[0]).removesuffix(SETTINGS[1])
        try:
            self._admit(request, key)
        except REFUSED as error:
            answer = refuse("settings", error)
            return error_answer(answer.status, str(error), answer.headers)
        REQUESTS["settings", "accepted"].inc()
        protocol, _, host = (self._public_url or f"{request.scheme}://{request.host}").partition("://")
        here = {"apiKey": key, "apiHost": f"{host}/v1", "protocol": protocol}
        told = {"integrations": {"Segment.io": here}, "plan": {}, "metrics": {"sampleRate": 0}, "remotePlugins": []}
        return web.Response(body=encode(told), headers={**JSON, "Cache-Control": "no-store"})

    async def _webhook(
        self, request: web.BaseRequest, shop: Shop, secrets: Sequence[str]
    ) -> tuple[WebhookTaken, Mapping[str, str]]:
        data = await body.read(request, self._body_timeout_s, any_type=shop.ping is not None)  # which is a form
        if shop.is_ping(data):
            return WebhookTaken(0, [], "a ping says nothing"), {}
        told = shop.read(data, request.headers, secrets)
        if not told.items:
            return WebhookTaken(0, [], told.note), {}
        try:
            taken, headers = await self._store_all(request, shop.name, shop.key, told.items)
        except NoneValid as error:
            return WebhookTaken(0, error.rejected), {}
        return WebhookTaken(len(taken.events), taken.rejected), headers

    def _admit(self, request: web.BaseRequest, told: str | None) -> Key:
        return self._guard.admit(told, request.headers.get("Origin"), self._clock.now())

    async def _receive(self, request: web.BaseRequest, *, any_type: bool = False) -> Received:
        """A key that stands beside the body is looked at before the body is."""
        began = perf_counter()
        told = _key(request)
        key = self._admit(request, told) if told else None
        return Received(key, await body.read(request, self._body_timeout_s, any_type=any_type), began)

    async def _post(
        self, request: web.BaseRequest, source: str, read: Callable[[bytes], Read], received: Received
    ) -> tuple[Taken, Mapping[str, str]]:
        """``read`` makes events of the body."""
        found = read(received.body)
        key = received.key or self._admit(request, found.write_key)
        return await self._store_all(request, source, key, found.items, received.began)

    async def _store_all(
        self,
        request: web.BaseRequest,
        source: str,
        key: Key,
        items: Sequence[EventIn | Flaw],
        began: float | None = None,
    ) -> tuple[Taken, Mapping[str, str]]:
        """What was stored, and the headers that tell what is left of the limits."""
        now = self._clock.now()
        public = key.access is not Access.SECRET
        if public and source == IMPORTED:
            raise Forbidden("what is past is taken with a secret key only")
        origin = Origin(source, not public, request.headers.get("User-Agent") if public else None)
        taken = take(items, origin, now, os.urandom, self._guard.gate(key, now))
        sender = request.remote, request.headers.get("X-Forwarded-For")
        headers = self._guard.count(key, sender, [event.person for event in taken.events], len(items), now)
        if taken.rejected:
            # Client libraries do not look at what an answer says of single events: here somebody may.
            EVENTS_REJECTED.inc(len(taken.rejected))
            log.debug("events_rejected", call=source, count=len(taken.rejected), first=taken.rejected[0].error)
        if not taken.events:
            raise NoneValid(taken.rejected)
        self._requests += 1
        if began is not None and self._requests % OBSERVED == 1:
            TAKEN_S.observe(perf_counter() - began)
        await self._store.publish(taken.events)
        EVENTS_ACCEPTED.inc(len(taken.events))
        return taken, headers


def _events_refused(call: str, error: Exception) -> web.Response:
    answer = refuse(call, error)
    return error_answer(answer.status, str(error), answer.headers, rejected(error))


def _key(request: web.BaseRequest) -> str | None:
    if authorization := request.headers.get("Authorization"):
        return key_in_authorization(authorization)
    return request.headers.get("X-Write-Key") or request.query.get("key")
