"""The sample shop's process: listen on both ports, end on a signal."""

import asyncio
import sys

import structlog
from aiohttp import web

from services.shop.settings import Settings
from services.shop.web import application
from shared import logs, signals
from shared.health import Readiness, serve_health
from shared.settings import SettingsError, load

log = structlog.get_logger()

_SHUTDOWN_S = 1.0


def main() -> None:
    """Exit codes: 0 stopped, 2 cannot run as configured."""
    try:
        settings = load(Settings)
    except SettingsError as error:
        for line in error.lines:
            print(f"beckon shop: {line}", file=sys.stderr)  # noqa: T201 - logs are not configured yet
        sys.exit(2)
    logs.configure("shop", settings.log_level)
    asyncio.run(run(settings))


async def run(settings: Settings) -> None:
    stopping = signals.heed(asyncio.Event())
    readiness = Readiness()
    health, health_port = await serve_health(readiness, settings.health_host, settings.health_port)
    pages = web.AppRunner(application(settings), access_log=None, shutdown_timeout=_SHUTDOWN_S)
    await pages.setup()
    await web.TCPSite(pages, settings.http_host, settings.http_port).start()
    readiness.started()
    log.info("shop_started", http_port=pages.addresses[0][1], health_port=health_port)
    await stopping.wait()
    readiness.stopping()
    await pages.cleanup()
    await health.cleanup()
    log.info("shop_stopped")
