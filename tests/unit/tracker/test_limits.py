"""How fast events may come."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracker import limits as module
from services.tracker.limits import Meter, Rate, TooFast, limits, parse_rate
from shared.clock import MILLISECOND, MINUTE, SECOND

NOW = 1_769_850_000_000_000
TEN = Rate(10, 20)


def taken(meter: Meter, at: int, count: int = 1, name: str = "a") -> bool:
    try:
        meter.check(name, count, at)
    except TooFast:
        return False
    left = meter.count(name, count, at)
    assert 0 <= left <= meter.rate.burst
    return True


def test_what_is_refused_is_not_counted() -> None:
    meter = Meter("x", TEN)
    assert meter.count("a", 20, NOW) == 0
    with pytest.raises(TooFast):
        meter.count("a", 1, NOW)
    assert meter.count("a", 1, NOW + SECOND) == 9


def test_a_burst_then_the_rate() -> None:
    meter = Meter("x", TEN)
    assert [taken(meter, NOW) for _ in range(21)] == [True] * 20 + [False]
    assert not taken(meter, NOW + 99 * MILLISECOND)
    assert taken(meter, NOW + 100 * MILLISECOND)
    assert not taken(meter, NOW + 100 * MILLISECOND)
    assert [taken(meter, NOW + MINUTE) for _ in range(21)] == [True] * 20 + [False], (
        "never more than a burst is saved up"
    )


def test_names_do_not_share() -> None:
    meter = Meter("x", Rate(1, 1))
    assert taken(meter, NOW, name="a")
    assert taken(meter, NOW, name="b")
    assert not taken(meter, NOW, name="a")


def test_it_says_when_to_come_back() -> None:
    meter = Meter("with this key", TEN)
    assert taken(meter, NOW, 20)
    with pytest.raises(TooFast, match="too many events with this key: 10 in a second, and 20 at once") as refused:
        meter.check("a", 20, NOW)
    assert refused.value.retry_s == 2
    assert not taken(meter, NOW + 2 * SECOND - 1, 20)
    assert taken(meter, NOW + 2 * SECOND, 20)


def test_more_than_a_burst_at_once_pays_for_a_burst() -> None:
    meter = Meter("x", TEN)
    assert taken(meter, NOW, 500)
    assert not taken(meter, NOW)
    assert taken(meter, NOW + 100 * MILLISECOND)


def test_no_limit() -> None:
    meter = Meter("x", parse_rate("0"))
    assert all(taken(meter, NOW, 500) for _ in range(1000))


@given(st.lists(st.tuples(st.integers(0, 3 * SECOND), st.integers(1, 30)), max_size=60))
def test_never_more_than_the_burst_and_the_rate(requests: list[tuple[int, int]]) -> None:
    """In whatever stretch of time one looks at."""
    meter, at, done = Meter("x", TEN), NOW, []
    for pause, count in requests:
        at += pause
        if taken(meter, at, count):
            done.append((at, min(count, 20)))
    for first in range(len(done)):
        for last in range(first, len(done)):
            seconds = (done[last][0] - done[first][0]) / SECOND
            assert sum(count for _, count in done[first : last + 1]) <= 20 + 10 * seconds + 1e-6


def test_who_rests_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_NAMES", 100)
    meter = Meter("x", TEN)
    for number in range(150):
        assert taken(meter, NOW + number * SECOND, name=str(number))
    assert len(meter._arrivals) <= 100
    assert taken(meter, NOW + 150 * SECOND, 20, "busy")
    for number in range(300):
        assert taken(meter, NOW + 150 * SECOND, name=f"b{number}")
    assert len(meter._arrivals) <= 100


def test_a_request_that_is_refused_costs_nothing() -> None:
    several = limits(Rate(100, 100), Rate(100, 100), Rate(1, 2))
    several.take("key", "1.2.3.4", ["ada", "bob"], 2, NOW)
    with pytest.raises(TooFast, match="about this person"):
        several.take("key", "1.2.3.4", ["bob", "ada", "ada"], 3, NOW)
    assert several.take("key", "1.2.3.4", ["ada", "bob"], 2, NOW) == 96


def test_without_an_address_only_the_key_counts() -> None:
    several = limits(Rate(100, 100), Rate(1, 1), Rate(1, 1))
    for _ in range(10):
        several.take("key", None, ["ada"] * 10, 10, NOW)
    with pytest.raises(TooFast, match="with this key"):
        several.take("key", None, ["ada"], 1, NOW)


@pytest.mark.parametrize("text", ["", "1", "1:", ":1", "0:1", "-1:5", "x:5", "5:0", "5:x", "5:1.5", "nan:5", "inf:5"])
def test_what_is_no_rate(text: str) -> None:
    with pytest.raises(ValueError, match="is not PER_SECOND:BURST"):
        parse_rate(text)
