"""Whatever is sent, the answer is events or reasons, and what is taken can be stored."""

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from services.tracker.events import Malformed, Origin, TooMany, read_body, read_query, take
from shared.bus import encode

NOW = 1_769_850_000_000_000
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["x", "Product Viewed", "email_sent", "\0", ""]) | JSON},
    optional={
        "user_id": st.text() | JSON,
        "anonymous_id": st.text(min_size=1) | JSON,
        "event_id": st.text() | JSON,
        "timestamp": st.sampled_from([NOW // 1000, NOW // 1_000_000, "2026-01-31T09:00:00Z"]) | JSON,
        "properties": st.dictionaries(st.text(), JSON) | JSON,
        "context": JSON,
        "writeKey": JSON,
    },
)


def take_all(items: list[Any], source: str) -> None:
    taken = take(items, Origin(source, trusted=False), NOW, bytes)
    assert len(taken.events) + len(taken.rejected) == len(items)
    for event in taken.events:
        encode(event)
        stored = json.dumps([event.person, event.properties, event.context], ensure_ascii=False, allow_nan=False)
        stored.encode()
        assert "\\u0000" not in stored
    for rejected in taken.rejected:
        assert_harmless(rejected.error)


def assert_harmless(reason: str) -> None:
    assert reason.isascii()
    assert reason.isprintable()


def post(body: bytes) -> None:
    try:
        items = read_body(body).items
    except (Malformed, TooMany) as error:
        assert_harmless(str(error))
    else:
        take_all(list(items), "api")


@given(st.binary())
@example(b'["\\ud83d\\ud83d"]')
@example(b'[{"event":"\\')
def test_any_bytes(body: bytes) -> None:
    post(body)


@given(st.one_of(EVENTS, st.lists(EVENTS, max_size=5), JSON))
def test_any_json(document: Any) -> None:
    post(json.dumps(document).encode())


@given(st.one_of(EVENTS, st.lists(EVENTS, max_size=5)), st.data())
def test_any_damaged_json(document: Any, data: st.DataObject) -> None:
    body = json.dumps(document).encode()
    at = data.draw(st.integers(0, len(body) - 1))
    post(body[:at] + data.draw(st.binary(max_size=3)) + body[at + 1 :])


NAMES = st.sampled_from(
    ["user_id", "anonymous_id", "event", "timestamp", "event_id", "properties.price", "properties."]
)
TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@given(st.lists(st.tuples(NAMES | TEXT.map("properties.{}".format) | TEXT, TEXT)))
def test_any_query(query: list[tuple[str, str]]) -> None:
    take_all([read_query(query)], "pixel")
