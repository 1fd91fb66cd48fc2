"""Durations as people write them in rules: ``45s``, ``30m``, ``24h``, ``14d``, ``2h30m``."""

import re

from shared.clock import DAY, HOUR, MINUTE, SECOND, Duration

LONGEST = 3650 * DAY
"""Ten years. Anything longer is a slip of the keyboard, and instants stay within what PostgreSQL can keep."""

PATTERN = r"^(?=\d)([0-9]{1,9}d)?([0-9]{1,9}h)?([0-9]{1,9}m)?([0-9]{1,9}s)?$"
"""For a JSON Schema."""

_PARTS = re.compile(r"(?=\d)(?:(\d{1,9})d)?(?:(\d{1,9})h)?(?:(\d{1,9})m)?(?:(\d{1,9})s)?", re.ASCII)
_UNITS = (DAY, HOUR, MINUTE, SECOND)
_NUMBER_FIRST = re.compile(r"([1-9]\d{0,3})[^\d.,]*", re.ASCII)


def parse_duration(value: object) -> Duration:
    """Raises ``ValueError`` with what is wrong and what to try instead."""
    match = _PARTS.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{value!r} is not a duration, try {_suggestion(value)}")
    duration = sum(int(count) * unit for count, unit in zip(match.groups(), _UNITS, strict=True) if count)
    if duration > LONGEST:
        raise ValueError(f"{value!r} is longer than {LONGEST // DAY}d")
    return duration


def words(duration: Duration) -> str:
    """About how long, as people say it: ``12 min``, ``2 h 30 min``, ``13 d 4 h``."""
    seconds = max(0, duration) // SECOND
    parts = []
    for unit, name in ((86_400, "d"), (3_600, "h"), (60, "min"), (1, "s")):
        count, seconds = divmod(seconds, unit)
        if count:
            parts.append(f"{count} {name}")
    return " ".join(parts[:2]) or "no time"


def _suggestion(value: object) -> str:
    match = _NUMBER_FIRST.fullmatch(str(value))
    return f"{match.group(1)}m" if match else "30m"
