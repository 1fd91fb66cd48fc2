"""What a site may send, at each bound and one beyond it."""

import json
from typing import Any

import pytest

from services.tracker.events import (
    MAX_EVENT_BYTES,
    EventIn,
    Malformed,
    Origin,
    Taken,
    TooMany,
    read_body,
    read_query,
    take,
)
from services.tracker.flaws import Flaw
from shared.clock import DAY, MINUTE, SECOND, rfc3339
from shared.messages import Event
from shared.outcomes import IMPORTED, OUTCOMES

NOW = 1_769_850_000_000_000  # 2026-01-31T09:00:00Z
API = Origin("api", trusted=False)
PAST = Origin(IMPORTED, trusted=True)


def zeros(count: int) -> bytes:
    return bytes(count)


def body(**fields: Any) -> bytes:
    return json.dumps({"user_id": "u1", "event": "added_to_cart", **fields}).encode()


def taken(raw: bytes, origin: Origin = API) -> Taken:
    return take(read_body(raw).items, origin, NOW, zeros)


def event(raw: bytes, origin: Origin = API) -> Event:
    """The one event of a body that must be accepted."""
    (only,), rejected = taken(raw, origin)
    assert rejected == []
    return only


def reason(raw: bytes, origin: Origin = API) -> str:
    """Why the one event of a body is refused."""
    events, (rejected,) = taken(raw, origin)
    assert events == []
    assert rejected.index == 0
    assert rejected.error.isascii()
    assert rejected.error.isprintable()
    return rejected.error


def test_an_event_arrives_as_it_was_sent() -> None:
    sent = event(
        body(
            anonymous_id="a1",
            event_id="e-1",
            timestamp=rfc3339(NOW - MINUTE),
            properties={"price": 12.5, "tags": ["x", None, True]},
            context={"page": {"url": "https://shop.example/"}},
            unknown_field=1,
        )
    )
    assert sent == Event(
        id="e-1",
        person="u1",
        name="added_to_cart",
        timestamp=NOW - MINUTE,
        received=NOW,
        properties={"price": 12.5, "tags": ["x", None, True]},
        context={"page": {"url": "https://shop.example/"}},
        user_id="u1",
        anonymous_id="a1",
        source="api",
        trusted=False,
    )


def test_what_is_absent_or_null_has_a_default() -> None:
    for raw in (body(), body(timestamp=None, event_id=None, properties=None, context=None, anonymous_id=None)):
        sent = event(raw)
        assert (sent.timestamp, sent.properties, sent.context, sent.anonymous_id) == (NOW, {}, {}, None)


def test_the_person_is_the_user_else_the_anonymous_visitor() -> None:
    assert event(body(anonymous_id="a1")).person == "u1"
    anonymous = event(b'{"anonymous_id": "a1", "event": "x"}')
    assert (anonymous.person, anonymous.user_id, anonymous.anonymous_id) == ("a1", None, "a1")


def test_an_id_is_made_where_none_is_sent_and_sorts_by_time() -> None:
    first, *_ = take(read_body(body()).items, API, NOW, zeros).events
    later, *_ = take(read_body(body()).items, API, NOW + 1000, zeros).events
    assert len(first.id) == 32
    assert first.id < later.id


def test_trust_and_source_come_from_the_call() -> None:
    sent = event(body(source="beckon", trusted=True), Origin("pixel", trusted=True))
    assert (sent.source, sent.trusted) == ("pixel", True)
    assert event(body(source="beckon", trusted=True)).trusted is False
    for claimed in ("beckon", "import"):
        assert event(body(context={"source": claimed})).source == "api", "nobody may claim it"


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("Product Viewed", "product_viewed"),
        ("Order Completed", "purchased"),
        ("cart_abandonment", "cart_abandonment"),
        ("a.b:c-d_9", "a.b:c-d_9"),
        ("x" * 64, "x" * 64),
    ],
)
def test_names_are_normalised(name: str, stored: str) -> None:
    assert event(body(event=name)).name == stored


@pytest.mark.parametrize("name", ["", " ", "x" * 65, "naïve", "a\nb", "a/b", "a\0", "<script>"])
def test_a_name_of_other_characters_or_length_is_refused(name: str) -> None:
    assert reason(body(event=name)).startswith("event: ")


