"""The tracker's process over real HTTP and real NATS: what is answered 202 is stored, everything else says why."""

import base64
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

from shared import subjects
from shared.clock import MINUTE, SECOND, SystemClock
from shared.partition import partition_of
from tests.support.stack import PARTITIONS
from tests.support.tracker import SECRET, WRITE, Tracker, added

# --- The pixel --------------------------------------------------------------------------------------------------------


async def test_the_pixel_of_a_plain_image_tag_is_stored(tracker: Tracker) -> None:
    before = SystemClock().now()
    status, _ = await tracker.pixel("user_id=XYZ&event=cart_abandonment")
    assert status == 200
    (event,) = await tracker.stored()
    assert (event.person, event.name, event.source, event.trusted) == ("XYZ", "cart_abandonment", "pixel", False)
    assert before <= event.timestamp == event.received <= SystemClock().now()


async def test_a_pixel_with_everything(tracker: Tracker) -> None:
    at = SystemClock().now() // SECOND * SECOND - MINUTE
    status, _ = await tracker.pixel(
        f"anonymous_id=a%201&event=Product+Viewed&timestamp={at // SECOND}&event_id=e1&key={SECRET}"
        "&properties.product_id=007&properties.price=9.90&properties.name=Caf%C3%A9&_=cachebuster"
    )
    assert status == 200
    (event,) = await tracker.stored()
    assert (event.id, event.person, event.name, event.timestamp) == ("e1", "a 1", "product_viewed", at)
    assert event.properties == {"product_id": "007", "price": 9.9, "name": "Café"}
    assert event.trusted


BAD_PIXELS = [
    ("", 400, "event is missing"),
    ("event=x", 400, "user_id or anonymous_id is missing"),
    ("user_id=u&event=", 400, "event: '' is not 1 to 64 letters"),
    ("user_id=a%0d%0aSet-Cookie:x&event=x", 400, "user_id: holds a control character: 'a\\r\\nSet-Cookie:x'"),
    ("user_id=u&event=email_sent", 400, "event: email_sent is written by Beckon itself"),
    ("user_id=u&event=x&timestamp=2020-01-01T00:00:00Z", 400, "timestamp: '2020-01-01T00:00:00Z' is more than 30"),
    ("user_id=u&event=x&key=wrong", 401, "the write key is not known"),
]


async def test_a_bad_pixel_is_the_picture_with_the_reason_in_a_header(tracker: Tracker) -> None:
    for query, status, reason in BAD_PIXELS:
        answered, headers = await tracker.pixel(query)
        assert (answered, headers["Beckon-Error"][: len(reason)]) == (status, reason)
    assert await tracker.stored() == []


async def test_a_pixel_needs_a_key_where_that_is_asked_for(idle_tracker: Tracker) -> None:
    await idle_tracker.start(PIXEL_KEY_REQUIRED="true")
    assert (await idle_tracker.pixel("user_id=u&event=x"))[0] == 401
    assert (await idle_tracker.pixel(f"user_id=u&event=x&key={WRITE}"))[0] == 200
    assert len(await idle_tracker.stored()) == 1


# --- Posting ----------------------------------------------------------------------------------------------------------


async def test_a_single_event_is_stored_in_its_persons_partition(tracker: Tracker) -> None:
    status, body, headers = await tracker.post(
        added("u1", anonymous_id="a1", event_id="e1", properties={"price": 5, "tags": ["a"]}, context={"ip": None})
    )
    assert (status, body) == (202, {"accepted": 1, "rejected": []})
    assert headers["Access-Control-Allow-Origin"] == "*"
    (event,) = await tracker.stored()
    assert (event.id, event.person, event.name) == ("e1", "u1", "added_to_cart")
    assert (event.user_id, event.anonymous_id) == ("u1", "a1")
    assert (event.properties, event.context) == ({"price": 5, "tags": ["a"]}, {"ip": None, "bot": True})
    bus = await tracker.stack.bus("setup")
    message = await bus.nc.jetstream().get_msg(subjects.EVENTS, 1)
    assert message.subject == f"events.{partition_of('u1', PARTITIONS)}.site"


async def test_the_bad_events_of_an_array_are_named_and_the_others_stored(tracker: Tracker) -> None:
    status, body, _ = await tracker.post([added("u1"), {"event": "x"}, added("u3", event="email sent"), added("u4")])
    assert status == 202
    assert body == {
        "accepted": 2,
        "rejected": [
            {"index": 1, "error": "user_id or anonymous_id is missing"},
            {"index": 2, "error": "event: email_sent is written by Beckon itself and not taken from outside"},
        ],
    }
    assert [event.person for event in await tracker.stored()] == ["u1", "u4"]


