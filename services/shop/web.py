"""The sample shop over HTTP.

====================  ===============================================================================
``GET /config.json``  what its pages must know: ``{"tracker", "write_key", "inbox"}``
``GET /FILE``         a file that was in the folder at the start
``GET /ANYTHING``     ``index.html``: the pages tell themselves apart, by their address
====================  ===============================================================================
"""

from collections.abc import Awaitable, Callable
from pathlib import Path

import msgspec
from aiohttp import web
from aiohttp.typedefs import Middleware

from services.shop.settings import Settings

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def application(settings: Settings) -> web.Application:
    folder = Path(settings.shop_dir)
    files = {f"/{path.relative_to(folder).as_posix()}": path for path in folder.rglob("*") if path.is_file()}
    config = msgspec.json.encode(
        {"tracker": settings.tracker_public_url, "write_key": settings.public_key, "inbox": settings.inbox_url}
    )

    async def configuration(_: web.Request) -> web.Response:
        return web.Response(body=config, content_type="application/json")

    async def file(request: web.Request) -> web.FileResponse:
        found = files.get(request.path)
        if found is None and Path(request.path).suffix:
            raise web.HTTPNotFound
        return web.FileResponse(found or folder / "index.html")

    app = web.Application(middlewares=[_strict(settings.tracker_public_url)])
    app.add_routes([web.get("/config.json", configuration), web.get("/{path:.*}", file)])
    return app


def _strict(tracker: str) -> Middleware:
    """Nothing from elsewhere but the SDK, events to the tracker only, no guessing of types, no stale copy."""
    headers = {
        "Content-Security-Policy": f"default-src 'self'; script-src 'self' {tracker}; connect-src 'self' {tracker};"
        " base-uri 'none'; object-src 'none'; form-action 'self'; frame-ancestors 'self'",
        "Cache-Control": "no-cache",
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "same-origin",
    }

    @web.middleware
    async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
        try:
            response = await handler(request)
        except web.HTTPException as error:
            error.headers.update(headers)
            raise
        response.headers.update(headers)
        return response

    return middleware
