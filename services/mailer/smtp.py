"""Open connections to the SMTP server, and a mail's way over one of them.

A mail goes in two steps, so that it can be claimed in between: ``envelope`` (MAIL, RCPT), after which nothing can have
been sent, and ``content`` (DATA and the mail itself), after which only the server's answer tells.
"""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import structlog
from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import SMTPProtocol

from services.mailer.bounces import printable
from services.mailer.compose import Letter
from services.mailer.replies import Deferred, Lost, Reply, Result, decide_reply
from services.mailer.server import Server
from shared import metrics

log = structlog.get_logger()

IDLE_S = 5.0
"""A connection that was not used for so long is asked whether it still lives."""
PROBE_S = 5.0
LONGEST_AWAY_S = 5.0


class SmtpAway(Exception):
    """No connection can be had; the next attempt is in ``retry_s``. The mail is not at fault."""

    def __init__(self, reason: str, retry_s: float) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_s = retry_s


class Connection:
    def __init__(self, smtp: SMTP, data_timeout_s: float) -> None:
        self._smtp = smtp
        self._data_timeout_s = data_timeout_s
        self._between_mails = True
        self._reused = False
        self._used = asyncio.get_running_loop().time()

    async def envelope(self, letter: Letter) -> Result | None:
        """None: the server is ready for the content. One of several recipients is enough."""
        self._between_mails = False
        result = decide_reply("mail", await self._ask("MAIL", f"FROM:<{letter.sender}>"))
        if result:
            return result
        results = [
            decide_reply("rcpt", await self._ask("RCPT", f"TO:<{recipient}>")) for recipient in letter.recipients
        ]
        return None if None in results else results[0]

    async def content(self, letter: Letter) -> Result:
        if result := decide_reply("data", await self._ask("DATA")):
            return result
        protocol = self._smtp.protocol
        try:
            if protocol is None:
                raise SMTPServerDisconnected("disconnected before the content")
            protocol.write(_dotted(letter.content))
        except SMTPServerDisconnected as error:
            return Deferred("data", f"data: {error}")
        result = decide_reply("content", await self._answer(protocol))
        assert result is not None, "the answer to the content is always a result"
        return result

    @property
    def outlived(self) -> bool:
        """The server closed a connection that had served before: no word about the mail in hand."""
        return self._reused and not self._smtp.is_connected

    async def lives(self) -> bool:
        """Asks the server, if the connection was not used for a while."""
        if not self._smtp.is_connected:
            return False
        if asyncio.get_running_loop().time() - self._used < IDLE_S:
            return True
        answer = await self._ask("NOOP")
        return isinstance(answer, Reply) and answer.code // 100 == 2

    async def finish(self) -> None:
        """End a mail that was begun and not handed over."""
        if not self._between_mails:
            answer = await self._ask("RSET")
            self._between_mails = isinstance(answer, Reply) and answer.code // 100 == 2

    def rest(self) -> bool:
        """Put aside until the next mail; false if the connection is of no more use."""
        self._reused = True
        self._used = asyncio.get_running_loop().time()
        return self._between_mails and self._smtp.is_connected

    async def quit(self) -> None:
        if self._smtp.is_connected:
            await self._ask("QUIT")
        self.close()

    def close(self) -> None:
        self._smtp.close()

    async def _ask(self, *command: str) -> Reply | Lost:
        try:
            return _reply(await self._smtp.execute_command(*(part.encode("ascii") for part in command)))
        except SMTPResponseException as error:
            return Reply(error.code, error.message)  # not SMTP; the code is -1
        except (SMTPException, OSError) as error:
            return Lost(str(error) or type(error).__name__)

    async def _answer(self, protocol: SMTPProtocol) -> Reply | Lost:
        try:
            answer = _reply(await protocol.read_response(timeout=self._data_timeout_s))
        except SMTPResponseException as error:
            answer = Reply(error.code, error.message)
        except (SMTPException, OSError) as error:
            self.close()  # a late answer must not be taken for the answer to another command
            return Lost(str(error) or type(error).__name__)
        self._between_mails = True
        return answer


class Pool:
    """At most ``size`` connections. While the server is away nobody waits for it: ``connection`` raises at once, and a
    probe tries again every few seconds."""

    def __init__(
        self, server: Server, domain: str, *, size: int, timeout_s: float, data_timeout_s: float, tls_verify: bool
    ) -> None:
        self._server = server
        self._domain = domain
        self._timeout_s = timeout_s
        self._data_timeout_s = data_timeout_s
        self._tls_verify = tls_verify
        self._slots = asyncio.Semaphore(size)
        self._idle: list[Connection] = []
        self._open = 0
        self._failures = 0
        self._away = "not tried yet"
        self._retry_at = 0.0

    @property
    def reachable(self) -> bool:
        """Whether the last attempt to use the server came to a connection."""
        return not self._away

    @contextlib.asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """Raises ``SmtpAway``."""
        self._refuse_while_away()
        async with self._slots:
            connection = await self._idle_one() or await self._connect()
            try:
                yield connection
                await connection.finish()
            finally:
                if connection.rest():
                    self._idle.append(connection)
                else:
                    self._drop(connection)

    async def probe(self) -> None:
        """For ever: notice that the server went away, or that it is back, also when there is nothing to send."""
        while True:
            if not self._slots.locked():
                with contextlib.suppress(SmtpAway):
                    async with self.connection():
                        pass
            await asyncio.sleep(min(PROBE_S, max(0.1, self._retry_in())) if self._away else PROBE_S)

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
        self._refuse_while_away()
        smtp = SMTP(
            hostname=self._server.host,
            port=self._server.port,
            username=self._server.user,
            password=self._server.password,
            local_hostname=self._domain,
            use_tls=self._server.tls,
            validate_certs=self._tls_verify,
            timeout=self._timeout_s,
        )
        try:
            await smtp.connect()
        except (SMTPException, OSError, ValueError) as error:
            smtp.close()
            raise self._went_away(printable(str(error)) or type(error).__name__) from None
        except asyncio.CancelledError:
            smtp.close()
            raise
        if self._away:
            log.info("smtp_reached")
        self._away, self._failures = "", 0
        self._count(+1)
        return Connection(smtp, self._data_timeout_s)

    def _went_away(self, reason: str) -> SmtpAway:
        if reason != self._away:
            log.warning("smtp_unreachable", error=reason)
        self._away = reason
        self._failures += 1
        self._retry_at = asyncio.get_running_loop().time() + min(LONGEST_AWAY_S, 0.25 * 2**self._failures)
        return SmtpAway(reason, self._retry_in())

    def _refuse_while_away(self) -> None:
        if self._away and self._retry_in() > 0:
            raise SmtpAway(self._away, self._retry_in())

    def _retry_in(self) -> float:
        return self._retry_at - asyncio.get_running_loop().time()

    def _drop(self, connection: Connection) -> None:
        connection.close()
        self._count(-1)

    def _count(self, change: int) -> None:
        self._open += change
        metrics.SMTP_CONNECTIONS.set(self._open)


def _reply(response: SMTPResponse) -> Reply:
    return Reply(response.code, response.message)


def _dotted(content: bytes) -> bytes:
    """The content with its dots doubled and the final one (RFC 5321 section 4.5.2). Lines end in CRLF already."""
    dotted = content.replace(b"\r\n.", b"\r\n..")
    return (
        (b"." if dotted.startswith(b".") else b"") + dotted + (b".\r\n" if dotted.endswith(b"\r\n") else b"\r\n.\r\n")
    )
