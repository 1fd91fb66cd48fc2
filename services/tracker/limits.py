"""How fast events may come: of a key, from an address, about a person. Pure.

The generic cell rate algorithm (ITU-T I.371, annex A), counted in events: each moves a theoretical arrival time on by one
interval, and may be ahead of the clock by as much as the burst takes.
"""

from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from shared.clock import SECOND, Duration, Instant

MOST_NAMES = 100_000
"""Names remembered; beyond it those that rest are forgotten first."""


class Rate(NamedTuple):
    """Events in a second in the long run, and how many may come at once. ``per_s`` 0: any number."""

    per_s: float
    burst: int


class TooFast(Exception):
    """Too many events came. ``retry_s``: after how long the same will be taken."""

    def __init__(self, what: str, rate: Rate, wait: Duration) -> None:
        self.retry_s = max(1, -(-wait // SECOND))
        super().__init__(
            f"too many events {what}: {rate.per_s:g} in a second, and {rate.burst} at once, are taken;"
            f" try again in {self.retry_s} s"
        )


def parse_rate(text: str) -> Rate:
    """``PER_SECOND:BURST``, or 0 for no limit. Raises ``ValueError``."""
    if text == "0":
        return Rate(0, 0)
    per_s, _, burst = text.partition(":")
    try:
        rate = Rate(float(per_s), int(burst))
    except ValueError:
        rate = Rate(-1, 0)
    if not 0 < rate.per_s <= 1_000_000 or rate.burst < 1:
        raise ValueError(f"{text!r} is not PER_SECOND:BURST, like 100:1000, nor 0 for no limit")
    return rate


class Meter:
    """One limit on any number of names."""

    def __init__(self, what: str, rate: Rate) -> None:
        self._what = what
        self.rate = rate
        self._interval = SECOND / rate.per_s if rate.per_s else 0.0
        self._tolerance = self._interval * rate.burst
        self._arrivals: dict[str, float] = {}

    def check(self, name: str, count: int, now: Instant) -> None:
        """Whether ``count`` more events are taken; counts nothing. Raises ``TooFast``."""
        if not self._interval:
            return
        ahead = self._after(name, count, now) - now - self._tolerance
        if ahead > 0:
            raise TooFast(self._what, self.rate, round(ahead))

    def count(self, name: str, count: int, now: Instant) -> int:
        """Answers how many more would be taken at once. Raises ``TooFast``, and counts nothing then."""
        if not self._interval:
            return 0
        arrival = self._after(name, count, now)
        left = self._tolerance - (arrival - now)
        if left < 0:
            raise TooFast(self._what, self.rate, round(-left))
        self._arrivals[name] = arrival
        if len(self._arrivals) > MOST_NAMES:
            self._forget(now)
        return int(left / self._interval)

    def _after(self, name: str, count: int, now: Instant) -> float:
        """More than a burst can never be there at once; a request that large pays for a burst."""
        return max(self._arrivals.get(name, 0.0), now) + min(count, self.rate.burst) * self._interval

    def _forget(self, now: Instant) -> None:
        self._arrivals = {name: arrival for name, arrival in self._arrivals.items() if arrival > now}
        for name in list(self._arrivals)[: max(0, len(self._arrivals) - MOST_NAMES // 2)]:
            del self._arrivals[name]


class Limits(NamedTuple):
    """``address`` and ``person`` hold for what comes with public keys only."""

    key: Meter
    address: Meter
    person: Meter

    def take(self, key: str, address: str | None, people: Iterable[str], count: int, now: Instant) -> int:
        """Count a request of ``count`` events, or none of it; answers how many more the key may send at once. ``address``
        none: it is not to be limited, and ``people`` neither. Raises ``TooFast``."""
        if address is not None:
            self.key.check(key, count, now)
            limited = [(self.address, address, count)]
            limited += [(self.person, person, times) for person, times in Counter(people).items()]
            for meter, name, times in limited:
                meter.check(name, times, now)
            for meter, name, times in limited:
                meter.count(name, times, now)
        return self.key.count(key, count, now)


def limits(key: Rate, address: Rate, person: Rate) -> Limits:
    return Limits(Meter("with this key", key), Meter("from this address", address), Meter("about this person", person))
