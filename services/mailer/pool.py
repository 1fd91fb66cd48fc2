"""Open connections to one SMTP server, a relay."""

import asyncio
import contextlib

import structlog
from aiosmtplib import SMTPException

from services.mailer.bounces import printable
from services.mailer.breaker import Breaker
from services.mailer.replies import Result
from services.mailer.server import Server
from services.mailer.smtp import Connection, Options, connect
from shared import metrics

log = structlog.get_logger()

PROBE_S = 5.0


class SmtpAway(Exception):
    """No connection can be had; the next attempt is in ``retry_s``. The mail is not at fault."""

    def __init__(self, reason: str, retry_s: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_s = retry_s


class Pool:
    """At most ``size`` connections. While the server is away nobody waits for it: ``take`` raises at once, and a probe tries
    again every few seconds."""

    def __init__(self, server: Server, options: Options, size: int) -> None:
        self.name = server.name
        self._server = server
        self._options = options
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._breaker = Breaker()
        self._next_at = 0.0
        self._connections = metrics.SMTP_CONNECTIONS.labels(self.name)
        self._usable = metrics.SMTP_RELAY_USABLE.labels(self.name)

    @property
    def reachable(self) -> bool:
        """Whether the last attempt to use the server came to a connection."""
        return self._breaker.reachable

    def away(self) -> SmtpAway | None:
        """Why nothing can go to it now, if so."""
        wait_s = self._breaker.wait_s(_now())
        return SmtpAway(self._breaker.reason, wait_s) if wait_s else None

    def pace_s(self) -> float:
        """For how long the next mail has to wait, by the server's rate."""
        return max(0.0, self._next_at - _now())

    def count_one(self) -> None:
        """One mail more, by the server's rate."""
        self._next_at = max(self._next_at, _now()) + self._server.interval_s

    async def take(self) -> Connection:
        """Raises ``SmtpAway``. Every connection that is taken is put back."""
        self._refuse_while_away()
        await self._slots.acquire()
        try:
            self._refuse_while_away()
            self._breaker.attempt(_now())
            return await self._idle_one() or await self._connect()
        except BaseException:
            self._slots.release()
            raise

    def put_back(self, connection: Connection) -> None:
        if connection.rest():
            self._idle.append(connection)
        else:
            self._drop(connection)
        self._slots.release()

    def answered(self, result: Result, domain: str) -> None:
        """What came of a mail for somebody of ``domain``."""
        metrics.SMTP_MAILS.labels(self.name, type(result).__name__.lower()).inc()
        before = self._breaker.reason
        self._breaker.answered(result, domain, _now())
        if self._breaker.reason and not before:
            log.warning("smtp_relay_rests", relay=self.name, error=self._breaker.reason)
        self._tell()

    async def probe(self) -> None:
        """For ever: notice that the server went away, or that it is back, also when there is nothing to send."""
        while True:
            if not self._slots.locked() and not self._breaker.storm:
                with contextlib.suppress(SmtpAway):
                    self.put_back(await self.take())
            away = self.away()
            await asyncio.sleep(PROBE_S if away is None else min(PROBE_S, max(0.1, away.retry_s)))

    async def close(self) -> None:
        """Say goodbye on the idle connections, which is all of them once the sends are finished."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*(connection.quit() for connection in idle))

    async def _idle_one(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if await connection.lives():
                return connection
            self._drop(connection)
        return None

    async def _connect(self) -> Connection:
        try:
            connection = await connect(self._server, self._options)
        except (SMTPException, OSError, ValueError) as error:
            raise self._went_away(printable(str(error)) or type(error).__name__) from None
        if not self._breaker.reachable:
            log.info("smtp_reached", relay=self.name)
        self._breaker.connected()
        self._connections.inc()
        self._tell()
        return connection

    def _went_away(self, reason: str) -> SmtpAway:
        if reason != self._breaker.reason:
            log.warning("smtp_unreachable", relay=self.name, error=reason)
        self._breaker.lost(reason, _now())
        self._tell()
        return SmtpAway(reason, self._breaker.wait_s(_now()))

    def _refuse_while_away(self) -> None:
        if away := self.away():
            raise away

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._connections.dec()

    def _tell(self) -> None:
        self._usable.set(not self._breaker.reason)


def _now() -> float:
    return asyncio.get_running_loop().time()
