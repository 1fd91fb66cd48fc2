"""Where a tracker is and how events get there, whatever happens on the way."""

import asyncio
import gzip
import json
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import aiohttp
import msgspec
from msgspec import Struct

from services.cli.connection import RUN_FILE
from services.cli.failure import Failure
from services.tracker.events import Rejected
from shared.clock import Lapse

TIMEOUT_S = 60.0
"""How long one answer is waited for."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 0.2, 10.0
"""Between two attempts, where the tracker does not say; each pause is twice the one before."""
MOST_ASKED_S = 300.0
"""A ``Retry-After`` that asks for more is not followed further."""

_AGAIN = frozenset({408, 429, 502, 503, 504})
_HOPELESS = (aiohttp.InvalidURL, aiohttp.ClientSSLError)
"""What no repetition puts right."""


class Target(NamedTuple):
    """Each may be empty."""

    tracker: str
    write_key: str
    secret_key: str
    lapse: Lapse


class Answer(Struct):
    """What the tracker says of a request."""

    accepted: int = 0
    rejected: list[Rejected] = []
    error: str = ""


_decode = msgspec.json.Decoder(Answer).decode


def find_target(tracker: str, write_key: str, secret_key: str, time_lapse: str) -> Target:
    """What is not told is that of what ``make up`` keeps running in this folder; its keys are for its own tracker."""
    try:
        run: dict[str, Any] = json.loads(RUN_FILE.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        run = {}
    tracker = tracker or run.get("tracker", "")
    if tracker != run.get("tracker"):
        run = {}
    told = time_lapse or run.get("time_lapse", "")
    try:
        lapse = Lapse.parse(told) if told else Lapse()
    except ValueError as error:
        raise Failure(f"--time-lapse: {error}", code=2) from None
    keys = write_key or run.get("write_key", ""), secret_key or run.get("secret_key", "")
    return Target(tracker.rstrip("/"), *keys, lapse)


def session() -> aiohttp.ClientSession:
    return aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=TIMEOUT_S))


async def post(
    http: aiohttp.ClientSession,
    url: str,
    key: str,
    events: bytes,
    *,
    patience_s: float,
    waiting: Callable[[str], None] = lambda reason: None,
) -> Answer:
    """``events``: a JSON array. A tracker that is away, or busy, is asked again, which the events' ids make harmless.

    ``waiting`` is told why before each pause. Raises ``Failure`` after ``patience_s``, and at once if the request will
    never be taken.
    """
    data = gzip.compress(events, 1)
    headers = {"X-Write-Key": key, "Content-Type": "application/json", "Content-Encoding": "gzip"}
    give_up = time.monotonic() + patience_s
    pause_s = FIRST_PAUSE_S
    while True:
        asked_s = 0.0
        try:
            async with http.post(url, data=data, headers=headers, allow_redirects=False) as told:
                answer = _read(await told.read())
                if told.status == 202 or answer.rejected:
                    return answer
                reason = f"the tracker answers {told.status} {answer.error}".rstrip()
                if told.status not in _AGAIN:
                    raise Failure(f"{url}: {reason}")
                asked_s = _seconds(told.headers.get("Retry-After", ""))
        except _HOPELESS as error:
            raise Failure(f"{url}: {error}", code=2) from None
        except (aiohttp.ClientError, TimeoutError) as error:
            reason = str(error) or type(error).__name__
        wait_s = asked_s or pause_s
        if time.monotonic() + wait_s > give_up:
            raise Failure(f"{url} does not take events: {reason}")
        waiting(reason)
        await asyncio.sleep(wait_s)
        pause_s = min(2 * pause_s, LONGEST_PAUSE_S)


def _read(body: bytes) -> Answer:
    """What is no answer of a tracker's, like a proxy's page, says nothing."""
    try:
        return _decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return Answer()


def _seconds(text: str) -> float:
    return min(float(text), MOST_ASKED_S) if text.isdecimal() else 0.0