@pytest.mark.parametrize("name", sorted(OUTCOMES))
def test_outcomes_are_written_by_beckon_alone(name: str) -> None:
    for spelling in (name, name.upper(), f" {name.replace('_', ' ')} "):
        assert f"event: {name} is written by Beckon itself" in reason(body(event=spelling))


@pytest.mark.parametrize("field", ["user_id", "anonymous_id"])
@pytest.mark.parametrize("value", ["x", "x" * 256, "Zoë", "XYZ", "a b", "日本", "😀" * 256])
def test_an_id_of_1_to_256_characters_is_taken(field: str, value: str) -> None:
    assert getattr(event(body(**{field: value})), field) == value


@pytest.mark.parametrize("field", ["user_id", "anonymous_id"])
@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("", "0 characters, expected 1 to 256"),
        ("x" * 257, "257 characters, expected 1 to 256"),
        ("   ", "only spaces"),
        ("\u2003", "only spaces"),
        ("a\nb", "control character"),
        ("a\0b", "control character"),
        ("a\x7f", "control character"),
        ("a\x85", "control character"),
        ("\ud83d", "control character"),
    ],
)
def test_other_ids_are_refused(field: str, value: str, why: str) -> None:
    found = reason(body(**{field: value}))
    assert found.startswith(f"{field}: ")
    assert why in found


@pytest.mark.parametrize("value", ["x", "x" * 128, "order 7/ü"])
def test_an_event_id_of_1_to_128_printable_characters_is_taken(value: str) -> None:
    assert event(body(event_id=value)).id == value


@pytest.mark.parametrize("value", ["", "x" * 129, "a\n", "a\0", "\u200b"])
def test_another_event_id_is_refused(value: str) -> None:
    assert "is not 1 to 128 printable characters" in reason(body(event_id=value))


def test_an_event_id_that_could_pass_for_an_outcomes_is_refused() -> None:
    assert "begins with beckon:" in reason(body(event_id="beckon:t1.email_sent"))


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b'{"event": "x"}', "user_id or anonymous_id is missing"),
        (b'{"user_id": null, "event": "x"}', "user_id or anonymous_id is missing"),
        (b'{"user_id": "u"}', "Object missing required field event"),
        (b'{"user_id": 7, "event": "x"}', "user_id: expected str | null, got int"),
        (b'{"user_id": "u", "event": null}', "event: expected str, got null"),
        (
            b'{"user_id": "u", "event": "x", "timestamp": true}',
            "timestamp: expected int | float | str | null, got bool",
        ),
        (b'{"user_id": "u", "event": "x", "properties": []}', "properties: expected object | null, got array"),
        (b'{"user_id": "u", "event": "x", "context": "y"}', "context: expected object | null, got str"),
        (b'{"user_id": "u", "event": "x", "properties": {"a": 1e400}}', "properties[...]: number out of range"),
        (b'{"user_id": "u", "event": "\xff"}', "not UTF-8"),
        (b"7", "Expected object, got int"),
        (b'"text"', "Expected object, got str"),
    ],
)
def test_a_wrong_field_is_named(raw: bytes, why: str) -> None:
    assert reason(raw) == why


@pytest.mark.parametrize(
    ("raw", "why"),
    [
        (b"", "the body is not JSON: Input data was truncated"),
        (b"   ", "the body is not JSON"),
        (b"{", "the body is not JSON: Input data was truncated"),
        (b"user_id=u&event=x", "the body is not JSON"),
        (b'{"user_id": NaN}', "the body is not JSON"),
        (b"{} trailing", "the body is not JSON"),
        (b'[{"event": "x"}', "the body is not JSON"),
        (b'{"user_id": "\\ud83d", ', "the body is not JSON"),
        (b"[" * 100_000, "the body is not JSON: nested too deep"),
        (b'{"a":' * 100_000, "the body is not JSON: nested too deep"),
        (b"[]", "the body is an empty array: send at least one event"),
        (b" \n[ ] ", "the body is an empty array: send at least one event"),
    ],
)
def test_a_body_without_any_event_in_it_is_malformed(raw: bytes, why: str) -> None:
    with pytest.raises(Malformed) as error:
        read_body(raw)
    assert str(error.value).startswith(why)


