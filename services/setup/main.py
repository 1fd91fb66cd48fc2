"""Makes what the services need and may not make themselves: roles, schemas, streams. Runs once, before or beside them.

Idempotent: run it again after each update, and to change a password, a size or the number of replicas.
Exit codes: 0 everything is there, 1 a server did not come up in time, 2 cannot be done as configured.
"""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import NoReturn
from urllib.parse import urlsplit

import asyncpg
import nats
import nats.errors
import structlog

from services.setup import database
from services.setup.settings import Settings
from shared import db, logs, streams
from shared.bus import describe
from shared.errors import StartError, Unavailable
from shared.settings import SettingsError, load

log = structlog.get_logger()

_WORTH_REPEATING = (*db.AWAY, asyncpg.UniqueViolationError, nats.errors.Error)
_REFUSALS = ("authorization violation", "permissions violation")


def main() -> None:
    try:
        settings = load(Settings)
    except SettingsError as error:
        _leave(2, *error.lines)
    logs.configure("setup", settings.log_level)
    try:
        asyncio.run(set_up(settings))
    except StartError as error:
        _leave(2, str(error))
    except Unavailable as error:
        _leave(1, str(error))


async def set_up(settings: Settings) -> None:
    """Raises ``StartError`` if it cannot be done as configured, ``Unavailable`` if a server did not come up in time."""
    deadline = asyncio.get_running_loop().time() + settings.setup_timeout_s
    await _until(deadline, "PostgreSQL", lambda: database.prepare(settings.database_url, settings.passwords))
    await _until(deadline, "NATS", lambda: _declare_streams(settings))
    log.info("setup_done")


async def _declare_streams(settings: Settings) -> None:
    servers = [server.strip() for server in settings.nats_url.split(",")]
    refusals: list[str] = []

    async def on_error(error: Exception) -> None:
        if any(sign in str(error).lower() for sign in _REFUSALS):
            refusals.append(str(error))

    try:
        if not all(urlsplit(server).hostname for server in servers):
            raise ValueError("expected nats://user:password@host:port")
        # One attempt at a server, so that what it says comes up; a request without permission is not answered at all.
        nc = await nats.connect(
            servers, name="beckon-setup", max_reconnect_attempts=1, reconnect_time_wait=0.1, error_cb=on_error
        )
        try:
            outcomes = await streams.declare(
                nc.jetstream(timeout=5),
                partitions=settings.partitions,
                replicas=settings.stream_replicas,
                sizes=settings.sizes,
            )
        finally:
            await nc.close()
    except nats.errors.Error:
        if refusals:
            raise StartError(f"NATS_URL: {refusals[0]}; the setup needs the user that may declare streams") from None
        raise
    except ValueError as error:
        raise StartError(f"NATS_URL: {error}") from None
    for name, outcome in outcomes.items():
        log.info("stream_prepared", stream=name, outcome=outcome)


async def _until(deadline: float, server: str, attempt: Callable[[], Awaitable[None]]) -> None:
    delay_s = 0.1
    while True:
        try:
            return await attempt()
        except _WORTH_REPEATING as error:
            if asyncio.get_running_loop().time() + delay_s > deadline:
                raise Unavailable(f"{server} did not come up in time; last: {error or type(error).__name__}") from None
            log.warning("setup_waits", server=server, retry_in_s=delay_s, **describe(error))
        await asyncio.sleep(delay_s)
        delay_s = min(delay_s * 2, 2.0)


def _leave(code: int, *lines: str) -> NoReturn:
    for line in lines:
        print(f"beckon setup: {line}", file=sys.stderr)  # noqa: T201 - logs may not be configured yet
    sys.exit(code)