async def test_500_events_in_one_request_are_all_stored(tracker: Tracker) -> None:
    status, body, _ = await tracker.post([added(f"u{number}") for number in range(500)])
    assert (status, body["accepted"]) == (202, 500)
    assert {event.person for event in await tracker.stored()} == {f"u{number}" for number in range(500)}


async def test_without_a_valid_event_the_answer_is_400_with_every_reason(tracker: Tracker) -> None:
    status, body, headers = await tracker.post([{"event": "x"}, 7])
    assert status == 400
    assert body == {
        "error": "no event in the request is valid",
        "accepted": 0,
        "rejected": [
            {"index": 0, "error": "user_id or anonymous_id is missing"},
            {"index": 1, "error": "Expected object, got int"},
        ],
    }
    assert headers["Beckon-Error"] == "no event in the request is valid"
    status, body, _ = await tracker.post(b'{"user_id": "u1"')
    assert (status, body["error"]) == (400, "the body is not JSON: Input data was truncated")
    assert await tracker.stored() == []


async def test_a_key_in_any_header_opens(tracker: Tracker) -> None:
    basic = base64.b64encode(f"{WRITE}:".encode()).decode()
    for headers in (
        {"X-Write-Key": WRITE},
        {"Authorization": f"Bearer {WRITE}"},
        {"Authorization": f"Basic {basic}"},
    ):
        assert (await tracker.post(added(), key=None, **headers))[0] == 202
    assert [event.trusted for event in await tracker.stored()] == [False] * 3


async def test_a_key_in_the_query_or_in_the_body_opens(tracker: Tracker) -> None:
    async with tracker.http.post(f"/v1/events?key={WRITE}", json=added()) as answer:
        assert answer.status == 202
    assert (await tracker.post(added(writeKey=WRITE), key=None))[0] == 202
    assert (await tracker.post([added(), added(writeKey=SECRET)], key=None))[0] == 202
    assert [event.trusted for event in await tracker.stored()] == [False, False, True, True]


async def test_a_missing_or_unknown_key_is_401_and_says_what_is_expected(tracker: Tracker) -> None:
    wrong: list[dict[str, str]] = [
        {},
        {"X-Write-Key": "wrong"},
        {"Authorization": "Basic !"},
        {"Authorization": WRITE},
        {"Authorization": "Bearer wrong", "X-Write-Key": WRITE},
    ]
    for headers in wrong:
        status, body, answered = await tracker.post(added(writeKey=WRITE) if headers else added(), key=None, **headers)
        assert status == 401
        assert "key" in body["error"] or "Authorization" in body["error"]
        assert answered["WWW-Authenticate"].startswith("Bearer")  # a browser asks for a password at Basic
    assert await tracker.stored() == []


async def test_a_secret_key_makes_events_trusted(tracker: Tracker) -> None:
    await tracker.post(added(), key=SECRET)
    assert [event.trusted for event in await tracker.stored()] == [True]


def past(**fields: Any) -> dict[str, Any]:
    return added(event_id="e1", timestamp="2019-05-01T12:00:00Z", **fields)


async def test_the_past_is_imported_with_a_secret_key(tracker: Tracker) -> None:
    events = [past(), past(context={"source": "shop"}), added(event_id="e2"), added(timestamp=0)]
    status, told, _ = await tracker.post(events, key=SECRET, path="/v1/import")
    assert (status, told["accepted"], [one["index"] for one in told["rejected"]]) == (202, 2, [2, 3])
    (event,) = await tracker.stored()  # two of the same id are one
    assert (event.id, event.source, event.trusted) == ("e1", "import", True)
    assert event.timestamp == 1_556_712_000 * SECOND

    status, told, headers = await tracker.post(past(), path="/v1/import")
    assert (status, told["error"]) == (403, "what is past is taken with a secret key only")
    assert headers["Beckon-Error"] == told["error"]
    assert (await tracker.post(past(), key=None, path="/v1/import"))[0] == 401
    assert (await tracker.post(b"{", key=SECRET, path="/v1/import"))[0] == 400
    assert (await tracker.post(past(), key=SECRET))[1]["rejected"], "nowhere else"
    assert len(await tracker.stored()) == 1


