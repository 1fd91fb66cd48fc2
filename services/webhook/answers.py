"""What an attempt came to, and when the next one is made."""

import hashlib
from collections.abc import Sequence
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Literal

from msgspec import Struct

from shared.clock import DAY, HOUR, SECOND, Duration, Instant, from_datetime

Verdict = Literal["taken", "refused", "gone", "troubled"]
"""Taken: 2xx. Gone: 410, the endpoint wants no more. Troubled: no answer, or one that says it cannot at the moment. Refused:
any other, and so an endpoint that is well. All but the first are tried again."""

LONGEST_WAIT: Duration = DAY
"""No ``Retry-After`` is believed beyond this."""
MARGIN: Duration = HOUR
_BUSY = frozenset({408, 425, 429})
_SHOWN = 300


class Answer(Struct, frozen=True):
    """``status`` 0: there was none, and ``error`` says why. ``retry_after``: so long the endpoint asks not to be called."""

    took: Duration
    status: int = 0
    error: str = ""
    retry_after: Duration = 0

    @property
    def verdict(self) -> Verdict:
        if 200 <= self.status < 300:
            return "taken"
        if self.status == 410:
            return "gone"
        return "troubled" if self.status < 100 or self.status >= 500 or self.status in _BUSY else "refused"

    @property
    def text(self) -> str:
        return self.error or f"HTTP {self.status}"


def due_again(webhook: str, attempts: int, now: Instant, delays: Sequence[Duration], answer: Answer) -> Instant | None:
    """When a webhook is tried again after so many attempts; none if that was the last.

    Each delay is made longer by up to a tenth; by how much follows from the id, so that those that failed together do not
    come back together.
    """
    if attempts > len(delays):
        return None
    digest = hashlib.blake2b(f"{webhook}\0{attempts}".encode(), digest_size=8).digest()
    delay = max(delays[attempts - 1], answer.retry_after)
    return now + delay + delay * int.from_bytes(digest) // (10 * 2**64)


def patience(delays: Sequence[Duration]) -> Duration:
    """How long after its first attempt a webhook may be tried: all the delays at their longest, and what it may have waited
    for its turn."""
    return sum(delays) * 6 // 5 + MARGIN


def retry_after(status: int, header: str | None, now: Instant) -> Duration:
    """What a 429 or a 503 says in ``Retry-After`` (RFC 9110 section 10.2.3): seconds, or a date. 0: nothing that can be read."""
    if status not in (429, 503) or not header:
        return 0
    if header.strip().isdecimal():
        return min(int(header) * SECOND, LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(header)
    except ValueError:
        return 0
    return max(0, min(from_datetime(moment.replace(tzinfo=moment.tzinfo or UTC)) - now, LONGEST_WAIT))


def printable(text: str) -> str:
    """One line of what a stranger, or a library, said: no control characters, not endless."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_SHOWN]
