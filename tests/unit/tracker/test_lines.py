"""Events read from a file, one a line: what a line may say beyond ``POST /v1/events``, and what it must say."""

import json
from typing import Any

import pytest

from services.tracker.events import MAX_EVENT_BYTES
from services.tracker.flaws import Flaw
from services.tracker.lines import Line, read_line
from services.tracker.timestamps import MAX_AHEAD
from shared.clock import DAY, HOUR, MINUTE, SECOND, rfc3339
from shared.messages import Event
from shared.outcomes import OUTCOMES

NOW = 1_769_850_000 * SECOND  # 2026-01-31T09:00:00Z


def line(**fields: Any) -> bytes:
    """Fields that are none are left out."""
    whole = {"user_id": "ada", "event": "added_to_cart", "timestamp": rfc3339(NOW), **fields}
    return json.dumps({name: value for name, value in whole.items() if value is not None}).encode()


def read(number: int = 1, **fields: Any) -> Line:
    return read_line(line(**fields), number)


def reason(raw: bytes) -> str:
    with pytest.raises(Flaw) as flaw:
        read_line(raw, 1)
    assert flaw.value.reason.isascii()
    return flaw.value.reason


def test_a_line_is_an_event_as_the_tracker_would_have_taken_it() -> None:
    told = read(
        anonymous_id="a-1",
        event="Product Added",
        event_id="e-1",
        received_at=rfc3339(NOW + MINUTE),
        properties={"price": 12.5},
        context={"source": "mobile"},
        unknown_field=1,
    )
    expected = Event(
        id="e-1",
        person="ada",
        name="added_to_cart",
        timestamp=NOW,
        received=NOW + MINUTE,
        properties={"price": 12.5},
        context={"source": "mobile"},
        user_id="ada",
        anonymous_id="a-1",
        source="mobile",
        trusted=True,
    )
    assert told == Line(expected, NOW + MINUTE)


# --- Ids --------------------------------------------------------------------------------------------------------------


def test_an_event_without_an_id_has_that_of_its_line() -> None:
    assert [read(number).event.id for number in (1, 2, 10)] == ["line-1", "line-2", "line-10"]


def test_an_id_that_is_given_stays() -> None:
    assert read(7, event_id="order 7/ü").event.id == "order 7/ü"


@pytest.mark.parametrize("value", ["", "x" * 129, "a\n"])
def test_an_id_that_the_tracker_would_refuse_is_refused(value: str) -> None:
    assert "is not 1 to 128 printable characters" in reason(line(event_id=value))


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_what_beckon_itself_wrote_is_taken_with_its_own_id(name: str) -> None:
    event = read(event=name, event_id=f"beckon:t1.{name}").event
    assert (event.name, event.id) == (name, f"beckon:t1.{name}")
    assert read(event=name).event.id == "line-1", "and without one"


def test_no_other_event_may_have_an_id_of_beckons_own() -> None:
    assert reason(line(event_id="beckon:t1.email_sent")) == (
        "event_id: 'beckon:t1.email_sent' begins with beckon:, as only the ids of Beckon's own events do"
    )


# --- When it happened and when it came --------------------------------------------------------------------------------


def test_what_does_not_say_when_it_was_received_came_when_it_happened() -> None:
    told = read()
    assert (told.event.timestamp, told.event.received, told.received) == (NOW, NOW, NOW)


def test_what_says_only_when_it_was_received_happened_then() -> None:
    told = read(timestamp=None, received_at=rfc3339(NOW + HOUR))
    assert (told.event.timestamp, told.received) == (NOW + HOUR, NOW + HOUR)


def test_what_came_late_says_both() -> None:
    told = read(received_at=rfc3339(NOW + 60 * DAY))
    assert (told.event.timestamp, told.event.received, told.received) == (NOW, NOW + 60 * DAY, NOW + 60 * DAY)


@pytest.mark.parametrize("received_at", [1_769_850_000, 1_769_850_000_000, "1769850000", "2026-01-31T10:00:00+01:00"])
def test_both_are_read_in_every_form_of_a_timestamp(received_at: str | int) -> None:
    assert read(timestamp=received_at, received_at=received_at) == read()


@pytest.mark.parametrize(
    ("written", "at"),
    [
        ("1970-01-01T00:00:00Z", 0),
        (0, 0),
        ("1999-12-31T23:59:59Z", 946_684_799 * SECOND),
        ("9999-12-31T23:59:59Z", 253_402_300_799 * SECOND),
    ],
)
def test_a_line_may_be_of_any_age(written: str | int, at: int) -> None:
    assert read(timestamp=written).received == at


