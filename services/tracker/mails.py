"""The links in mails: opened, clicked, unsubscribed."""

import asyncio
from collections.abc import Sequence
from typing import Protocol

import structlog
from aiohttp import web
from yarl import URL

from services.tracker import body, engagement, preferences
from services.tracker.answers import GIF, PIXEL, REFUSED, REQUESTS, refuse
from services.tracker.edge import Store
from services.tracker.preferences import Page
from shared import metrics, subjects
from shared.bus import describe
from shared.clock import Clock, Duration
from shared.consents import Consents, GetConsents
from shared.errors import RequestRefused, Unavailable
from shared.links import BadToken, Kind, Link, Links
from shared.messages import Event

log = structlog.get_logger()

PATIENCE_S = 0.25
"""A person who clicks is not kept waiting for longer; the event is stored in the background then."""
TRIES_S = (1.0, 2.0, 4.0, 8.0, 16.0, 32.0)
"""Pauses between tries to store an event in the background. After that it is lost, and counted."""
MOST_WAITING = 10_000
ASKING_S = 1.0

_FRESH = {"Cache-Control": "no-store", "X-Robots-Tag": "noindex"}
_PAGE = {
    **_FRESH,
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}
_GONE = "The link is not complete, or too old. If you copied it from a mail, copy all of it."


class Asking(Protocol):
    async def request(
        self, subject: str, message: GetConsents, reply: type[Consents], *, timeout_s: float
    ) -> Consents: ...


class Mails:
    """``human_after``: whoever opens or clicks sooner after the mail was written is taken for a machine."""

    def __init__(
        self,
        store: Store,
        bus: Asking,
        links: Links,
        clock: Clock,
        *,
        human_after: Duration,
        site: str,
        timeout_s: float,
        tries_s: Sequence[float] = TRIES_S,
    ) -> None:
        self._store = store
        self._bus = bus
        self._links = links
        self._clock = clock
        self._human_after = human_after
        self._site = site
        self._timeout_s = timeout_s
        self._tries_s = tries_s
        self._waiting: set[asyncio.Task[None]] = set()

    async def open(self, request: web.BaseRequest) -> web.Response:
        """``GET /o/TOKEN.gif``. The answer is an image whatever happens."""
        try:
            link = self._read(Kind.OPEN, request)
        except BadToken as error:
            answer = refuse("open", error)
            return web.Response(body=PIXEL, status=answer.status, headers={**answer.headers, **GIF})
        await self._tell(engagement.opened(link, self._clock.now(), self._machine(request, link)), link, "open")
        return web.Response(body=PIXEL, headers=GIF)

    async def click(self, request: web.BaseRequest) -> web.Response:
        """``GET /c/TOKEN``: to where the mail says, and nowhere else."""
        try:
            link = self._read(Kind.CLICK, request)
        except BadToken as error:
            return self._refusal("click", error)
        await self._tell(engagement.clicked(link, self._clock.now(), self._machine(request, link)), link, "click")
        return web.Response(status=302, headers={**_FRESH, "Location": str(URL(link.url))})

    async def preferences(self, request: web.BaseRequest) -> web.Response:
        """``/u/TOKEN``: ``GET`` shows what the person gets, ``POST`` changes it (RFC 8058, or the page's form)."""
        try:
            link = self._read(Kind.UNSUBSCRIBE, request)
            shown = await (self._change(request, link) if request.method == "POST" else self._show(link))
        except REFUSED as error:
            return self._refusal("unsubscribe", error)
        REQUESTS["unsubscribe", "accepted"].inc()
        return web.Response(body=preferences.page(shown), headers=_PAGE)

    async def _show(self, link: Link) -> Page:
        consents = await self._consents(link)
        return Page(self._site, _with_own(consents, link), known=consents is not None)

    async def _change(self, request: web.BaseRequest, link: Link) -> Page:
        """The answer comes once the choice is stored."""
        data = await body.read(request, self._timeout_s, any_type=True)
        choices = preferences.read_form(data, request.headers.get("Content-Type", ""))
        before = await self._consents(link)
        shown = _with_own(before, link)
        if link.trial:
            return Page(self._site, shown, "This is a trial mail: nothing was changed.")
        choices = preferences.among(choices, shown)
        now = self._clock.now()
        changes = preferences.changes(choices, before)
        await self._store.publish(
            [engagement.chosen(link, now, wanted=wanted, category=category) for category, wanted in changes]
        )
        return Page(self._site, preferences.after(choices, shown), preferences.spoken(choices))

    def _read(self, kind: Kind, request: web.BaseRequest) -> Link:
        token = request.path[3:]
        return self._links.read(kind, token.removesuffix(".gif") if kind is Kind.OPEN else token)

    def _machine(self, request: web.BaseRequest, link: Link) -> str | None:
        return engagement.machine(request.method, request.headers, self._clock.now() - link.sent, self._human_after)

    async def _tell(self, event: Event, link: Link, call: str) -> None:
        """Have it stored, and wait a moment for that."""
        REQUESTS[call, "accepted"].inc()
        metrics.MAIL_LINKS.labels(event.name).inc()
        if link.trial:
            return
        if len(self._waiting) >= MOST_WAITING:
            self._lost(event, "too many are waiting")
            return
        task = asyncio.create_task(self._keep(event), name=f"store {event.name}")
        self._waiting.add(task)
        task.add_done_callback(self._waiting.discard)
        await asyncio.wait({task}, timeout=PATIENCE_S)

    async def _keep(self, event: Event) -> None:
        for pause_s in (*self._tries_s, None):
            try:
                await self._store.publish([event])
            except REFUSED as error:  # the bus is away, or too much is waiting
                if pause_s is None:
                    self._lost(event, str(error))
                    return
                await asyncio.sleep(pause_s)
            else:
                return

    def _lost(self, event: Event, error: str) -> None:
        metrics.MAIL_LINKS_LOST.inc()
        log.error("engagement_lost", what=event.name, trigger=event.properties["trigger_id"], error=error)

    async def stop(self) -> None:
        """What could not be stored by now is lost."""
        for task in self._waiting:
            task.cancel()
        if self._waiting:
            log.error("engagement_lost", count=len(self._waiting), error="the tracker is shutting down")
            metrics.MAIL_LINKS_LOST.inc(len(self._waiting))

    async def _consents(self, link: Link) -> Consents | None:
        """None if nobody can say just now."""
        try:
            return await self._bus.request(
                subjects.CONSENTS_GET, GetConsents(link.person), Consents, timeout_s=ASKING_S
            )
        except (Unavailable, RequestRefused) as error:
            log.warning("consents_unknown", **describe(error))
            return None

    @staticmethod
    def _refusal(call: str, error: Exception) -> web.Response:
        answer = refuse(call, error)
        reason = _GONE if isinstance(error, BadToken) else f"{error}. Please try again."
        return web.Response(body=preferences.refusal(reason), status=answer.status, headers={**answer.headers, **_PAGE})


def _with_own(consents: Consents | None, link: Link) -> Consents:
    """With the category of the mail that the person came from, which may be their first of it."""
    known = consents or Consents()
    return Consents(known.everything, {link.category: True, **known.categories})
