"""When something happened, as senders write it: RFC 3339, or epoch seconds or milliseconds."""

import re
from datetime import datetime
from typing import Annotated

import msgspec

from services.tracker.flaws import Flaw, shown
from shared.clock import DAY, MILLISECOND, MINUTE, SECOND, Instant, from_datetime

Time = str | int | float | None

MAX_AHEAD = 5 * MINUTE
"""How far ahead of the tracker's clock a sender's may be."""
MAX_AGE = 30 * DAY

_MILLISECONDS_FROM = 100_000_000_000
"""Epoch seconds reach this in the year 5138, milliseconds had it in 1973: below it are seconds."""
_TOO_LATE = 100_000_000_000_000
"""Far beyond any time that is taken; greater numbers are not even multiplied."""

_NUMBER = re.compile(r"\d{1,20}(\.\d{1,9})?", re.ASCII)
_AWARE = Annotated[datetime, msgspec.Meta(tz=True)]


TOLERANCE = 5 * SECOND
"""A sender's clock that differs by no more is taken for right: what it differs by may as well be the way of the request."""


def parse_timestamp(value: str | float, now: Instant, sent_at: str | float | None = None) -> Instant:
    """``now`` - 30 days to ``now`` + 5 minutes, both included. Raises ``Flaw`` for anything else.

    ``sent_at``: what the sender's clock said when it sent this. Where that is not ``now``, the clock is wrong and the
    timestamp as well, by as much.
    """
    at = parse_instant("timestamp", value)
    if sent_at is not None:
        wrong_by = now - parse_instant("sent_at", sent_at)
        at += wrong_by if abs(wrong_by) > TOLERANCE else 0
    _check_ahead(at, value, now)
    if at < now - MAX_AGE:
        raise Flaw(f"timestamp: {shown(value)} is more than 30 days ago")
    return at


def parse_past(value: Time, now: Instant) -> Instant:
    """1970 to ``now`` + 5 minutes, for what is imported. Raises ``Flaw`` for anything else."""
    if value is None:
        raise Flaw("timestamp is missing: what is imported must say when it happened")
    at = parse_instant("timestamp", value)
    _check_ahead(at, value, now)
    if at < 0:
        raise Flaw(f"timestamp: {shown(value)} is before 1970")
    return at


def _check_ahead(at: Instant, value: Time, now: Instant) -> None:
    if at > now + MAX_AHEAD:
        raise Flaw(f"timestamp: {shown(value)} is more than 5 minutes in the future")


def parse_instant(field: str, value: str | float) -> Instant:
    """Any instant. Raises ``Flaw``, naming the field."""
    return _parse_text(field, value) if isinstance(value, str) else _from_epoch(field, value)


def _parse_text(field: str, text: str) -> Instant:
    if _NUMBER.fullmatch(text):
        return _from_epoch(field, float(text) if "." in text else int(text))
    try:
        return from_datetime(msgspec.convert(text, _AWARE))
    except msgspec.ValidationError:
        raise Flaw(
            f"{field}: {shown(text)} is neither RFC 3339 with a zone, like 2026-01-31T09:00:00Z, "
            "nor epoch seconds or milliseconds"
        ) from None


def _from_epoch(field: str, number: float) -> Instant:
    if abs(number) >= _TOO_LATE:
        raise Flaw(f"{field}: {shown(number)} is too great for epoch seconds or milliseconds")
    return round(number * (SECOND if abs(number) < _MILLISECONDS_FROM else MILLISECOND))
