"""When it is quiet and when it opens, by the clock on somebody's wall: against stepping through time minute by minute."""

from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.throttle.hours import AHEAD, EVERY_DAY, Day, Hours, is_open, load, next_open, zone_of
from shared.clock import DAY, HOUR, MINUTE, SECOND, Instant, from_datetime

NIGHT = Hours(21 * 60, 8 * 60)
OFFICE = Hours(9 * 60, 18 * 60, frozenset(range(5)))


def at(text: str) -> Instant:
    return from_datetime(datetime.fromisoformat(text).replace(tzinfo=UTC))


@pytest.mark.parametrize(
    ("zone", "asked", "opens"),
    [
        ("UTC", "2026-01-10T20:59:59.999999", "2026-01-10T20:59:59.999999"),
        ("UTC", "2026-01-10T21:00", "2026-01-11T08:00"),
        ("UTC", "2026-01-11T07:59:59.999999", "2026-01-11T08:00"),
        ("UTC", "2026-01-11T08:00", "2026-01-11T08:00"),
        ("Asia/Kathmandu", "2026-01-10T16:00", "2026-01-11T02:15"),  # 5:45 ahead
        ("America/New_York", "2026-01-11T12:59", "2026-01-11T13:00"),
        # The night in which clocks are put forward is an hour shorter, the one in which they are put back an hour longer.
        ("Europe/Berlin", "2026-03-28T20:00", "2026-03-29T06:00"),
        ("Europe/Berlin", "2026-10-24T19:00", "2026-10-25T07:00"),
    ],
)
def test_quiet_hours_end_in_the_morning_of_the_person(zone: str, asked: str, opens: str) -> None:
    assert next_open(Day(zone, [NIGHT], []), at(asked)) == at(opens)


def test_quiet_hours_that_end_in_the_gap_end_with_the_jump() -> None:
    day = Day("Europe/Berlin", [Hours(22 * 60, 2 * 60 + 30)], [])
    assert next_open(day, at("2026-03-29T00:59:59")) == at("2026-03-29T01:00"), "02:00 became 03:00"


def test_an_hour_that_comes_twice_is_quiet_twice() -> None:
    day = Day("Europe/Berlin", [Hours(22 * 60, 2 * 60 + 30)], [])
    assert is_open(day, at("2026-10-25T00:30")), "02:30 the first time"
    assert not is_open(day, at("2026-10-25T01:00")), "02:00 again"
    assert next_open(day, at("2026-10-25T01:00")) == at("2026-10-25T01:30")


def test_windows_open_on_their_days_and_outside_the_quiet_hours() -> None:
    friday_evening, saturday = at("2026-01-09T18:00"), at("2026-01-10T10:00")
    assert next_open(Day("UTC", [], [OFFICE]), friday_evening) == at("2026-01-12T09:00")
    weekend = Hours(7 * 60, 22 * 60, frozenset({5, 6}))
    assert next_open(Day("UTC", [NIGHT], [OFFICE, weekend]), friday_evening) == at("2026-01-10T08:00")
    assert next_open(Day("UTC", [NIGHT], [OFFICE, weekend]), saturday) == saturday


def test_a_window_over_midnight_is_that_of_the_day_on_which_it_begins() -> None:
    friday_night = Day("UTC", [], [Hours(22 * 60, 2 * 60, frozenset({4}))])
    assert is_open(friday_night, at("2026-01-10T01:59"))
    assert not is_open(friday_night, at("2026-01-09T01:59"))


def test_what_never_opens_is_told_as_such() -> None:
    assert next_open(Day("UTC", [NIGHT], [Hours(22 * 60, 23 * 60)]), at("2026-01-10T12:00")) is None


ZONES = [
    *("UTC", "Europe/Berlin", "Europe/Dublin", "America/New_York", "America/St_Johns", "America/Sao_Paulo"),
    *("Asia/Tehran", "Asia/Kathmandu", "Africa/Casablanca", "Australia/Lord_Howe", "Antarctica/Troll", "Pacific/Apia"),
]
TURNS = [
    *("2026-03-29T01:00", "2026-10-25T01:00", "2026-03-08T07:00", "2026-11-01T06:00", "2018-11-04T03:00"),
    *("2026-04-04T15:00", "2026-10-03T15:30", "2021-09-21T19:30", "2026-02-15T02:00", "2011-12-30T10:00"),
]
"""About when clocks are put forward or back in one of them, and when Samoa left out a day."""


@st.composite
def hours(draw: st.DrawFn, *, every_day: bool) -> Hours:
    start, end = draw(st.integers(0, 1439)), draw(st.integers(0, 1440))
    days = EVERY_DAY if every_day else frozenset(draw(st.sets(st.integers(0, 6), min_size=1)))
    return Hours(start, end if end != start else (end + 1) % 1440, days)


@settings(max_examples=150, deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    turn=st.sampled_from(TURNS),
    before=st.integers(-6 * HOUR, 2 * DAY),
    quiet=st.lists(hours(every_day=True), max_size=1),
    windows=st.lists(hours(every_day=False), max_size=2),
)
def test_the_next_opening_is_the_first_that_stepping_minute_by_minute_finds(
    zone: str, turn: str, before: int, quiet: list[Hours], windows: list[Hours]
) -> None:
    day, asked = Day(zone, quiet, windows), at(turn) - before
    assert next_open(day, asked) == _stepped(day, asked)


def _stepped(day: Day, asked: Instant) -> Instant | None:
    if is_open(day, asked):
        return asked
    first = asked // MINUTE * MINUTE + MINUTE
    return next((step for step in range(first, first + (AHEAD - 1) * DAY, MINUTE) if is_open(day, step)), None)


@settings(max_examples=200, deadline=None)
@given(zone=st.sampled_from(ZONES), moment=st.integers(1_300_000_000, 1_800_000_000), night=hours(every_day=True))
def test_it_is_quiet_when_the_wall_shows_a_time_between(zone: str, moment: int, night: Hours) -> None:
    shown = datetime.fromtimestamp(moment, load(zone))
    minute = shown.hour * 60 + shown.minute
    within = {*range(night.start, night.end)} or {*range(night.start, 1440), *range(night.end)}
    assert is_open(Day(zone, [night], []), moment * SECOND) == (minute not in within)


@pytest.mark.parametrize(
    ("profile", "zone"),
    [
        ({"timezone": "Europe/Berlin"}, "Europe/Berlin"),
        ({"timezone": {"name": "Europe/Berlin"}}, ""),
        ({}, ""),
        *(
            ({"timezone": bad}, "")
            for bad in ("", "Europe", "europe/berlin ", "../../etc/passwd", "/etc/localtime", "\0")
        ),
        *(({"timezone": bad}, "") for bad in (7, None, ["UTC"], "x" * 10_000, "Z\udcff", "🕰")),
    ],
)
def test_a_zone_that_is_none_is_nobodys(profile: dict[str, object], zone: str) -> None:
    assert zone_of(profile, "timezone") == zone
    assert zone_of({"home": profile}, "home.timezone") == zone
