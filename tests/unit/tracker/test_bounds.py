"""Every field that a hostile page can send: taken at its bound, refused one beyond. docs/tracker.md has the bounds."""

import json
from typing import Any

import pytest

from services.tracker.events import (
    MAX_AGENT,
    MAX_EVENT_BYTES,
    MAX_EVENT_ID,
    MAX_EVENTS,
    MAX_PERSON,
    Origin,
    TooMany,
    is_bot,
    read_body,
    read_query,
    take,
)
from services.tracker.segment import read_calls
from services.tracker.timestamps import MAX_AGE, MAX_AHEAD
from services.tracker.values import MAX_DEPTH, MAX_INTEGER, MAX_KEYS, MIN_INTEGER
from shared.clock import SECOND

NOW = 1_769_850_000_000_000
PAGE = Origin("api", trusted=False)


def event(**fields: Any) -> dict[str, Any]:
    return {"event": "x", "user_id": "u"} | fields


def refusals(document: Any) -> list[str]:
    return [each.error for each in take(read_body(json.dumps(document).encode()).items, PAGE, NOW, bytes).rejected]


def nested(depth: int) -> Any:
    value: Any = "x"
    for _ in range(depth):
        value = {"a": value}
    return value


def seconds(micros: int) -> float:
    return micros / SECOND


@pytest.mark.parametrize(
    ("field", "at_the_bound", "beyond"),
    [
        ("event", "e" * 64, "e" * 65),
        ("user_id", "u" * MAX_PERSON, "u" * (MAX_PERSON + 1)),
        ("user_id", "u", ""),
        ("anonymous_id", "a" * MAX_PERSON, "a" * (MAX_PERSON + 1)),
        ("event_id", "i" * MAX_EVENT_ID, "i" * (MAX_EVENT_ID + 1)),
        ("event_id", "i", ""),
        ("timestamp", seconds(NOW + MAX_AHEAD), seconds(NOW + MAX_AHEAD) + 1),
        ("timestamp", seconds(NOW - MAX_AGE), seconds(NOW - MAX_AGE) - 1),
        ("properties", nested(MAX_DEPTH), nested(MAX_DEPTH + 1)),
        ("context", nested(MAX_DEPTH), nested(MAX_DEPTH + 1)),
        ("properties", {str(n): n for n in range(MAX_KEYS)}, {str(n): n for n in range(MAX_KEYS + 1)}),
        ("context", {str(n): n for n in range(MAX_KEYS)}, {str(n): n for n in range(MAX_KEYS + 1)}),
        ("properties", {"n": MAX_INTEGER}, {"n": MAX_INTEGER + 1}),
        ("properties", {"n": MIN_INTEGER}, {"n": MIN_INTEGER - 1}),
    ],
)
def test_a_field_at_its_bound_and_one_beyond(field: str, at_the_bound: Any, beyond: Any) -> None:
    assert refusals(event(**{field: at_the_bound})) == []
    (error,) = refusals(event(**{field: beyond}))
    assert field in error


def test_an_event_as_large_as_may_be_and_one_byte_more() -> None:
    bare = len(json.dumps(event(properties={"t": ""})))
    assert refusals(event(properties={"t": "x" * (MAX_EVENT_BYTES - bare)})) == []
    (error,) = refusals(event(properties={"t": "x" * (MAX_EVENT_BYTES - bare + 1)}))
    assert f"at most {MAX_EVENT_BYTES}" in error


def test_as_many_events_as_may_be_and_one_more() -> None:
    assert len(read_body(json.dumps([event()] * MAX_EVENTS).encode()).items) == MAX_EVENTS
    with pytest.raises(TooMany):
        read_body(json.dumps([event()] * (MAX_EVENTS + 1)).encode())
    call = {"type": "track", "event": "x", "userId": "u"}
    assert len(read_calls("batch", json.dumps({"batch": [call] * MAX_EVENTS}).encode()).items) == MAX_EVENTS
    with pytest.raises(TooMany):
        read_calls("batch", json.dumps({"batch": [call] * (MAX_EVENTS + 1)}).encode())


def test_of_a_user_agent_no_more_is_looked_at_than_its_bound() -> None:
    assert is_bot("x" * (MAX_AGENT - 7) + "bingbot")
    assert not is_bot("x" * (MAX_AGENT - 6) + "bingbot")


def test_a_pixels_fields_have_the_same_bounds() -> None:
    def error(**fields: str) -> list[str]:
        item = read_query(({"event": "x", "user_id": "u"} | fields).items())
        return [each.error for each in take([item], PAGE, NOW, bytes).rejected]

    assert error(user_id="u" * MAX_PERSON, event_id="i" * MAX_EVENT_ID, event="e" * 64) == []
    assert error(user_id="u" * (MAX_PERSON + 1))
    assert error(event_id="i" * (MAX_EVENT_ID + 1))
    assert error(event="e" * 65)
    assert error(**{f"properties.p{n}": "1" for n in range(MAX_KEYS)}) == []
    assert error(**{f"properties.p{n}": "1" for n in range(MAX_KEYS + 1)})
