"""What may stand in properties, at each bound and one beyond it."""

from typing import Any

import pytest

from services.tracker.flaws import Flaw
from services.tracker.values import MAX_DEPTH, MAX_INTEGER, MAX_KEYS, MIN_INTEGER, check_values


def flaw(properties: dict[str, Any], context: dict[str, Any] | None = None) -> str | None:
    try:
        check_values(("properties", properties), ("context", context or {}))
    except Flaw as found:
        return found.reason
    return None


def nested(levels: int, *, arrays: bool = False) -> dict[str, Any]:
    inner: Any = "end"
    for _ in range(levels - 1):
        inner = [inner] if arrays else {"a": inner}
    return {"a": inner}


@pytest.mark.parametrize("arrays", [False, True])
def test_ten_levels_are_enough(arrays: bool) -> None:
    assert flaw(nested(MAX_DEPTH, arrays=arrays)) is None
    found = flaw(nested(MAX_DEPTH + 1, arrays=arrays))
    assert found is not None
    assert found.startswith("properties.a")
    assert found.endswith("nested too deep, at most 10 levels")


def test_255_keys_are_counted_at_every_level_and_over_both() -> None:
    flat = {f"k{number}": 1 for number in range(MAX_KEYS)}
    assert flaw(flat) is None
    assert flaw({}, flat) is None
    assert flaw({**flat, "one more": 1}) == "properties and context have 256 keys, at most 255"
    assert flaw(flat, {"one more": 1}) == "properties and context have 256 keys, at most 255"
    deep = {"list": [{"a": 1, "b": 2} for _ in range(127)]}
    assert flaw(deep) is None
    assert flaw({"list": [*deep["list"], {"c": 1}]}) == "properties and context have 256 keys, at most 255"


@pytest.mark.parametrize("value", [MIN_INTEGER, MAX_INTEGER, 0, -1, 1.5, 1e308, True, None, "", "é", [], {}])
def test_values_that_are_kept(value: Any) -> None:
    assert flaw({"a": value}) is None
    assert flaw({"a": [{"b": value}]}) is None


@pytest.mark.parametrize(
    ("properties", "why"),
    [
        ({"a": MAX_INTEGER + 1}, "properties.a: 9223372036854775808 does not fit in 64 bits, send it as a string"),
        ({"a": MIN_INTEGER - 1}, "properties.a: -9223372036854775809 does not fit in 64 bits, send it as a string"),
        ({"a": [1, {"b": 2**80}]}, f"properties.a[1].b: {2**80} does not fit in 64 bits, send it as a string"),
        ({"a": "x\0"}, "properties.a: holds NUL or half of a surrogate pair, which cannot be stored"),
        ({"a": ["x", "\0"]}, "properties.a[1]: holds NUL or half of a surrogate pair, which cannot be stored"),
        ({"a\0": 1}, "properties.a\\x00: the key holds NUL or half of a surrogate pair, which cannot be stored"),
        (
            {"ü": {"\0": 1}},
            "properties.\\xfc.\\x00: the key holds NUL or half of a surrogate pair, which cannot be stored",
        ),
    ],
)
def test_values_that_are_refused(properties: dict[str, Any], why: str) -> None:
    assert flaw(properties) == why


def test_a_long_value_is_shown_short() -> None:
    found = flaw({"k" * 1000: 10**1000})
    assert found is not None
    assert len(found) < 250
