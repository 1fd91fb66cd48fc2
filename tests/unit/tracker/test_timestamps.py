"""When an event happened, in every form a sender may write it."""

import pytest

from services.tracker.flaws import Flaw
from services.tracker.timestamps import MAX_AGE, MAX_AHEAD, parse_timestamp
from shared.clock import HOUR, MILLISECOND, SECOND, rfc3339

NOW = 1_769_850_000_000_000  # 2026-01-31T09:00:00Z


@pytest.mark.parametrize(
    ("value", "at"),
    [
        ("2026-01-31T09:00:00Z", NOW),
        ("2026-01-31t09:00:00z", NOW),
        ("2026-01-31 09:00:00Z", NOW),
        ("2026-01-31T09:00:00.25Z", NOW + 250 * MILLISECOND),
        ("2026-01-31T09:00:00.000001Z", NOW + 1),
        ("2026-01-31T10:00:00+01:00", NOW),
        ("2026-01-31T03:30:00-05:30", NOW),
        (1_769_850_000, NOW),
        (1_769_850_000_000, NOW),
        (1_769_850_000_001, NOW + MILLISECOND),
        (1_769_850_000.5, NOW + 500 * MILLISECOND),
        (1_769_850_000_000.5, NOW + 500),
        ("1769850000", NOW),
        ("1769850000000", NOW),
        ("1769850000.5", NOW + 500 * MILLISECOND),
    ],
)
def test_forms(value: str | float, at: int) -> None:
    assert parse_timestamp(value, NOW) == at


@pytest.mark.parametrize("at", [NOW + MAX_AHEAD, NOW - MAX_AGE, NOW, NOW - HOUR])
def test_both_bounds_are_included(at: int) -> None:
    assert parse_timestamp(rfc3339(at), NOW) == at


@pytest.mark.parametrize(
    ("value", "why"),
    [
        (rfc3339(NOW + MAX_AHEAD + 1), "more than 5 minutes in the future"),
        (rfc3339(NOW - MAX_AGE - 1), "more than 30 days ago"),
        ((NOW + MAX_AHEAD) // SECOND + 1, "more than 5 minutes in the future"),
        ((NOW - MAX_AGE) // MILLISECOND - 1, "more than 30 days ago"),
        (99_999_999_999, "more than 5 minutes in the future"),  # seconds, the year 5138
        (100_000_000_000, "more than 30 days ago"),  # milliseconds, 1973
        (NOW, "too great"),  # microseconds
        (10**400, "too great"),
        (1e300, "too great"),
        (-(10**30), "too great"),
        (0, "more than 30 days ago"),
        (-5, "more than 30 days ago"),
        ("9" * 20, "too great"),
        ("2026-01-31T09:00:00", "neither RFC 3339 with a zone"),
        ("2026-01-31", "neither"),
        ("2026-02-30T09:00:00Z", "neither"),
        ("2026-W05-6T09:00:00Z", "neither"),
        ("9" * 21, "neither"),
        ("-1769850000", "neither"),
        ("1e9", "neither"),
        ("nan", "neither"),
        ("", "neither"),
        ("0001-01-01T00:00:00+23:59", "more than 30 days ago"),
        ("9999-12-31T23:59:59-23:59", "more than 5 minutes in the future"),
        ("\u0661769850000", "neither"),  # an Arabic-Indic digit one
    ],
)
def test_anything_else_is_refused_with_the_reason(value: str | float, why: str) -> None:
    with pytest.raises(Flaw) as flaw:
        parse_timestamp(value, NOW)
    assert flaw.value.reason.startswith("timestamp: ")
    assert why in flaw.value.reason
    assert flaw.value.reason.isascii()