def test_the_bad_events_of_an_array_are_rejected_by_index_and_the_others_taken() -> None:
    events, rejected = taken(
        b'\n [{"user_id": "u1", "event": "one"}, {"event": "two"}, 3, {"user_id": "u4", "event": "four"},'
        b' {"user_id": "cut \\ud83d", "event": "five"}, {"user_id": "ok \\\\ud83d \\ud83d\\ude00", "event": "six"}]'
    )
    assert [(event.person, event.name) for event in events] == [("u1", "one"), ("u4", "four"), ("ok \\ud83d 😀", "six")]
    assert [one.index for one in rejected] == [1, 2, 4]
    assert (
        len({event.id for event in take(read_body(b"[%b,%b]" % (body(), body())).items, API, NOW, _counting()).events})
        == 2
    )


def _counting() -> Any:
    numbers = iter(range(100))
    return lambda count: next(numbers).to_bytes(count, "big")


def test_500_events_are_taken_and_501_are_too_many() -> None:
    assert len(taken(b"[" + b",".join([body()] * 500) + b"]").events) == 500
    with pytest.raises(TooMany, match="501 events in one request, at most 500"):
        read_body(b"[" + b",".join([body()] * 501) + b"]")


def test_an_event_of_32_kib_is_taken_and_one_byte_more_refused() -> None:
    room = MAX_EVENT_BYTES - len(body(properties={"x": ""}))
    largest, larger = body(properties={"x": "y" * room}), body(properties={"x": "y" * (room + 1)})
    assert len(largest) == MAX_EVENT_BYTES
    assert event(largest).properties == {"x": "y" * room}
    assert reason(larger) == f"the event has {MAX_EVENT_BYTES + 1} bytes, at most {MAX_EVENT_BYTES}"
    events, rejected = taken(b"[%b, %b]" % (larger, largest))
    assert (len(events), [one.index for one in rejected]) == (1, [0])


def test_properties_and_context_are_looked_through() -> None:
    assert reason(body(properties={"a": "\0"})).startswith("properties.a: holds NUL")
    assert reason(body(context={"a": 2**63})).startswith("context.a: ")
    assert "fit in 64 bits" in reason(b'{"user_id":"u","event":"x","properties":{"a":%b}}' % (b"9" * 30))


