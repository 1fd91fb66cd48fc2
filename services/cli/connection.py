"""Asking the services."""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import nats.errors
import nats.js.errors
import structlog
from msgspec import Struct

from services.cli.failure import Failure
from shared.bus import Bus
from shared.errors import BusUnavailable, NoResponders, RequestRefused, RequestTimeout, StartError
from shared.settings import SettingsError, load

T = TypeVar("T")

CONNECT_S = 5.0
ANSWER_S = 5.0
RUN_FILE = Path(".beckon/run.json")


class Settings(Struct, frozen=True):
    """What the command reads from the environment."""

    nats_url: str
    """``nats://operator:password@host:port``"""


def run(work: Callable[[Bus], Awaitable[T]]) -> T:
    """Connect, do ``work``, close. Raises ``Failure``, and nothing else that a server can cause."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))

    async def connected() -> T:
        async with _bus() as bus:
            return await work(bus)

    return asyncio.run(connected())


def _url() -> str:
    """``NATS_URL``, else that of what ``make up`` keeps running in this folder."""
    try:
        return load(Settings).nats_url
    except SettingsError:
        try:
            return str(json.loads(RUN_FILE.read_text(encoding="utf-8"))["nats_operator"])
        except (OSError, ValueError, KeyError):
            raise Failure("NATS_URL is not set, expected nats://operator:password@host:port", code=2) from None


@asynccontextmanager
async def _bus() -> AsyncIterator[Bus]:
    url = _url()
    try:
        async with asyncio.timeout(CONNECT_S):
            bus = await Bus.connect(url, "operator", partitions=1)  # which nothing here publishes to
    except StartError as error:
        raise Failure(str(error), code=2) from None
    except (OSError, TimeoutError, nats.errors.Error):  # the client does not say which of its attempts failed why
        servers = ", ".join(server.rpartition("@")[2].rpartition("/")[2] for server in url.split(","))
        raise Failure(f"NATS at {servers} cannot be reached, or refuses the user and password of NATS_URL") from None
    try:
        yield bus
    except (nats.errors.Error, nats.js.errors.Error) as error:
        raise Failure(f"NATS: {error or type(error).__name__}") from None
    finally:
        await bus.close()


async def ask(
    bus: Bus, service: str, subject: str, request: Struct, reply: type[T], *, timeout_s: float = ANSWER_S
) -> T:
    """``service`` is its name to people. Raises ``Failure``."""
    try:
        return await bus.request(subject, request, reply, timeout_s=timeout_s)
    except NoResponders as error:
        hint = "it is not running" if str(error).startswith("nobody") else str(error)
        raise Failure(f"{service} does not answer: {hint}") from None
    except RequestTimeout:
        raise Failure(f"{service} does not answer within {timeout_s:g} s") from None
    except BusUnavailable as error:
        raise Failure(f"{service} cannot be asked: {error}") from None
    except RequestRefused as error:
        raise Failure(f"{service} says no: {error.reason}") from None
