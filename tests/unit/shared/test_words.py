"""Durations as people say them."""

import pytest

from shared.clock import DAY, HOUR, MILLISECOND, MINUTE, SECOND
from shared.durations import LONGEST, words


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (SECOND, "1 s"),
        (59 * SECOND, "59 s"),
        (MINUTE, "1 min"),
        (12 * MINUTE, "12 min"),
        (12 * MINUTE + 5 * SECOND, "12 min 5 s"),
        (HOUR, "1 h"),
        (2 * HOUR + 30 * MINUTE, "2 h 30 min"),
        (23 * HOUR + 59 * MINUTE, "23 h 59 min"),
        (DAY, "1 d"),
        (13 * DAY + 4 * HOUR, "13 d 4 h"),
        (LONGEST, "3650 d"),
    ],
)
def test_about_how_long(duration: int, said: str) -> None:
    assert words(duration) == said


@pytest.mark.parametrize(
    ("duration", "said"),
    [
        (13 * DAY + 4 * HOUR + 59 * MINUTE + 59 * SECOND, "13 d 4 h"),
        (HOUR + MINUTE + SECOND, "1 h 1 min"),
        (MINUTE + SECOND + 999 * MILLISECOND, "1 min 1 s"),
    ],
)
def test_two_units_are_enough(duration: int, said: str) -> None:
    assert words(duration) == said


def test_a_unit_of_which_there_is_none_is_left_out() -> None:
    assert words(DAY + MINUTE) == "1 d 1 min"
    assert words(HOUR + SECOND) == "1 h 1 s"


@pytest.mark.parametrize("duration", [0, SECOND - 1, -1, -5 * DAY])
def test_what_is_over_or_less_than_a_second_is_no_time(duration: int) -> None:
    assert words(duration) == "no time"
