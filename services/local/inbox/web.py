"""The inbox's page and its API.

=============================  ======================================================================================
``GET /``                      the page
``GET /api/mails``             ``{"total", "mails": [summary…]}``, the latest first; ``?after=ID``, ``?limit=`` (200)
``GET /api/mails/ID``          ``{"summary", "headers", "html", "text"}``
``GET /mails/ID/html``         the HTML part alone, for a frame: no scripts, an origin of its own
``GET /mails/ID/source``       the mail as it came over SMTP
``GET /pictures/NAME``         the sample shop's products
=============================  ======================================================================================
"""

from pathlib import Path

from aiohttp import web
from msgspec import Struct

from services.local.inbox.mailbox import Mail, Mailbox, Summary
from services.local.web import PAGES, json_answer, page, strict

_MAX_LIMIT = 10_000
_ID = r"{id:\d{1,9}}"
_MAIL_POLICY = (
    "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline';"
    " img-src http: https: data:; form-action 'none'"
)


class Listed(Struct, frozen=True):
    total: int
    mails: list[Summary]


def application(mailbox: Mailbox, pictures: Path) -> web.Application:
    """The application over ``mailbox``; ``pictures`` is a folder."""

    async def mails(request: web.Request) -> web.Response:
        after, limit = _number(request, "after", 0), _number(request, "limit", 200)
        return json_answer(Listed(len(mailbox), mailbox.latest(after, min(limit, _MAX_LIMIT))))

    async def mail(request: web.Request) -> web.Response:
        return json_answer(_found(mailbox, request))

    async def html(request: web.Request) -> web.Response:
        found = _found(mailbox, request)
        if found.html is None:
            raise web.HTTPNotFound(text="This mail has no HTML part.")
        # Links open beside the frame, where the page they lead to has room.
        text = found.html.replace("<head>", '<head><base target="_blank">', 1)
        return web.Response(text=text, content_type="text/html", headers={"Content-Security-Policy": _MAIL_POLICY})

    async def source(request: web.Request) -> web.Response:
        content = mailbox.source(_found(mailbox, request).summary.id)
        return web.Response(body=content, content_type="text/plain", charset="utf-8")

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    app = web.Application(middlewares=[strict])
    app.add_routes(
        [
            web.get("/", page("inbox.html")),
            web.get("/api/mails", mails),
            web.get(f"/api/mails/{_ID}", mail),
            web.get(f"/mails/{_ID}/html", html),
            web.get(f"/mails/{_ID}/source", source),
            web.get("/healthz", ready),
            web.get("/readyz", ready),
            web.static("/pictures", pictures),
            web.static("/pages", PAGES),
        ]
    )
    return app


def _found(mailbox: Mailbox, request: web.Request) -> Mail:
    found = mailbox.read(int(request.match_info["id"]))
    if found is None:
        raise web.HTTPNotFound(text=f"There is no mail {request.match_info['id']}.")
    return found


def _number(request: web.Request, name: str, otherwise: int) -> int:
    text = request.query.get(name, str(otherwise))
    if not (text.isascii() and text.isdigit()):
        raise web.HTTPBadRequest(text=f"{name}: {text!r} is not a whole number.")
    return int(text)
