"""Instants and the clocks that give them.

An ``Instant`` is an ``int``: microseconds since 1970-01-01T00:00:00Z. Integers make every boundary of a window exact, are
ordered and hashed at C speed, and need no time zone. They become ``datetime`` only where people or PostgreSQL read them.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import Protocol

Instant = int
"""Microseconds since the epoch, UTC."""

Duration = int
"""Microseconds."""

MILLISECOND: Duration = 1_000
SECOND: Duration = 1_000_000
MINUTE: Duration = 60 * SECOND
HOUR: Duration = 60 * MINUTE
DAY: Duration = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Clock(Protocol):
    def now(self) -> Instant: ...


class SystemClock:
    """The machine's clock. The only place, with ``DatabaseClock``, that reads the time of day."""

    def now(self) -> Instant:
        return time.time_ns() // 1_000


def to_datetime(instant: Instant) -> datetime:
    return _EPOCH + timedelta(microseconds=instant)


def from_datetime(moment: datetime) -> Instant:
    """Exact to the microsecond; ``moment`` must be aware."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def rfc3339(instant: Instant) -> str:
    """``2026-01-31T09:00:00Z``; fractions only where there are any (RFC 3339 section 5.6)."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")
