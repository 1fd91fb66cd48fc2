import pytest

from shared.clock import DAY, HOUR, MINUTE, SECOND
from shared.durations import parse_duration


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("45s", 45 * SECOND),
        ("30m", 30 * MINUTE),
        ("24h", 24 * HOUR),
        ("14d", 14 * DAY),
        ("2h30m", 2 * HOUR + 30 * MINUTE),
        ("1d2h3m4s", DAY + 2 * HOUR + 3 * MINUTE + 4 * SECOND),
        ("0s", 0),
        ("90m", 90 * MINUTE),
        ("3650d", 3650 * DAY),
    ],
)
def test_durations(written: str, meant: int) -> None:
    assert parse_duration(written) == meant


@pytest.mark.parametrize(
    ("written", "complaint"),
    [
        ("30x", "'30x' is not a duration, try 30m"),
        ("30", "'30' is not a duration, try 30m"),
        (45, "45 is not a duration, try 45m"),
        ("", "'' is not a duration, try 30m"),
        ("soon", "'soon' is not a duration, try 30m"),
        ("1.5h", "'1.5h' is not a duration, try 30m"),
        ("-5m", "'-5m' is not a duration, try 30m"),
        ("30m2h", "'30m2h' is not a duration, try 30m"),
        ("30M", "'30M' is not a duration, try 30m"),
        ("30 m", "'30 m' is not a duration, try 30m"),
        ("30m\n", "'30m\\n' is not a duration, try 30m"),
        ("٣m", "'٣m' is not a duration, try 30m"),
        (True, "True is not a duration, try 30m"),
        (None, "None is not a duration, try 30m"),
        (["30m"], "['30m'] is not a duration, try 30m"),
        ("3651d", "'3651d' is longer than 3650d"),
        ("999999999d", "'999999999d' is longer than 3650d"),
    ],
)
def test_what_is_not_a_duration(written: object, complaint: str) -> None:
    with pytest.raises(ValueError) as caught:
        parse_duration(written)
    assert str(caught.value) == complaint
