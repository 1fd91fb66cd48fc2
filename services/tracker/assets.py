"""What is served as it is: the browser SDK, under its one name for minutes, under the name of its content for ever; and the
description of the calls."""

from collections.abc import Awaitable, Callable, Mapping

import msgspec
from aiohttp import web

from services.tracker import openapi, reference
from services.tracker.answers import CORS, JSON
from services.tracker.sdk import Sdk

FRESH_S = 300
"""For how long a browser may keep what it got as ``/sdk.js``."""

_FRESH_JSON = {**JSON, "Cache-Control": f"public, max-age={FRESH_S}"}
_PAGE = {
    "Content-Type": "text/html; charset=utf-8",
    "Cache-Control": f"public, max-age={FRESH_S}",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'",
    "X-Content-Type-Options": "nosniff",
}

Handler = Callable[[web.BaseRequest], Awaitable[web.Response]]


def handlers(sdk: Sdk) -> dict[str, Handler]:
    """By path, for GET and HEAD."""
    named = f"/sdk-{sdk.digest}.js"
    description = msgspec.json.encode({"src": named, "integrity": sdk.integrity})

    async def fresh(request: web.BaseRequest) -> web.Response:
        return _script(request, sdk, f"public, max-age={FRESH_S}, stale-while-revalidate=86400")

    async def lasting(request: web.BaseRequest) -> web.Response:
        return _script(request, sdk, "public, max-age=31536000, immutable")

    return {"/sdk.js": fresh, named: lasting, "/sdk.json": _answering(description, _FRESH_JSON), **_described()}


def _described() -> dict[str, Handler]:
    described = openapi.describe()
    calls = [f"{method.upper()} {path}" for path, methods in described["paths"].items() for method in methods]
    index = {"service": "beckon tracker", "docs": "/docs", "calls": calls}
    return {
        "/": _answering(msgspec.json.encode(index), JSON),
        "/openapi.json": _answering(msgspec.json.encode(described), _FRESH_JSON),
        "/docs": _answering(reference.page(described), _PAGE),
    }


def _answering(content: bytes, headers: Mapping[str, str]) -> Handler:
    async def answer(_: web.BaseRequest) -> web.Response:
        return web.Response(body=content, headers=headers)

    return answer


def _script(request: web.BaseRequest, sdk: Sdk, cached: str) -> web.Response:
    headers = {
        **CORS,
        "Content-Type": "text/javascript; charset=utf-8",
        "Cache-Control": cached,
        "ETag": f'"{sdk.digest}"',
        "Vary": "Accept-Encoding",
        "Cross-Origin-Resource-Policy": "cross-origin",
        "X-Content-Type-Options": "nosniff",
    }
    if sdk.digest in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", "").lower():
        return web.Response(body=sdk.compressed, headers={**headers, "Content-Encoding": "gzip"})
    return web.Response(body=sdk.script, headers=headers)
