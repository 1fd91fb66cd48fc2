"""How the browser SDK is served: cacheable, checkable, small."""

import base64
import hashlib

import pytest

from tests.support.tracker import SECRET, WRITE, Tracker


@pytest.fixture
async def tracker(idle_tracker: Tracker) -> Tracker:
    await idle_tracker.start(PUBLIC_URL="https://events.shop.example")
    return idle_tracker


async def test_under_its_one_name_it_is_fresh_within_minutes(tracker: Tracker) -> None:
    async with tracker.http.get("/sdk.js") as answer:
        assert answer.status == 200
        assert answer.content_type == "text/javascript"
        assert answer.headers["Cache-Control"].startswith("public, max-age=300")
        assert answer.headers["Access-Control-Allow-Origin"] == "*"
        script, etag = await answer.read(), answer.headers["ETag"]
    async with tracker.http.get("/sdk.js", headers={"If-None-Match": etag}) as answer:
        assert (answer.status, await answer.read()) == (304, b"")
    async with tracker.http.get("/sdk.js", headers={"Accept-Encoding": "identity"}) as answer:
        assert "Content-Encoding" not in answer.headers
        assert await answer.read() == script
    async with tracker.http.head("/sdk.js") as answer:
        assert (answer.status, await answer.read()) == (200, b"")


async def test_under_the_name_of_its_content_it_lasts_and_can_be_checked(tracker: Tracker) -> None:
    async with tracker.http.get("/sdk.json") as answer:
        told = await answer.json()
    async with tracker.http.get(told["src"]) as answer:
        assert "immutable" in answer.headers["Cache-Control"]
        script = await answer.read()
    assert told["integrity"] == "sha384-" + base64.b64encode(hashlib.sha384(script).digest()).decode()
    async with tracker.http.get("/sdk-0123456789abcdef.js") as answer:
        assert answer.status == 404


async def test_segments_browser_library_is_told_where_to_send(tracker: Tracker) -> None:
    async with tracker.http.get(f"/v1/projects/{WRITE}/settings") as answer:
        told = (await answer.json())["integrations"]["Segment.io"]
    assert told == {"apiKey": WRITE, "apiHost": "events.shop.example/v1", "protocol": "https"}
    async with tracker.http.get("/v1/projects/nobody/settings") as answer:
        assert answer.status == 401


@pytest.mark.parametrize(("key", "status"), [(WRITE, 200), (SECRET, 200), ("nobody", 401), (None, 401)])
async def test_calls_are_answered_as_segments_libraries_expect(tracker: Tracker, key: str | None, status: int) -> None:
    call = {"userId": 7, "event": "x", **({"writeKey": key} if key else {})}
    async with tracker.http.post("/v1/track", json=call) as answer:
        told = await answer.json()
        assert (answer.status, told["success"]) == (status, status == 200)
        if status != 200:
            assert (told["code"], told["message"]) == ("unauthorised", answer.headers["Beckon-Error"])
    stored = await tracker.stored()
    assert [(event.person, event.trusted) for event in stored] == ([("7", key == SECRET)] if status == 200 else [])
