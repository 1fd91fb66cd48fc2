"""What the tracker lets pass, over real HTTP: keys, origins, limits, and what is marked on the way."""

import asyncio
import hashlib
from typing import Any

import jwt

from shared.clock import HOUR, SECOND, SystemClock
from tests.support.tracker import SECRET, WRITE, Tracker

TOKEN_SECRET = "t" * 32


def seen(person: str = "u1", **fields: Any) -> dict[str, Any]:
    return {"user_id": person, "event": "product_viewed", **fields}


async def test_a_key_over_its_limit_waits_and_others_do_not(idle_tracker: Tracker) -> None:
    await idle_tracker.start(RATE_PER_KEY="1:100", WRITE_KEYS=f"{WRITE},other")
    status, _, headers = await idle_tracker.post([seen()] * 60)
    assert (status, headers["RateLimit-Policy"], headers["RateLimit"]) == (202, '"key";q=100;w=100', '"key";r=40')
    status, told, headers = await idle_tracker.post([seen()] * 60)
    assert (status, told["error"]) == (429, headers["Beckon-Error"])
    assert told["error"].startswith("too many events with this key: 1 in a second, and 100 at once, are taken")
    assert 15 <= int(headers["Retry-After"]) <= 20
    status, _, _ = await idle_tracker.post([seen()] * 40)
    assert status == 202
    status, _, _ = await idle_tracker.post([seen()] * 60, key="other")
    assert status == 202
    assert len(await idle_tracker.stored()) == 160


async def test_a_limit_ends_when_it_says(idle_tracker: Tracker) -> None:
    await idle_tracker.start(RATE_PER_KEY="50:50")
    assert (await idle_tracker.post([seen()] * 50))[0] == 202
    status, _, headers = await idle_tracker.post([seen()] * 50)
    assert status == 429
    await asyncio.sleep(int(headers["Retry-After"]))  # as it was told
    assert (await idle_tracker.post([seen()] * 50))[0] == 202


async def test_addresses_and_people_are_limited_behind_a_proxy(idle_tracker: Tracker) -> None:
    await idle_tracker.start(TRUSTED_PROXIES="127.0.0.0/8", RATE_PER_ADDRESS="1:10", RATE_PER_PERSON="1:5")

    async def post(count: int, address: str, person: str, key: str = WRITE) -> tuple[int, str]:
        status, told, _ = await idle_tracker.post([seen(person)] * count, key=key, **{"X-Forwarded-For": address})
        return status, told.get("error", "")

    assert await post(5, "203.0.113.1", "ada") == (202, "")
    status, error = await post(1, "203.0.113.2", "ada")
    assert (status, error.partition(":")[0]) == (429, "too many events about this person")
    assert (await post(5, "203.0.113.1", "bob"))[0] == 202
    status, error = await post(1, "203.0.113.1", "cleo")
    assert (status, error.partition(":")[0]) == (429, "too many events from this address")
    assert (await post(50, "203.0.113.1", "ada", key=SECRET))[0] == 202


async def test_a_key_is_for_its_own_sites_pages(idle_tracker: Tracker) -> None:
    await idle_tracker.start(WRITE_KEYS=f"{WRITE}@https://shop.example")
    assert (await idle_tracker.post(seen(), Origin="https://shop.example"))[0] == 202
    assert (await idle_tracker.post(seen()))[0] == 202
    status, told, headers = await idle_tracker.post(seen(), Origin="https://evil.example")
    assert (status, told["error"]) == (403, "this write key is not for pages of this origin")
    assert headers["X-Request-Id"]


async def test_a_secret_key_is_known_by_its_hash_alone(idle_tracker: Tracker) -> None:
    await idle_tracker.start(SECRET_KEYS="sha256:" + hashlib.sha256(SECRET.encode()).hexdigest())
    assert (await idle_tracker.post(seen(), key=SECRET))[0] == 202
    (event,) = await idle_tracker.stored()
    assert (event.trusted, event.vouched) == (True, False)


async def test_a_user_token_vouches_for_a_page(idle_tracker: Tracker) -> None:
    await idle_tracker.start(PROTECTED_EVENTS="purchased, identify", USER_TOKEN_SECRETS=f"a:{TOKEN_SECRET}")
    claims = {"sub": "ada", "exp": (SystemClock().now() + HOUR) / SECOND}
    token = jwt.encode(claims, TOKEN_SECRET, "HS256", {"kid": "a"})
    bought = {"user_id": "ada", "event": "Order Completed"}
    status, told, _ = await idle_tracker.post(
        [bought, {**bought, "user_token": token}, {**bought, "user_id": "bob", "user_token": token}]
    )
    assert (status, told["accepted"]) == (202, 1)
    assert [(each["index"], each["error"]) for each in told["rejected"]] == [
        (0, "event: purchased is taken with a secret key or a user_token only"),
        (2, "user_token: is another user's"),
    ]
    (event,) = await idle_tracker.stored()
    assert (event.person, event.trusted, event.vouched) == ("ada", True, True)


async def test_machines_are_marked_and_addresses_are_cut(idle_tracker: Tracker) -> None:
    await idle_tracker.start()
    await idle_tracker.post(
        seen("bot"), **{"User-Agent": "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)"}
    )
    await idle_tracker.post(
        seen("human", context={"ip": "203.0.113.77"}), **{"User-Agent": "Mozilla/5.0 Firefox/150.0"}
    )
    context = {event.person: event.context for event in await idle_tracker.stored()}
    assert context == {"bot": {"bot": True}, "human": {"ip": "203.0.113.0"}}


async def test_a_request_has_an_id(idle_tracker: Tracker) -> None:
    service = await idle_tracker.start(LOG_LEVEL="debug")
    _, _, headers = await idle_tracker.post(seen(), **{"X-Request-Id": "abc-1"})
    assert headers["X-Request-Id"] == "abc-1"
    _, _, headers = await idle_tracker.post(seen(), **{"X-Request-Id": "no id at all"})
    assert headers["X-Request-Id"] != "no id at all"
    status, _, headers = await idle_tracker.post(seen(), key=None)
    lines = {line["request"]: line for line in service.logged("request")}
    assert lines["abc-1"]["status"] == 202
    assert lines[headers["X-Request-Id"]]["status"] == status == 401
