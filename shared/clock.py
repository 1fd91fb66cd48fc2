"""Instants and the clocks that give them.

An ``Instant`` is an ``int``: microseconds since 1970-01-01T00:00:00Z. Integers make every boundary of a window exact, are
ordered and hashed at C speed, and need no time zone. They become ``datetime`` only where people or PostgreSQL read them.
"""

import time
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, Protocol

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


MAX_SPEED = 100_000
"""Of a time-lapse. Beyond it a millisecond of the machine's is minutes."""


class Lapse(NamedTuple):
    """Time-lapse, for trying rules in a staging environment: since ``start`` time runs ``speed`` times as fast.

    Every service of an installation has the same one, so all agree on what time it is. At speed 1 nothing is different.
    """

    start: Instant = 0
    speed: int = 1

    @classmethod
    def parse(cls, text: str) -> "Lapse":
        """``2026-01-31T09:00:00Z@600``. Raises ``ValueError``."""
        try:
            start, _, speed = text.rpartition("@")
            lapse = cls(from_datetime(datetime.fromisoformat(start)), int(speed))
        except (ValueError, TypeError):
            raise ValueError(f"{text!r} is not like 2026-01-31T09:00:00Z@600") from None
        if not 1 <= lapse.speed <= MAX_SPEED:
            raise ValueError(f"a speed of {lapse.speed} is not from 1 to {MAX_SPEED}")
        return lapse

    def __str__(self) -> str:
        return f"{rfc3339(self.start)}@{self.speed}"

    def instant(self, real: Instant) -> Instant:
        """What time it is in the lapse when it is ``real`` outside."""
        return real if self.speed == 1 or real <= self.start else self.start + (real - self.start) * self.speed

    def real(self, duration: Duration) -> Duration:
        """How long ``duration`` takes outside."""
        return duration // self.speed


class SystemClock:
    """The machine's clock. The only place, with ``DatabaseClock``, that reads the time of day."""

    def __init__(self, lapse: Lapse = Lapse()) -> None:  # noqa: B008 - frozen
        self._lapse = lapse

    def now(self) -> Instant:
        return self._lapse.instant(time.time_ns() // 1_000)


def to_datetime(instant: Instant) -> datetime:
    return _EPOCH + timedelta(microseconds=instant)


def from_datetime(moment: datetime) -> Instant:
    """Exact to the microsecond; ``moment`` must be aware."""
    delta = moment - _EPOCH
    return (delta.days * 86_400 + delta.seconds) * SECOND + delta.microseconds


def rfc3339(instant: Instant) -> str:
    """``2026-01-31T09:00:00Z``; fractions only where there are any (RFC 3339 section 5.6)."""
    return to_datetime(instant).isoformat().replace("+00:00", "Z")
