"""What Segment's and RudderStack's libraries send, and what becomes of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracker import segment
from services.tracker.events import MAX_EVENT_BYTES, MAX_EVENTS, Malformed, Origin, Taken, TooMany, take
from shared.bus import encode
from shared.clock import HOUR, MINUTE, SECOND, rfc3339
from shared.messages import Event

NOW = 1_769_850_000_000_000  # 2026-01-31T09:00:00Z


def taken(kind: str, body: Any) -> Taken:
    calls = segment.read_calls(kind, body if isinstance(body, bytes) else json.dumps(body).encode())
    return take(calls.items, Origin("segment", trusted=False), NOW, bytes)


def event(kind: str, **fields: Any) -> Event:
    """The one event of a call that must be accepted."""
    (only,), rejected = taken(kind, {"userId": "u1", **fields})
    assert rejected == []
    return only


def reason(kind: str, body: Any) -> str:
    events, (rejected,) = taken(kind, body)
    assert events == []
    return rejected.error


def test_every_call_by_its_long_and_its_short_path() -> None:
    for kind in ("track", "identify", "page", "screen", "alias", "group", "batch"):
        assert segment.PATHS[f"/v1/{kind}"] == segment.PATHS[f"/v1/{kind[0]}"] == kind


def test_track() -> None:
    sent = event(
        "track",
        event="Order Completed",
        anonymousId="a1",
        messageId="m1",
        timestamp="2026-01-31T08:59:59.500Z",
        properties={"order_id": "o1", "revenue": 12.5, "products": [{"sku": "k1"}]},
        context={"library": {"name": "analytics-python"}},
        integrations={"All": True},
    )
    assert (sent.id, sent.person, sent.anonymous_id, sent.name) == ("m1", "u1", "a1", "purchased")
    assert sent.timestamp == NOW - SECOND // 2
    assert sent.properties == {"order_id": "o1", "revenue": 12.5, "total": 12.5, "products": [{"sku": "k1"}]}
    assert sent.source == "server"


def test_what_is_given_is_not_replaced_by_what_stands_in_for_it() -> None:
    sent = event("track", event="x", properties={"sku": "s", "product_id": "p", "revenue": 1, "total": 2})
    assert sent.properties == {"sku": "s", "product_id": "p", "revenue": 1, "total": 2}
    assert event("track", event="x", properties={"sku": "s"}).properties["product_id"] == "s"


def test_identify_makes_a_profile_that_mails_can_use() -> None:
    sent = event(
        "identify",
        traits={"email": "ada@example.test", "firstName": "Ada", "timezone": "Europe/Vienna", "phone": None},
        context={"timezone": "Europe/Berlin", "locale": "de-AT", "page": {}},
    )
    assert sent.name == "identify"
    assert sent.properties == {
        "email": "ada@example.test",
        "firstName": "Ada",
        "first_name": "Ada",
        "timezone": "Europe/Vienna",
        "locale": "de-AT",
        "phone": None,
    }


def test_pages_screens_groups_and_aliases() -> None:
    page = event("page", name="Home", category="Shop", properties={"url": "https://shop.example.test/"})
    assert (page.name, page.properties) == (
        "page_viewed",
        {"url": "https://shop.example.test/", "name": "Home", "category": "Shop"},
    )
    assert event("screen", name="Cart").name == "screen_viewed"
    group = event("group", groupId=7, traits={"plan": "gold"})
    assert (group.name, group.properties) == ("group", {"plan": "gold", "group_id": "7"})
    alias = event("alias", previousId="a1")
    assert (alias.name, alias.person, alias.properties) == ("alias", "u1", {"previous_id": "a1"})


@pytest.mark.parametrize(
    ("fields", "person"),
    [
        ({"userId": 42}, "42"),
        ({"userId": 42.0}, "42"),
        ({"userId": "", "anonymousId": "a"}, "a"),
        ({"userId": None, "anonymousId": 9007199254740993}, "9007199254740993"),
    ],
)
def test_ids_may_be_whole_numbers_and_an_empty_one_is_none(fields: dict[str, Any], person: str) -> None:
    (sent,), rejected = taken("track", {"event": "x", **fields})
    assert (sent.person, rejected) == (person, [])


@pytest.mark.parametrize(
    ("context", "channel", "source"),
    [
        ({}, None, "server"),
        ({"page": {"url": "x"}}, None, "web"),
        ({"userAgent": "x"}, None, "web"),
        ({"device": {"type": "ios"}}, None, "mobile"),
        ({"page": {}}, "server", "server"),
        ({}, "browser", "web"),
        ({"source": "kiosk"}, "web", "kiosk"),
        ({}, "teapot", "server"),
    ],
)
def test_where_it_comes_from(context: dict[str, Any], channel: str | None, source: str) -> None:
    assert event("track", event="x", context=context, channel=channel).source == source


@pytest.mark.parametrize(
    ("told", "sent_at", "at"),
    [
        # The clock is right; a few seconds are the way of the request.
        (NOW - MINUTE, NOW, NOW - MINUTE),
        (NOW - MINUTE, NOW - 5 * SECOND, NOW - MINUTE),
        # The clock is slow or fast: what it told is wrong by as much.
        (NOW - HOUR - MINUTE, NOW - HOUR, NOW - MINUTE),
        (NOW + HOUR - MINUTE, NOW + HOUR, NOW - MINUTE),
        # It says nothing of the clock.
        (NOW - MINUTE, None, NOW - MINUTE),
    ],
)
def test_a_wrong_clock_is_put_right(told: int, sent_at: int | None, at: int) -> None:
    call = {"userId": "u", "event": "x", "type": "track", "originalTimestamp": rfc3339(told), "timestamp": rfc3339(NOW)}
    sent = None if sent_at is None else rfc3339(sent_at)
    (single,), _ = taken("track", {**call, "sentAt": sent})
    (batched,), _ = taken("batch", {"batch": [call], "sentAt": sent})
    assert single.timestamp == batched.timestamp == at


def test_an_old_librarys_time_is_utc() -> None:
    for text in ("2026-01-31T08:00:00", "2026-01-31 08:00:00.000000"):
        assert event("track", event="x", timestamp=text).timestamp == NOW - HOUR
    assert event("track", event="x", timestamp="").timestamp == NOW


def test_a_batch_is_judged_call_by_call() -> None:
    events, rejected = taken(
        "batch",
        {
            "writeKey": "wk",
            "context": {"locale": "de", "page": {}},
            "batch": [
                {"type": "track", "userId": "u1", "event": "x", "context": {"locale": "en"}},
                {"type": "tracks", "userId": "u1"},
                {"type": "track", "userId": "u1"},
                {"type": "identify", "userId": {}},
                7,
                {"type": "identify", "anonymousId": "a", "traits": {}},
                {"type": "track", "userId": "u1", "event": "y", "properties": {"long": "x" * MAX_EVENT_BYTES}},
            ],
        },
    )
    assert [each.name for each in events] == ["x", "identify"]
    assert [each.context["locale"] for each in events] == ["en", "de"]
    assert [(each.index, each.error.partition(",")[0]) for each in rejected] == [
        (1, "type: 'tracks' is none of track"),
        (2, "event is missing"),
        (3, "userId: expected int | float | str | null"),
        (4, "Expected object"),
        (6, f"the event has {MAX_EVENT_BYTES + 75} bytes"),
    ]


@pytest.mark.parametrize(
    ("body", "key"),
    [
        ({"batch": [{}], "writeKey": "wk"}, "wk"),
        ({"batch": [{}, {"writeKey": "wk"}]}, "wk"),
        ({"batch": [{"writeKey": "other"}], "writeKey": "wk"}, "wk"),
        ({"batch": [{}]}, None),
    ],
)
def test_the_key_in_a_batch(body: Any, key: str | None) -> None:
    assert segment.read_calls("batch", json.dumps(body).encode()).write_key == key


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "the body is not JSON"),
        (b"[]", "the body is not what is expected: Expected object"),
        (b"{}", "the body is not what is expected: Object missing required field batch"),
        (b'{"batch": []}', "batch is an empty array"),
        (b'{"batch": {}}', "the body is not what is expected: batch: expected array"),
    ],
)
def test_what_is_no_batch(body: bytes, what: str) -> None:
    with pytest.raises(Malformed, match=what):
        segment.read_calls("batch", body)


def test_a_batch_may_have_so_many_calls() -> None:
    call = {"type": "track", "userId": "u", "event": "x"}
    assert len(taken("batch", {"batch": [call] * MAX_EVENTS}).events) == MAX_EVENTS
    with pytest.raises(TooMany):
        taken("batch", {"batch": [call] * (MAX_EVENTS + 1)})


def test_half_an_emoji_spoils_one_call_only() -> None:
    body = b'{"batch": [{"type":"track","userId":"u","event":"x","properties":{"a":"\\ud83d"}},'
    body += b'{"type":"track","userId":"u","event":"x"}]}'
    events, (rejected,) = taken("batch", body)
    assert len(events) == 1
    assert "half of a surrogate pair" in rejected.error


def test_a_fraction_is_no_id() -> None:
    assert reason("track", {"userId": 1.5, "event": "x"}) == "userId: 1.5 is neither a text nor a whole number"
    assert reason("track", b'{"userId": 1e999, "event": "x"}').startswith("userId")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=10,
)
FIELDS = st.dictionaries(
    st.sampled_from(["userId", "anonymousId", "traits", "properties", "context", "timestamp", "sentAt", "groupId"]),
    JSON,
)


@given(st.sampled_from(sorted({*segment.PATHS.values()})), FIELDS, st.sampled_from(["track", "page", "alias", ""]))
def test_whatever_is_sent_there_are_events_or_reasons(kind: str, fields: dict[str, Any], type_: str) -> None:
    call = {"type": type_, "event": "x", **fields}
    body = {"batch": [call, call]} if kind == "batch" else call
    events, rejected = taken(kind, body)
    assert len(events) + len(rejected) == (2 if kind == "batch" else 1)
    for each in events:
        encode(each)


@pytest.mark.parametrize(
    ("body", "batch"),
    [
        (b'{"batch": []}', True),
        (b'{"batch": [{"event": "cut \\ud83d"}]}', True),
        (b'{"batch": null}', True),
        (b'{"event": "batch"}', False),
        (b'[{"batch": []}]', False),
        (b"", False),
        (b"[" * 100_000, False),
    ],
)
def test_a_batch_is_told_from_other_bodies(body: bytes, batch: bool) -> None:
    assert segment.is_batch(body) is batch
