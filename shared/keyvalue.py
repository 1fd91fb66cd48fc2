"""One key of a NATS key-value bucket (ADR-8): read, written only if nobody else wrote meanwhile, followed.

nats-py's own buckets want permissions to look at streams and to make consumers; this wants three subjects.
"""

import asyncio
import base64
import contextlib
import json
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import nats.errors
import structlog
from nats.aio.msg import Msg

from shared.bus import Bus, describe
from shared.errors import BusUnavailable

log = structlog.get_logger()

TIMEOUT_S = 2.0
LOOK_EVERY_S = 5.0
"""Changes are heard. One that was not is found by looking."""

_WRONG_LAST_SEQUENCE = 10071
_NO_MESSAGE = 404


class Entry(NamedTuple):
    sequence: int
    data: bytes


async def read(bus: Bus, stream: str, subject: str) -> Entry | None:
    """What stands there, if anything. Raises ``BusUnavailable``."""
    told = await _ask(bus, f"$JS.API.STREAM.MSG.GET.{stream}", json.dumps({"last_by_subj": subject}).encode())
    if refusal := told.get("error"):
        if refusal.get("code") == _NO_MESSAGE:
            return None
        raise BusUnavailable(f"{stream}: {refusal.get('description')}")
    message = told["message"]
    return Entry(message["seq"], base64.b64decode(message.get("data", "")))


async def write(bus: Bus, subject: str, data: bytes, after: int) -> bool:
    """False if something newer than sequence ``after`` (0: anything) stands there. Raises ``BusUnavailable``."""
    told = await _ask(bus, subject, data, {"Nats-Expected-Last-Subject-Sequence": str(after)})
    if refusal := told.get("error"):
        if refusal.get("err_code") == _WRONG_LAST_SEQUENCE:
            return False
        raise BusUnavailable(f"{subject}: {refusal.get('description')}")
    return True


async def follow(bus: Bus, stream: str, subject: str, on_data: Callable[[bytes], Awaitable[None]]) -> None:
    """For ever: ``on_data`` is told what stands there, at once when it changes; the same maybe again."""
    look = asyncio.Event()

    async def on_change(msg: Msg) -> None:
        await on_data(msg.data)

    subscription = await bus.nc.subscribe(subject, cb=on_change)
    bus.on_reconnect(look.set)
    try:
        while True:
            try:
                if (entry := await read(bus, stream, subject)) is not None:
                    await on_data(entry.data)
            except BusUnavailable as error:
                log.warning("bucket_not_read", subject=subject, **describe(error))
            look.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LOOK_EVERY_S):
                    await look.wait()
    finally:
        with contextlib.suppress(nats.errors.Error):
            await subscription.unsubscribe()


async def _ask(bus: Bus, subject: str, data: bytes, headers: dict[str, str] | None = None) -> dict[str, Any]:
    try:
        answer = await bus.nc.request(subject, data, timeout=TIMEOUT_S, headers=headers)
    except nats.errors.Error as error:
        raise BusUnavailable(f"{subject}: {error or type(error).__name__}") from None
    told: dict[str, Any] = json.loads(answer.data)
    return told
