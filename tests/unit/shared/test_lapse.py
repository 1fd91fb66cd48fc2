"""A time-lapse: what time it is in it, how it is written, and who may have one."""

import pytest

from shared.clock import DAY, HOUR, MAX_SPEED, MILLISECOND, MINUTE, SECOND, Lapse, SystemClock
from shared.settings import Common, SettingsError, load

NOON = 1_769_850_000 * SECOND  # 2026-01-31T09:00:00Z


# --- As it is written -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "lapse"),
    [
        ("2026-01-31T09:00:00Z@600", Lapse(NOON, 600)),
        ("2026-01-31T09:00:00.25Z@600", Lapse(NOON + 250 * MILLISECOND, 600)),
        ("2026-01-31T10:00:00+01:00@600", Lapse(NOON, 600)),
        ("2026-01-31T09:00:00Z@1", Lapse(NOON, 1)),
        (f"2026-01-31T09:00:00Z@{MAX_SPEED}", Lapse(NOON, MAX_SPEED)),
    ],
)
def test_a_start_and_a_speed(text: str, lapse: Lapse) -> None:
    assert Lapse.parse(text) == lapse


@pytest.mark.parametrize(
    "text",
    [
        "",
        "600",
        "@600",
        "2026-01-31T09:00:00Z",
        "2026-01-31T09:00:00Z@",
        "2026-01-31T09:00:00Z@fast",
        "2026-01-31T09:00:00Z@1.5",
        "2026-01-31T09:00:00@600",
        "2026-01-31@600",
        "yesterday@600",
        "2026-02-30T09:00:00Z@600",
        "2026-01-31T09:00:00Z@600@600",
    ],
)
def test_anything_else_is_none(text: str) -> None:
    with pytest.raises(ValueError) as caught:
        Lapse.parse(text)
    assert str(caught.value) == f"{text!r} is not like 2026-01-31T09:00:00Z@600"


@pytest.mark.parametrize("speed", [0, -600, MAX_SPEED + 1])
def test_a_speed_has_bounds(speed: int) -> None:
    with pytest.raises(ValueError) as caught:
        Lapse.parse(f"2026-01-31T09:00:00Z@{speed}")
    assert str(caught.value) == f"a speed of {speed} is not from 1 to 100000"


@pytest.mark.parametrize("lapse", [Lapse(NOON, 600), Lapse(NOON + 1, 7), Lapse(0, 1), Lapse(NOON, MAX_SPEED)])
def test_what_is_written_is_read_as_the_same(lapse: Lapse) -> None:
    assert Lapse.parse(str(lapse)) == lapse


def test_it_is_written_in_utc() -> None:
    assert str(Lapse.parse("2026-01-31T10:00:00+01:00@600")) == "2026-01-31T09:00:00Z@600"


# --- What time it is --------------------------------------------------------------------------------------------------


def test_since_its_start_time_runs_so_many_times_as_fast() -> None:
    lapse = Lapse(NOON, 600)
    assert lapse.instant(NOON) == NOON
    assert lapse.instant(NOON + SECOND) == NOON + 10 * MINUTE
    assert lapse.instant(NOON + 144 * SECOND) == NOON + DAY
    assert lapse.instant(NOON + 1) == NOON + 600


def test_before_its_start_nothing_is_different() -> None:
    lapse = Lapse(NOON, 600)
    assert [lapse.instant(real) for real in (NOON - HOUR, NOON - 1)] == [NOON - HOUR, NOON - 1]


@pytest.mark.parametrize("real", [0, NOON - 1, NOON, NOON + 1, NOON + DAY])
def test_without_a_lapse_nothing_is_ever_different(real: int) -> None:
    assert Lapse().instant(real) == real
    assert Lapse(NOON, 1).instant(real) == real


def test_time_never_goes_backwards_at_its_start() -> None:
    lapse = Lapse(NOON, MAX_SPEED)
    seen = [lapse.instant(NOON + offset) for offset in range(-3, 4)]
    assert seen == sorted(seen)
    assert len(set(seen)) == len(seen)


def test_a_duration_takes_so_many_times_less_outside() -> None:
    assert Lapse(NOON, 600).real(10 * MINUTE) == SECOND
    assert Lapse(NOON, 600).real(0) == 0
    assert Lapse().real(DAY) == DAY


def test_a_clock_in_a_lapse_is_ahead_of_the_machines() -> None:
    real, lapsed = SystemClock(), SystemClock(Lapse(SystemClock().now() - SECOND, 1000))
    before = real.now()
    seen = lapsed.now()
    assert seen - before >= 900 * SECOND


# --- The setting ------------------------------------------------------------------------------------------------------

GOOD = {"NATS_URL": "nats://127.0.0.1", "BECKON_ENV": "staging"}


def refused(environ: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load(Common, environ)
    return caught.value.lines


def test_without_the_setting_there_is_no_lapse() -> None:
    assert load(Common, {"NATS_URL": "nats://127.0.0.1"}).lapse == Lapse()
    assert load(Common, GOOD | {"TIME_LAPSE": ""}).lapse == Lapse()


def test_in_staging_there_may_be_one() -> None:
    assert load(Common, GOOD | {"TIME_LAPSE": "2026-01-31T09:00:00Z@600"}).lapse == Lapse(NOON, 600)


@pytest.mark.parametrize("environment", ["production", ""])
def test_in_production_there_is_none(environment: str) -> None:
    lines = refused(GOOD | {"BECKON_ENV": environment, "TIME_LAPSE": "2026-01-31T09:00:00Z@600"})
    assert lines == ["TIME_LAPSE is for BECKON_ENV=staging only: people are not mailed before their time"]


def test_a_speed_of_one_is_none_and_harms_nobody() -> None:
    settings = load(Common, {"NATS_URL": "nats://127.0.0.1", "TIME_LAPSE": "2026-01-31T09:00:00Z@1"})
    assert settings.lapse.instant(NOON + DAY) == NOON + DAY


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("600", "TIME_LAPSE: '600' is not like 2026-01-31T09:00:00Z@600"),
        ("2026-01-31T09:00:00@600", "TIME_LAPSE: '2026-01-31T09:00:00@600' is not like 2026-01-31T09:00:00Z@600"),
        ("2026-01-31T09:00:00Z@0", "TIME_LAPSE: a speed of 0 is not from 1 to 100000"),
        ("2026-01-31T09:00:00Z@100001", "TIME_LAPSE: a speed of 100001 is not from 1 to 100000"),
    ],
)
@pytest.mark.parametrize("environment", ["staging", "production"])
def test_what_is_no_lapse_is_named(text: str, line: str, environment: str) -> None:
    assert refused(GOOD | {"BECKON_ENV": environment, "TIME_LAPSE": text}) == [line]
