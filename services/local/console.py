"""The start page: every address, the way into the sample shop, how the processes are, the inbox."""

from aiohttp import web
from msgspec import Struct

from services.local.child import Report
from services.local.system import System
from services.local.web import PAGES, json_answer, page, strict


class Status(Struct, frozen=True):
    """What the page shows. Passwords and the secret key are not part of it; they stand in ``run.json``."""

    tracker: str
    inbox: str
    shop: str
    smtp: str
    nats: str
    database: str
    write_key: str
    folder: str
    processes: list[Report]


def application(system: System) -> web.Application:
    async def status(_: web.Request) -> web.Response:
        return json_answer(_status(system))

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({"status": "ready"})

    app = web.Application(middlewares=[strict])
    app.add_routes(
        [
            web.get("/", page("start.html")),
            web.get("/api/status", status),
            web.get("/healthz", ready),
            web.get("/readyz", ready),
            web.static("/pages", PAGES),
        ]
    )
    return app


def _status(system: System) -> Status:
    return Status(
        tracker=system.doors.tracker,
        inbox=system.doors.inbox,
        shop=system.doors.shop,
        smtp=_without_login(system.doors.smtp),
        nats=_without_login(system.servers.nats("setup")),
        database=_without_login(system.servers.database("")),
        write_key=system.keys.write_key,
        folder=str(system.home),
        processes=system.reports(),
    )


def _without_login(address: str) -> str:
    scheme, separator, rest = address.partition("://")
    return scheme + separator + rest.rpartition("@")[2]
