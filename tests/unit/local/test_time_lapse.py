"""In which time an installation runs: as it was asked, and for ever as it began."""

import pytest

from services.local.plan import time_lapse
from shared.clock import SECOND

NOW = 1_769_850_000 * SECOND + 123_456  # 2026-01-31T09:00:00.123456Z
KEPT = "2026-01-01T00:00:00Z@600"


def test_without_being_asked_time_runs_as_it_does() -> None:
    assert time_lapse("", "", NOW) == ""


def test_a_speed_alone_begins_now_to_the_second() -> None:
    assert time_lapse("600", "", NOW) == "2026-01-31T09:00:00Z@600"


def test_a_whole_one_begins_when_it_says() -> None:
    assert time_lapse(KEPT, "", NOW) == KEPT
    assert time_lapse("2026-01-01T01:00:00+01:00@600", "", NOW) == KEPT


@pytest.mark.parametrize("asked", ["", "600", KEPT])
def test_an_installation_goes_on_as_it_began(asked: str) -> None:
    assert time_lapse(asked, KEPT, NOW) == KEPT


@pytest.mark.parametrize("asked", ["0600", "2026-01-01T01:00:00+01:00@600", "2026-01-01T00:00:00.000Z@600"])
def test_what_it_began_with_may_be_asked_for_again_however_it_was_written(asked: str) -> None:
    assert time_lapse(asked, time_lapse(asked, "", NOW), NOW + SECOND) == time_lapse(asked, "", NOW)


@pytest.mark.parametrize("asked", ["60", "6000", "2026-01-31T09:00:00Z@600", "2026-01-01T00:00:00Z@60", "soon"])
def test_another_one_needs_another_home(asked: str) -> None:
    with pytest.raises(ValueError) as caught:
        time_lapse(asked, KEPT, NOW)
    assert str(caught.value) == (f"TIME_LAPSE: this installation runs as {KEPT}; take another BECKON_HOME for {asked}")


@pytest.mark.parametrize(
    ("asked", "why"),
    [
        ("0", "a speed of 0 is not from 1 to 100000"),
        ("100001", "a speed of 100001 is not from 1 to 100000"),
        ("fast", "'fast' is not like 2026-01-31T09:00:00Z@600"),
        ("1.5", "'1.5' is not like 2026-01-31T09:00:00Z@600"),
        ("-5", "'-5' is not like 2026-01-31T09:00:00Z@600"),
        ("600x", "'600x' is not like 2026-01-31T09:00:00Z@600"),
        ("2026-01-31T09:00:00@600", "'2026-01-31T09:00:00@600' is not like 2026-01-31T09:00:00Z@600"),
    ],
)
def test_what_is_no_lapse_is_refused(asked: str, why: str) -> None:
    with pytest.raises(ValueError) as caught:
        time_lapse(asked, "", NOW)
    assert str(caught.value) == why