async def test_segments_library_for_ruby_sends_its_batches_to_the_same_path(tracker: Tracker) -> None:
    batch = {"batch": [{"type": "track", "userId": "u1", "event": "Order Completed", "messageId": "m1"}]}
    status, told, _ = await tracker.post(batch, path="/v1/import")
    assert (status, told) == (200, {"accepted": 1, "rejected": [], "success": True})
    (event,) = await tracker.stored()
    assert (event.name, event.source, event.trusted) == ("purchased", "server", False)


async def test_too_much_is_413(tracker: Tracker) -> None:
    mebibyte = 1024 * 1024
    events = json.dumps([added(properties={"x": "y" * 30_000})] * 34).encode()
    fits = events + b" " * (mebibyte - len(events))
    for body, headers in (
        (fits + b" ", {}),
        (gzip.compress(fits + b" "), {"Content-Encoding": "gzip"}),
        (json.dumps([added()] * 501).encode(), {}),
    ):
        status, answer, _ = await tracker.post(body, **headers)
        assert status == 413, answer
    assert (await tracker.post(fits))[0] == 202
    assert (await tracker.post(gzip.compress(fits), **{"Content-Encoding": "gzip"}))[0] == 202
    assert len(await tracker.stored()) == 2 * 34


async def test_a_body_without_a_length_is_bounded_too(tracker: Tracker) -> None:
    async def chunks(count: int) -> AsyncIterator[bytes]:
        yield json.dumps(added()).encode()
        for _ in range(count):
            yield b" " * 65_536

    for count, expected in ((2, 202), (40, 413)):
        async with tracker.http.post("/v1/events", data=chunks(count), headers=_JSON) as answer:
            assert answer.status == expected
    assert len(await tracker.stored()) == 1


_JSON = {"Content-Type": "application/json", "X-Write-Key": WRITE}


async def test_other_types_and_encodings_are_415_and_what_browsers_send_is_read(tracker: Tracker) -> None:
    for headers in (
        {"Content-Type": "application/x-www-form-urlencoded"},
        {"Content-Type": "multipart/form-data; boundary=x"},
        {"Content-Encoding": "br"},
    ):
        status, body, _ = await tracker.post(added(), **headers)
        assert status == 415
        assert "is not read here: send " in body["error"]
    for kind in ("text/plain;charset=UTF-8", "application/json; charset=utf-8", "Application/JSON"):
        assert (await tracker.post(added(), **{"Content-Type": kind}))[0] == 202
    status, body, _ = await tracker.post(b"{}", **{"Content-Encoding": "gzip"})
    assert (status, body["error"]) == (400, "the body is not gzip, as Content-Encoding says")


async def test_a_retry_with_the_same_event_id_is_one_event(tracker: Tracker) -> None:
    once = added("u1", event_id="e1")
    for body in (once, once, [once, once, added("u2", event_id="e1")]):
        assert (await tracker.post(body))[0] == 202
    await tracker.pixel("user_id=u1&event=x&event_id=e1")
    assert [(event.person, event.id) for event in await tracker.stored()] == [("u1", "e1"), ("u2", "e1")]


async def test_a_browser_may_post_from_any_page(tracker: Tracker) -> None:
    asked = {"Origin": "https://shop.example", "Access-Control-Request-Method": "POST"}
    async with tracker.http.options("/v1/events", headers=asked) as answer:
        assert answer.status == 204
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]
        assert "X-Write-Key" in answer.headers["Access-Control-Allow-Headers"]
        assert "Access-Control-Allow-Credentials" not in answer.headers
    _, _, headers = await tracker.post(b"", Origin="https://shop.example")
    assert headers["Access-Control-Allow-Origin"] == "*"
    assert "Beckon-Error" in headers["Access-Control-Expose-Headers"]


async def test_other_paths_and_methods_say_what_there_is(tracker: Tracker) -> None:
    async with tracker.http.get("/") as answer:
        assert (answer.status, (await answer.json())["service"]) == (200, "beckon tracker")
    async with tracker.http.get("/nothing") as answer:
        assert (answer.status, (await answer.json())["error"]) == (404, "no such path; GET / lists the calls")
    async with tracker.http.get("/v1/events") as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST, OPTIONS")
    async with tracker.http.head("/track?user_id=u&event=x") as answer:
        assert answer.status == 405
    assert await tracker.stored() == []
