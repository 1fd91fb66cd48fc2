"""Times of the day at which nothing is sent, and those at which something is, by the clock on a person's wall. Pure.

Everything is judged by what that clock shows. When it is put forward it jumps over what lies between, so quiet hours that
end in the gap end with the jump; when it is put back the same hour comes twice, and is quiet twice.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, time, timedelta
from functools import lru_cache
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from msgspec import Struct

from shared.clock import SECOND, Instant, from_datetime, to_datetime

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
EVERY_DAY = frozenset(range(7))
MINUTES = 24 * 60
AHEAD = 9
"""Days that are searched. Hours repeat each week, and a zone may leave out a day at most (Samoa, 30 December 2011)."""


class Zone(Struct, frozen=True):
    """Whose clock counts: the time zone named by ``attribute`` of the profile (a dotted path; none: nobody is asked), and
    ``default`` where there is none or no such zone."""

    attribute: str | None = "timezone"
    default: str = "UTC"


class Hours(Struct, frozen=True):
    """From minute ``start`` of a day, which counts, to minute ``end``, which does not; over midnight where ``end`` is not
    later. ``days``: on which they begin, 0 is Monday."""

    start: int
    end: int
    days: frozenset[int] = EVERY_DAY


class Day(NamedTuple):
    """What stands against sending in a zone: ``quiet`` hours, and if there are ``windows``, everything outside of them."""

    zone: str
    quiet: Sequence[Hours]
    windows: Sequence[Hours]


@lru_cache(maxsize=1024)
def load(name: str) -> ZoneInfo | None:
    """None if there is no such time zone, whatever ``name`` holds."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # not known; not a name at all; a folder of zones, like Europe
        return None


def zone_of(profile: Mapping[str, Any], attribute: str) -> str:
    """The time zone that an attribute names (a dotted path); empty where there is none, or no such zone."""
    value: Any = profile
    for part in attribute.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value if isinstance(value, str) and load(value) else ""


def is_quiet(day: Day, at: Instant) -> bool:
    shown = _shown(at, _loaded(day.zone))
    return any(_within(hours, shown) for hours in day.quiet)


def is_open(day: Day, at: Instant) -> bool:
    shown = _shown(at, _loaded(day.zone))
    if any(_within(hours, shown) for hours in day.quiet):
        return False
    return not day.windows or any(_within(hours, shown) for hours in day.windows)


def next_open(day: Day, at: Instant) -> Instant | None:
    """The earliest instant from ``at`` on that is open; none within ``AHEAD`` days."""
    if is_open(day, at):
        return at
    for days in (2, AHEAD):  # most often it is tomorrow at the latest, in a quarter of the time
        turns = {turn for turn in _turns(day, at, days) if turn > at}
        if (found := next((turn for turn in sorted(turns) if is_open(day, turn)), None)) is not None:
            return found
    return None


def _turns(day: Day, at: Instant, days: int) -> Iterator[Instant]:
    """Every instant, from today's to the last of so many ``days``, at which it may become open, or cease to be."""
    zone = _loaded(day.zone)
    marks = {minute % MINUTES for hours in (*day.quiet, *day.windows) for minute in (hours.start, hours.end)} | {0}
    today = _shown(at, zone).date()
    for date in (today + timedelta(days=ahead) for ahead in range(days)):
        for minute in marks:
            for fold in (0, 1):  # the same instant, but where the clock is put back
                shown = datetime.combine(date, time(minute // 60, minute % 60, fold=fold), zone)
                yield from_datetime(shown.astimezone(UTC))
    yield from _changes(zone, to_datetime(at), days - 1)


def _changes(zone: ZoneInfo, begin: datetime, days: int) -> Iterator[Instant]:
    """When the clock is put forward or back, to the second."""
    for day in range(days):
        before, after = begin + timedelta(days=day), begin + timedelta(days=day + 1)
        if _offset(before, zone) == _offset(after, zone):
            continue
        low, high = from_datetime(before) // SECOND, from_datetime(after) // SECOND + 1
        while high - low > 1:
            middle = (low + high) // 2
            changed = _offset(to_datetime(middle * SECOND), zone) != _offset(before, zone)
            low, high = (low, middle) if changed else (middle, high)
        yield high * SECOND


def _within(hours: Hours, shown: datetime) -> bool:
    minute, day = shown.hour * 60 + shown.minute, shown.weekday()
    if hours.start < hours.end:
        return day in hours.days and hours.start <= minute < hours.end
    return (minute >= hours.start and day in hours.days) or (minute < hours.end and (day - 1) % 7 in hours.days)


def _shown(at: Instant, zone: ZoneInfo) -> datetime:
    return to_datetime(at).astimezone(zone)


def _offset(moment: datetime, zone: ZoneInfo) -> timedelta | None:
    return moment.astimezone(zone).utcoffset()


def _loaded(name: str) -> ZoneInfo:
    zone = load(name)
    assert zone is not None, "a policy names zones that exist"
    return zone
