"""What the pages of the one-machine run share: where their files are, and what a browser may do with them."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import msgspec
from aiohttp import web

PAGES = Path(__file__).parent / "pages"

_OURS = "http://127.0.0.1:*"
_POLICY = (
    f"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: {_OURS}; connect-src 'self' {_OURS};"
    f" frame-src 'self' {_OURS}; frame-ancestors 'self' {_OURS}; base-uri 'none'; form-action 'none'"
)
_SHUTDOWN_S = 1.0

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@web.middleware
async def strict(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Nothing from elsewhere, no guessing of types, no stale copy; an answer may bring a policy of its own."""
    try:
        response = await handler(request)
    except web.HTTPException as error:
        _add_headers(error)
        raise
    _add_headers(response)
    return response


def _add_headers(response: web.StreamResponse) -> None:
    response.headers.setdefault("Content-Security-Policy", _POLICY)
    response.headers.setdefault("Cache-Control", "no-cache")
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Referrer-Policy"] = "no-referrer"


def page(name: str) -> Handler:
    async def show(_: web.Request) -> web.StreamResponse:
        return web.FileResponse(PAGES / name)

    return show


def json_answer(value: Any) -> web.Response:
    return web.Response(body=msgspec.json.encode(value), content_type="application/json")


async def serve(app: web.Application, port: int) -> web.AppRunner:
    """Serve on 127.0.0.1. Raises ``OSError`` if the port is taken."""
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", port).start()
    except BaseException:
        await runner.cleanup()
        raise
    return runner
