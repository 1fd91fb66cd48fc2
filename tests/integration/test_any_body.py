"""Whatever stands in a body, the tracker answers, and never with an error of its own.

``FUZZ_BODIES`` says how many bodies are tried (3,000; 100,000 take about a minute), ``FUZZ_SEED`` which.
"""

import asyncio
import gzip
import json
import os
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime

import pytest

from tests.support.tracker import SECRET, Tracker

BODIES = int(os.environ.get("FUZZ_BODIES", "3000"))
SEED = int(os.environ.get("FUZZ_SEED", "4"))
AT_A_TIME = 32

NOW = datetime.now(UTC).isoformat()
EVENT = {
    "user_id": "ada",
    "anonymous_id": "a1",
    "event": "added_to_cart",
    "timestamp": NOW,
    "sent_at": time.time(),
    "event_id": "e1",
    "properties": {"product_id": "p1", "price": 49.9, "tags": ["a", {"b": None}], "name": "Kännchen ☕"},
    "context": {"ip": "192.0.2.7", "userAgent": "Mozilla/5.0", "page": {"url": "https://shop.test/"}},
}
CALL = {
    "type": "track",
    "userId": "ada",
    "anonymousId": 7,
    "event": "Order Completed",
    "messageId": "m1",
    "timestamp": NOW,
    "sentAt": NOW,
    "properties": {"revenue": 10, "products": [{"sku": "s"}]},
    "traits": {"email": "ada@example.test"},
    "context": {"library": {"name": "x"}, "ip": "::1"},
    "integrations": {"All": True},
}
SEEDS: list[tuple[str, object]] = [
    ("/v1/events", EVENT),
    ("/v1/events", [EVENT, EVENT | {"event_id": "e2"}]),
    ("/v1/import", [EVENT]),
    ("/v1/track", CALL),
    ("/v1/identify", CALL | {"type": "identify"}),
    ("/v1/alias", CALL | {"type": "alias", "previousId": "a1"}),
    ("/v1/group", CALL | {"type": "group", "groupId": 3}),
    ("/v1/page", CALL | {"type": "page", "name": "Home", "category": "x"}),
    ("/v1/batch", {"batch": [CALL, CALL | {"type": "page"}], "sentAt": NOW, "context": {}}),
]
ODD: list[object] = [
    *(None, True, False, 0, -1, 1.5, 1e308, 2**63, 2**64, -(2**70), "", " ", "\0", "\ud800", "a" * 300, "é" * 70),
    *("2026-02-30T25:00:00Z", "-1", [], {}, [[]], [None] * 300, {"": ""}, {"a": {"b": {"c": {}}}}),
]
BYTES = (b"\0", b"\xff", b"\\ud800", b"{", b"}", b"[", b"]", b'"', b"\\", b",", b"1e999", b"-", b"NaN", b"\xef\xbb\xbf")


def other_value(value: object, chance: random.Random) -> object:
    """The same document with one value somewhere replaced by an odd one, or one key by another."""
    if isinstance(value, dict) and value and chance.random() < 0.8:
        key = chance.choice(list(value))
        if chance.random() < 0.1:
            return {**{k: v for k, v in value.items() if k != key}, str(chance.choice(ODD)): value[key]}
        return {**value, key: other_value(value[key], chance)}
    if isinstance(value, list) and value and chance.random() < 0.8:
        place = chance.randrange(len(value))
        return [*value[:place], other_value(value[place], chance), *value[place + 1 :]]
    return chance.choice(ODD)


def other_bytes(body: bytes, chance: random.Random) -> bytes:
    """Some bytes flipped, cut out, doubled or put in."""
    for _ in range(chance.randint(1, 4)):
        start = chance.randrange(len(body) + 1)
        end = min(len(body), start + chance.randint(0, 8))
        middle = chance.choice((b"", body[start:end] * 2, chance.choice(BYTES), chance.randbytes(3)))
        body = body[:start] + middle + body[end:]
    return body


def bodies(chance: random.Random) -> Iterator[tuple[str, bytes, dict[str, str]]]:
    for _ in range(BODIES):
        path, document = chance.choice(SEEDS)
        for _ in range(chance.randint(0, 3)):
            document = other_value(document, chance)
        body = json.dumps(document).encode()
        headers = {"Content-Type": "application/json", "Authorization": f"Bearer {SECRET}"}
        if chance.random() < 0.5:
            body = other_bytes(body, chance)
        if chance.random() < 0.2:
            headers["Content-Encoding"] = "gzip"
            body = gzip.compress(body, 1)
            if chance.random() < 0.5:
                body = other_bytes(body, chance)
        yield path, body, headers


async def each(work: Callable[[], Iterator[tuple[str, bytes, dict[str, str]]]], tracker: Tracker) -> Counter[int]:
    """The statuses, of ``AT_A_TIME`` requests at a time."""
    waiting, statuses = work(), Counter[int]()

    async def send() -> None:
        for path, body, headers in waiting:
            async with tracker.http.post(path, data=body, headers=headers) as answer:
                await answer.read()
                statuses[answer.status] += 1
                assert answer.status < 500, (path, body, headers)

    await asyncio.gather(*(send() for _ in range(AT_A_TIME)))
    return statuses


@pytest.mark.timeout(600)
async def test_any_body_is_answered_and_none_with_an_error_of_ours(idle_tracker: Tracker) -> None:
    service = await idle_tracker.start(RATE_PER_KEY="0")
    statuses = await each(lambda: bodies(random.Random(SEED)), idle_tracker)
    print(f"seed {SEED}: {dict(statuses)}")
    assert statuses.total() == BODIES
    assert {200, 202, 400} <= set(statuses) <= {200, 202, 400, 408, 413, 415}
    assert min(statuses[400], statuses[200], statuses[202]) > BODIES / 50, "every kind of answer is tried"
    assert service.ready()
    assert "Traceback" not in service.log.read_text()
