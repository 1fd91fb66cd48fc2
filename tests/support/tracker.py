"""A running tracker and a client of it."""

import json
from collections import Counter
from typing import Any

import aiohttp

from shared import subjects
from shared.messages import Event
from tests.support.stack import Service, Stack, until

WRITE, SECRET = "wk_public", "sk_secret"
GIF_SIZE = 43


class Tracker:
    """A running tracker and a client of it."""

    def __init__(self, stack: Stack, port: int) -> None:
        self.stack = stack
        self.port = port
        self.url = f"http://127.0.0.1:{port}"
        self.http = aiohttp.ClientSession(self.url, connector=aiohttp.TCPConnector(limit=0))
        self.service: Service | None = None

    async def start(self, **environment: str) -> Service:
        settings = {"WRITE_KEYS": WRITE, "SECRET_KEYS": SECRET, "HTTP_PORT": str(self.port), **environment}
        self.service = await self.stack.start("tracker", **settings)
        return self.service

    async def restart(self) -> None:
        assert self.service
        assert await self.service.stop() == 0
        await self.start()

    async def post(
        self, body: Any, *, key: str | None = WRITE, path: str = "/v1/events", **headers: str
    ) -> tuple[int, Any, Any]:
        """Status, decoded body, headers."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        given = {"Content-Type": "application/json", **({"X-Write-Key": key} if key else {}), **headers}
        async with self.http.post(path, data=data, headers=given) as answer:
            return answer.status, await answer.json(), answer.headers

    async def pixel(self, query: str) -> tuple[int, Any]:
        """Status and headers; always the picture."""
        async with self.http.get(f"/track?{query}") as answer:
            body = await answer.read()
            assert (answer.content_type, len(body), body[:6]) == ("image/gif", GIF_SIZE, b"GIF89a")
            assert answer.headers["Cache-Control"] == "no-store"
            return answer.status, answer.headers

    async def stored(self) -> list[Event]:
        return await self.stack.messages(subjects.EVENTS, Event)


async def events(tracker: Tracker, *names: str, within_s: float = 10) -> list[Event]:
    """Everything that is stored, once it is events of these names, in any order."""

    async def stored() -> list[Event]:
        found = await tracker.stored()
        return found if Counter(each.name for each in found) == Counter(names) else []

    try:
        return await until(stored, within_s=within_s)
    except AssertionError:
        found = [each.name for each in await tracker.stored()]
        raise AssertionError(f"stored {found}, expected {list(names)}") from None


def added(person: str = "u1", **fields: Any) -> dict[str, Any]:
    return {"user_id": person, "event": "Product Added", **fields}
