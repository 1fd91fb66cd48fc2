"""The HTTP shell: which path is which call, and the server."""

import asyncio
import logging
import re
from http import HTTPStatus
from uuid import uuid4

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError

from services.tracker import assets, segment
from services.tracker.answers import PREFLIGHT, Prompt, error_answer
from services.tracker.assets import Handler
from services.tracker.edge import SETTINGS, Edge
from services.tracker.hooks import Hooks
from services.tracker.mails import Mails
from services.tracker.providers import PROVIDERS
from services.tracker.sdk import Sdk
from services.tracker.shops import SHOPS

log = structlog.get_logger()

HOLD_S = 0.5
"""How much later somebody who is too fast is answered."""
MOST_HELD = 1000
"""Answers that are held back at a time, at most."""
_REQUEST_ID = re.compile(r"[\w.:-]{1,64}", re.ASCII)


async def preflight(_: web.BaseRequest) -> web.Response:
    """Any page may post events: the keys are public and no cookie is read."""
    return web.Response(status=204, headers=PREFLIGHT)


def build_handler(edge: Edge, mails: Mails, hooks: Hooks, sdk: Sdk) -> Handler:
    """Every call of the tracker. A table, not aiohttp's router: that takes a fifth of the time of a bare request."""
    calls: dict[str, dict[str, Handler]] = {
        "/track": {"GET": edge.pixel},  # no HEAD: it would count as a view
        "/v1/events": {"POST": edge.events, "OPTIONS": preflight},
        **{path: {"POST": edge.call, "OPTIONS": preflight} for path in segment.PATHS},
        **{path: {"POST": edge.webhook} for path in SHOPS},
        **{path: {"POST": hooks.hook} for path in PROVIDERS},
        "/v1/import": {"POST": edge.past, "OPTIONS": preflight},  # Segment's as well
        **{path: {"GET": handler, "HEAD": handler} for path, handler in assets.handlers(sdk).items()},
    }
    settings: dict[str, Handler] = {"GET": edge.settings}
    links: dict[str, dict[str, Handler]] = {
        "/o/": {"GET": mails.open, "HEAD": mails.open},
        "/c/": {"GET": mails.click, "HEAD": mails.click},
        "/u/": {"GET": mails.preferences, "HEAD": mails.preferences, "POST": mails.preferences},
    }

    async def handle(request: web.BaseRequest) -> web.Response:
        methods = calls.get(request.path) or links.get(request.path[:3])
        if methods is None and request.path.startswith(SETTINGS[0]) and request.path.endswith(SETTINGS[1]):
            methods = settings
        if methods is None:
            return error_answer(404, "no such path; GET / lists the calls")
        handler = methods.get(request.method)
        if handler is None:
            return error_answer(405, f"{request.path} is for {', '.join(methods)}", {"Allow": ", ".join(methods)})
        return await handler(request)

    return identified(handle)


class Unhurried:
    """Whoever is too fast is answered late, or has the connection closed: a flood slows itself down, and takes no time from
    others. Without this, one that sends as fast as it is refused made others wait twenty times as long."""

    def __init__(self) -> None:
        self._held = 0

    async def hold(self, response: web.Response) -> None:
        if self._held >= MOST_HELD:
            response.force_close()
            return
        self._held += 1
        try:
            await asyncio.sleep(HOLD_S)
        finally:
            self._held -= 1


def identified(handle: Handler) -> Handler:
    """Each request that is refused or says who it is has its id in the answer and in the log, which has a line for each at
    level debug."""

    verbose = log.is_enabled_for(logging.DEBUG)  # asked once: it takes 2 us
    unhurried = Unhurried()

    async def answer(request: web.BaseRequest) -> web.Response:
        response = await handle(request)
        given = request.headers.get("X-Request-Id")
        if given is None and response.status < 400 and not verbose:
            return response
        if response.status == HTTPStatus.TOO_MANY_REQUESTS:
            await unhurried.hold(response)
        if isinstance(response, Prompt):
            response = response.whole()
        name = given if given and _REQUEST_ID.fullmatch(given) else uuid4().hex
        response.headers["X-Request-Id"] = name
        log.debug("request", request=name, method=request.method, path=_path(request), status=response.status)
        return response

    return answer


def _path(request: web.BaseRequest) -> str:
    """Whoever has the token of a mail's link can unsubscribe somebody: it stands in no log."""
    return request.path[:3] if request.path[:3] in ("/o/", "/c/", "/u/") else request.path


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
