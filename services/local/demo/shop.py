"""The shop's side: what shoppers do, told to the tracker over HTTP as a web page tells it."""

from typing import Any

import aiohttp

from services.local.demo.scenarios import Did, Shopper
from shared.clock import MILLISECOND, Clock, Instant, rfc3339

Times = dict[str, Instant]
"""When the last event of each name happened."""


class NotAccepted(Exception):
    """The tracker did not take what it should have taken."""


class Shop:
    """``pictures`` is the address below which the products' pictures are."""

    def __init__(self, http: aiohttp.ClientSession, tracker: str, write_key: str, pictures: str, clock: Clock) -> None:
        self._http = http
        self._tracker = tracker
        self._headers = {"X-Write-Key": write_key}
        self._pictures = pictures
        self._clock = clock

    async def visit(self, shopper: Shopper, act: tuple[Did, ...], *, first: bool) -> Times:
        """Send what ``shopper`` did; with the first act, who that is as well. Answers once it is accepted."""
        now = self._clock.now() // MILLISECOND * MILLISECOND
        events = [self._event(shopper, did, now) for did in act]
        if first:
            events.insert(0, _identify(shopper, now - max(did.ago for did in act)))
        if shopper.pixel:
            for event in events:
                await self.show_pixel(event)
        else:
            await self.post(events)
        return {did.name: now - did.ago for did in act}

    async def post(self, events: list[dict[str, Any]]) -> None:
        status, answer = await self.answer_to(events)
        if status != 202 or answer.get("accepted") != len(events):
            raise NotAccepted(f"POST /v1/events answered {status}: {answer}")

    async def answer_to(self, events: Any) -> tuple[int, dict[str, Any]]:
        async with self._http.post(f"{self._tracker}/v1/events", json=events, headers=self._headers) as answer:
            return answer.status, await answer.json()

    async def show_pixel(self, event: dict[str, Any]) -> None:
        """What ``<img src="…/track?user_id=…&event=…">`` makes a browser do."""
        query = {name: str(value) for name, value in event.items() if name != "properties"}
        query |= {f"properties.{name}": str(value) for name, value in event.get("properties", {}).items()}
        async with self._http.get(f"{self._tracker}/track", params=query) as answer:
            image = await answer.read()
            if answer.status != 200 or len(image) != 43 or answer.headers.get("Cache-Control") != "no-store":
                raise NotAccepted(f"GET /track answered {answer.status}: {answer.headers.get('Beckon-Error', '')}")

    def _event(self, shopper: Shopper, did: Did, now: Instant) -> dict[str, Any]:
        properties = did.product.properties(self._pictures) if did.product else {}
        return {
            "user_id": shopper.key,
            "event": did.name,
            "timestamp": rfc3339(now - did.ago),
            "properties": properties,
        }


def _identify(shopper: Shopper, at: Instant) -> dict[str, Any]:
    who = {"email": shopper.email, "first_name": shopper.name}
    return {"user_id": shopper.key, "event": "identify", "timestamp": rfc3339(at), "properties": who}
