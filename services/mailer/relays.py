"""The SMTP servers in their order: a mail goes over the first that can be had and is not over its rate."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from services.mailer.pool import Pool, SmtpAway
from services.mailer.smtp import Connection
from shared.runtime import Runtime

LONGEST_PACED_S = 10.0
"""A mail that has to wait no longer for its turn by the rates stays in hand: nothing else could go meanwhile."""


class Line(NamedTuple):
    """A connection, and the relay at its other end."""

    connection: Connection
    relay: Pool


class Relays:
    """``relays``: the most wanted first."""

    def __init__(self, relays: Sequence[Pool]) -> None:
        self._relays = tuple(relays)

    def start(self, runtime: Runtime) -> None:
        """Watch the relays until the process ends; it is ready for traffic while any of them is."""
        runtime.readiness.check("smtp", lambda: self.reachable)
        runtime.on_stop("close smtp", self.close)
        for relay in self._relays:
            runtime.start(f"probe {relay.name}", relay.probe())

    @property
    def reachable(self) -> bool:
        return any(relay.reachable for relay in self._relays)

    def refuse_while_away(self) -> None:
        """Raises ``SmtpAway`` if no relay can be had."""
        aways = [away for relay in self._relays if (away := relay.away())]
        if len(aways) == len(self._relays):
            raise min(aways, key=lambda away: away.retry_s)

    @contextlib.asynccontextmanager
    async def line(self) -> AsyncIterator[Line]:
        """For one mail. Raises ``SmtpAway``."""
        line = await self._open()
        try:
            yield line
            await line.connection.finish()
        finally:
            line.relay.put_back(line.connection)

    async def _open(self) -> Line:
        while True:
            self.refuse_while_away()
            there = [relay for relay in self._relays if relay.away() is None]
            relay = min(there, key=Pool.pace_s)  # the first of those that are free
            wait_s = relay.pace_s()
            if wait_s > LONGEST_PACED_S:
                raise SmtpAway("over its rate", wait_s)
            relay.count_one()
            await asyncio.sleep(wait_s)
            try:
                return Line(await relay.take(), relay)
            except SmtpAway:
                continue  # with those that are left

    async def close(self) -> None:
        await asyncio.gather(*(relay.close() for relay in self._relays))
