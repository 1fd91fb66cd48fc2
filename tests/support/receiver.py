"""Endpoints that webhooks go to: they remember what they were sent, and answer as they are told."""

import asyncio
import ssl
from typing import Any, NamedTuple

import msgspec
from aiohttp import web
from standardwebhooks import Webhook

from shared.clock import Instant, SystemClock
from tests.support.ports import free_port

SECRET = "whsec_dGhlIHNlY3JldCBvZiB0aGVzZSB0ZXN0cywgaW4gYmFzZTY0"


class Received(NamedTuple):
    at: Instant
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def id(self) -> str:
        return self.headers["webhook-id"]

    @property
    def said(self) -> Any:
        return msgspec.json.decode(self.body)

    def verified(self, secret: str = SECRET) -> Any:
        """By the library of Standard Webhooks, which is no code of ours. Raises if the signature is wrong, or too old."""
        return Webhook(secret).verify(self.body, self.headers)


class Receiver:
    """Answers 204, but for the paths in ``replies``: each a list of (status, headers), the last of which stays. A path in ``held``
    is answered when its event is set."""

    def __init__(self, host: str = "127.0.0.1") -> None:
        self.host = host
        self.received: list[Received] = []
        self.replies: dict[str, list[tuple[int, dict[str, str]]]] = {}
        self.held: dict[str, asyncio.Event] = {}
        self.busy: dict[str, int] = {}
        self.most: dict[str, int] = {}
        """The most requests of a path at a time."""
        self.port = free_port()
        self._runner: web.AppRunner | None = None
        self._scheme = "http"

    async def start(self, tls: ssl.SSLContext | None = None) -> "Receiver":
        app = web.Application()
        app.router.add_route("*", "/{tail:.*}", self._take)
        self._scheme = "https" if tls else "http"
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0)
        await self._runner.setup()
        await web.TCPSite(self._runner, self.host, self.port, ssl_context=tls).start()
        return self

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    def url(self, path: str = "/hook", host: str = "") -> str:
        return f"{self._scheme}://{host or self.host}:{self.port}{path}"

    def at(self, path: str) -> list[Received]:
        return [received for received in self.received if received.path == path]

    async def _take(self, request: web.Request) -> web.Response:
        body = await request.read()
        path = request.path
        self.received.append(Received(SystemClock().now(), path, dict(request.headers), body))
        self.busy[path] = self.busy.get(path, 0) + 1
        self.most[path] = max(self.most.get(path, 0), self.busy[path])
        try:
            if held := self.held.get(path):
                await held.wait()
            script = self.replies.get(path) or [(204, {})]
            status, headers = script.pop(0) if len(script) > 1 else script[0]
            return web.Response(status=status, headers=headers)
        finally:
            self.busy[path] -= 1
