"""What came of it: the mails in the inbox, and the fate of every trigger."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import asyncpg
import msgspec
from msgspec import Struct

from services.local.inbox.mailbox import Mail, Summary
from shared.clock import Instant

_TRIGGERS = """
    SELECT id, person, rule, state.micros(fired_at) AS due, coalesce(outcome, '') AS outcome, coalesce(reason, '') AS reason
    FROM state.triggers ORDER BY fired_at
"""
_STAMPS = "SELECT person, properties FROM state.events WHERE name = 'email_sent'"
_EVENTS = "SELECT name FROM state.events WHERE person = $1 ORDER BY happened_at"

_POLL_S = 0.1


class NotInTime(Exception):
    """What was waited for has not happened."""


class Fired(Struct, frozen=True):
    """A trigger; ``outcome`` is empty while it is on its way."""

    id: str
    person: str
    rule: str
    due: Instant
    outcome: str
    reason: str


class Listed(Struct):
    mails: list[Summary]


class Evidence:
    """``on_mail`` is called once with each mail that ``watch`` finds."""

    def __init__(
        self,
        http: aiohttp.ClientSession,
        inbox: str,
        database: asyncpg.Connection,
        on_mail: Callable[[Summary], None],
    ) -> None:
        self._http = http
        self._inbox = inbox
        self._database = database
        self._on_mail = on_mail
        self.mails: list[Summary] = []

    async def watch(self) -> None:
        """Take in mails as they come, until cancelled."""
        while True:
            newest = self.mails[-1].id if self.mails else 0
            async with self._http.get(f"{self._inbox}/api/mails", params={"after": newest, "limit": 10_000}) as answer:
                found = msgspec.json.decode(await answer.read(), type=Listed).mails
            for mail in reversed(found):
                self.mails.append(mail)
                self._on_mail(mail)
            await asyncio.sleep(_POLL_S)

    async def read(self, mail: Summary) -> Mail:
        async with self._http.get(f"{self._inbox}/api/mails/{mail.id}") as answer:
            return msgspec.json.decode(await answer.read(), type=Mail)

    async def fired(self) -> list[Fired]:
        return [Fired(**row) for row in await self._database.fetch(_TRIGGERS)]

    async def stamps(self) -> list[dict[str, Any]]:
        """Of each mail that was sent: when each stage was done with it."""
        return [msgspec.json.decode(row["properties"]) for row in await self._database.fetch(_STAMPS)]

    async def events_of(self, person: str) -> list[str]:
        return [row["name"] for row in await self._database.fetch(_EVENTS, person)]


async def until(what: str, happened: Callable[[], Awaitable[bool]], within_s: float) -> None:
    """Ask again and again. Raises ``NotInTime``."""
    try:
        async with asyncio.timeout(within_s):
            while not await happened():
                await asyncio.sleep(_POLL_S)
    except TimeoutError:
        raise NotInTime(f"{what} within {within_s:g} s") from None
