"""PostgreSQL's clock, as seen from here.

Leases and due times are judged by one clock, the database's. Between two observations the machine's monotonic clock carries
it on; it never goes backwards.
"""

import time
from collections.abc import Callable

import structlog

from shared import metrics
from shared.clock import MILLISECOND, Clock, Duration, Instant, Lapse, SystemClock

log = structlog.get_logger()

ALARM: Duration = 250 * MILLISECOND


def _monotonic() -> Duration:
    return time.monotonic_ns() // 1000


class DatabaseClock:
    """``now`` is told in the time of ``lapse``; all the rest is real."""

    def __init__(
        self,
        lapse: Lapse = Lapse(),  # noqa: B008 - frozen
        machine: Clock | None = None,
        monotonic: Callable[[], Duration] = _monotonic,
    ) -> None:
        self._lapse = lapse
        self._machine = machine or SystemClock()
        self._monotonic = monotonic
        self._offset = self._machine.now() - monotonic()
        self._last: Instant = 0
        self._alarmed = False

    def monotonic(self) -> Duration:
        return self._monotonic()

    def now(self) -> Instant:
        self._last = max(self._last, self._lapse.instant(self._monotonic() + self._offset))
        return self._last

    def observe(self, database: Instant, asked: Duration, answered: Duration) -> None:
        """The database said ``database`` to a question between two readings of ``monotonic``. The truth lies within half
        the round trip, so an answer that took long only corrects what it surely can (as NTP bounds its offset)."""
        offset = database - (asked + answered) // 2
        slack = (answered - asked) // 2
        difference = offset - self._offset
        if abs(difference) > slack:
            self._offset += difference - slack if difference > 0 else difference + slack
        apart = (self._monotonic() + self._offset) - self._machine.now()
        metrics.CLOCK_OFFSET_S.set(apart / 1e6)
        alarm = abs(apart) > ALARM
        if alarm and not self._alarmed:
            log.error("clocks_apart", offset_ms=apart // MILLISECOND)
        self._alarmed = alarm