def test_timestamps_are_bounded() -> None:
    assert event(body(timestamp=(NOW + 5 * MINUTE) // SECOND)).timestamp == NOW + 5 * MINUTE
    assert event(body(timestamp=rfc3339(NOW - 30 * DAY))).timestamp == NOW - 30 * DAY
    assert "in the future" in reason(body(timestamp=(NOW + 5 * MINUTE) // SECOND + 1))
    assert "30 days ago" in reason(body(timestamp=rfc3339(NOW - 30 * DAY - 1)))


def test_the_first_write_key_of_a_body_is_found() -> None:
    assert read_body(body()).write_key is None
    assert read_body(body(writeKey="k")).write_key == "k"
    assert read_body(b"[7, %b, %b]" % (body(), body(writeKey="k"))).write_key == "k"


# --- The pixel --------------------------------------------------------------------------------------------------------


def pixel(*pairs: tuple[str, str]) -> Taken:
    return take([read_query(pairs)], Origin("pixel", trusted=False), NOW, zeros)


def test_the_plain_pixel_is_an_event() -> None:
    (sent,), _ = pixel(("user_id", "XYZ"), ("event", "cart_abandonment"))
    assert (sent.person, sent.name, sent.timestamp, sent.source) == ("XYZ", "cart_abandonment", NOW, "pixel")


def test_a_pixel_may_carry_everything_else() -> None:
    (sent,), _ = pixel(
        ("anonymous_id", "a1"),
        ("event", "Product Viewed"),
        ("event_id", "e1"),
        ("timestamp", str(NOW // SECOND - 1)),
        ("properties.product_id", "007"),
        ("properties.price", "12.50"),
        ("properties.quantity", "2"),
        ("properties.total", "a lot"),
        ("properties.a.b", "c"),
        ("key", "wk"),
        ("cachebuster", "123"),
    )
    assert (sent.id, sent.person, sent.timestamp) == ("e1", "a1", NOW - SECOND)
    assert sent.properties == {"product_id": "007", "price": 12.5, "quantity": 2, "total": "a lot", "a.b": "c"}
    assert type(sent.properties["quantity"]) is int


@pytest.mark.parametrize(
    ("pairs", "why"),
    [
        ([("user_id", "u")], "event is missing"),
        ([("event", "x")], "user_id or anonymous_id is missing"),
        ([("event", "x"), ("user_id", "")], "user_id: 0 characters"),
        ([("event", "x"), ("user_id", "a"), ("user_id", "b")], "user_id is given twice"),
        ([("event", "x"), ("user_id", "a"), ("properties.p\n", "1"), ("properties.p\n", "2")], "p\\n is given twice"),
        ([("event", "x"), ("user_id", "a"), ("timestamp", "yesterday")], "timestamp: 'yesterday' is neither"),
        ([("event", "x"), ("user_id", "a\0")], "user_id: holds a control character"),
        ([("event", "x"), ("user_id", "a"), ("properties.p", "a\0")], "properties.p: holds NUL"),
        ([("event", "x"), ("user_id", "a"), ("properties.\0", "a")], "properties.\\x00: the key holds NUL"),
        ([("event", "email_sent"), ("user_id", "a")], "event: email_sent is written by Beckon itself"),
    ],
)
def test_what_is_wrong_with_a_pixel_is_said(pairs: list[tuple[str, str]], why: str) -> None:
    events, (rejected,) = pixel(*pairs)
    assert events == []
    assert rejected.error.startswith(why)


def test_a_pixels_properties_are_bounded_as_any() -> None:
    many = [(f"properties.p{number}", "x") for number in range(256)]
    assert pixel(("event", "x"), ("user_id", "u"), *many[:255]).rejected == []
    assert (
        pixel(("event", "x"), ("user_id", "u"), *many).rejected[0].error.startswith("properties and context have 256")
    )


def test_reading_gives_flaws_as_data() -> None:
    first, second = read_body(b'[{"event": 1}, {"event": "x"}]').items
    assert isinstance(first, Flaw)
    assert isinstance(second, EventIn)


# --- What is imported -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("written", "at"),
    [(0, 0), ("1999-12-31T23:59:59Z", 946_684_799 * SECOND), (rfc3339(NOW + 5 * MINUTE), NOW + 5 * MINUTE)],
)
def test_what_is_imported_is_of_any_age(written: str | int, at: int) -> None:
    sent = event(body(event_id="e-1", timestamp=written, sent_at=rfc3339(NOW - DAY)), PAST)
    assert (sent.id, sent.timestamp, sent.received, sent.source, sent.trusted) == ("e-1", at, NOW, IMPORTED, True)


def test_what_is_imported_says_so_whatever_it_claims() -> None:
    assert event(body(event_id="e-1", timestamp=0, context={"source": "shop"}), PAST).source == IMPORTED


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"event_id": "e-1"}, "timestamp is missing: what is imported must say when it happened"),
        ({"timestamp": 0}, "event_id is missing: it keeps what is imported again from counting twice"),
        ({"event_id": "e-1", "timestamp": -1}, "timestamp: -1 is before 1970"),
        ({"event_id": "beckon:e-1", "timestamp": 0}, "event_id: 'beckon:e-1' begins with beckon:"),
        (
            {"event_id": "e-1", "timestamp": rfc3339(NOW + 5 * MINUTE + 1)},
            "timestamp: '2026-01-31T09:05:00.000001Z' is more than 5 minutes in the future",
        ),
        (
            {"event_id": "e-1", "timestamp": 0, "event": "email_opened"},
            "event: email_opened is written by Beckon itself and not taken from outside",
        ),
    ],
)
def test_what_is_imported_must_say_when_it_happened_and_which_event_it_is(fields: dict[str, Any], why: str) -> None:
    assert reason(body(**fields), PAST).startswith(why)