def test_nothing_is_older_than_the_epoch() -> None:
    assert reason(line(timestamp="1969-12-31T23:59:59.999999Z")) == "timestamp: is before 1970"
    assert reason(line(timestamp=-1)) == "timestamp: is before 1970"
    assert reason(line(received_at=-1, timestamp=None)) == "timestamp: is before 1970"


def test_a_sender_s_clock_may_be_five_minutes_ahead_and_no_more() -> None:
    assert read(received_at=rfc3339(NOW - MAX_AHEAD)).received == NOW - MAX_AHEAD
    assert reason(line(received_at=rfc3339(NOW - MAX_AHEAD - 1))) == (
        "timestamp: is more than 5 minutes after received_at"
    )


def test_a_line_without_any_time_is_refused() -> None:
    assert reason(line(timestamp=None)) == "timestamp is missing: a file has no clock"


# --- Trust ------------------------------------------------------------------------------------------------------------


def test_whoever_has_the_file_vouches_for_it() -> None:
    assert read().event.trusted is True
    assert read(trusted=True).event.trusted is True


def test_a_line_may_say_that_it_came_without_a_secret_key() -> None:
    assert read(trusted=False).event.trusted is False


def test_a_line_comes_from_a_file_unless_it_says_from_where_else() -> None:
    assert read().event.source == "file"
    assert read_line(line(), 1, "import").event.source == "import"
    assert read(context={"source": "pos"}).event.source == "pos"
    assert read(context={"source": "beckon"}).event.source == "file", "nobody passes for Beckon"


# --- What is wrong with a line ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "Input data was truncated"),
        (b"{", "Input data was truncated"),
        (b"[]", "Expected object, got array"),
        (b"7", "Expected object, got int"),
        (b'{"user_id": "ada", "timestamp": 0}', "Object missing required field event"),
        (b'{"event": "x", "timestamp": 0}', "user_id or anonymous_id is missing"),
        (line(user_id=""), "user_id: 0 characters, expected 1 to 256"),
        (line(user_id=7), "user_id: expected str | null, got int"),
        (line(event="a/b"), "event: 'a/b' is not 1 to 64 letters, digits, spaces, or any of _ . : -"),
        (line(trusted="yes"), "trusted: expected bool, got str"),
        (line(received_at=True), "received_at: expected int | float | str | null, got bool"),
        (
            line(received_at="yesterday"),
            "received_at: 'yesterday' is neither RFC 3339 with a zone, like 2026-01-31T09:00:00Z, nor epoch seconds or "
            "milliseconds",
        ),
        (
            line(timestamp="2026-01-31T09:00:00"),
            "timestamp: '2026-01-31T09:00:00' is neither RFC 3339 with a zone, like 2026-01-31T09:00:00Z, nor epoch "
            "seconds or milliseconds",
        ),
        (line(timestamp=10**17), "timestamp: 100000000000000000 is too great for epoch seconds or milliseconds"),
        (line(properties=[]), "properties: expected object | null, got array"),
        (
            line(properties={"a": 2**63}),
            "properties.a: 9223372036854775808 does not fit in 64 bits, send it as a string",
        ),
        (line(context={"a": "x\0"}), "context.a: holds NUL or half of a surrogate pair, which cannot be stored"),
        (b'{"user_id": "\xff", "event": "x", "timestamp": 0}', "not UTF-8"),
        (
            line(properties={"a": json.loads("[" * 900 + "]" * 900)}),
            f"properties.a{'[0]' * 9}: nested too deep, at most 10 levels",
        ),
    ],
)
def test_what_cannot_be_read_says_why(raw: bytes, why: str) -> None:
    assert reason(raw).startswith(why)


def padded(size: int) -> bytes:
    return line(properties={"text": "x" * (size - len(line(properties={"text": ""})))})


def test_a_line_is_as_long_as_an_event_may_be_and_no_longer() -> None:
    assert len(padded(MAX_EVENT_BYTES)) == MAX_EVENT_BYTES
    assert read_line(padded(MAX_EVENT_BYTES), 1).event.person == "ada"
    assert reason(padded(MAX_EVENT_BYTES + 1)) == "the event has 32769 bytes, at most 32768"


def test_space_around_an_event_is_nothing() -> None:
    assert read_line(b" " + line() + b"\r", 1) == read()
