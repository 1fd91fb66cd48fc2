"""Where bounces and complaints come in by mail: a listener that takes mail for VERP addresses of ours and nothing else.

A mail is answered 250 once what it says is kept; while that cannot be, 451, and its server comes again.
"""

import asyncio
import contextlib
import ssl
from typing import cast

import structlog

from services.mailer import notices
from services.mailer.certificate import Certificate
from services.mailer.dialogue import MAX_LINE, MAX_SIZE, Dialogue
from services.mailer.notices import MAX_BYTES, Notice
from services.mailer.reports import Reports
from services.mailer.verp import Verp
from shared import db, metrics
from shared.bus import describe
from shared.errors import Unavailable
from shared.links import BadToken

log = structlog.get_logger()

SESSION_S = 300.0
"""How long a connection may last, and so take over anything."""
SILENCE_S = 60.0
"""How long to wait for a command."""
HANDSHAKE_S = 10.0
MAX_SESSIONS = 100
"""At a time; the next one is asked to come again."""
MAX_AT_ONCE = 4
"""Mails whose reports are being kept, so that a flood of them leaves the database to the mails that go out."""

_END = b"\r\n.\r\n"
_CHUNK = 64 * 1024


class TooLong(Exception):
    """A line or a mail that goes on for ever."""


class Inbound:
    """With a ``certificate`` it offers STARTTLS."""

    def __init__(self, verp: Verp, reports: Reports, certificate: Certificate | None = None) -> None:
        self._verp = verp
        self._reports = reports
        self._certificate = certificate
        self._sessions = 0
        self._at_once = asyncio.Semaphore(MAX_AT_ONCE)
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    async def listen(self, host: str, port: int) -> int:
        """Answers the port taken."""
        self._server = await asyncio.start_server(self._serve, host, port, backlog=MAX_SESSIONS, limit=_CHUNK)
        taken: int = self._server.sockets[0].getsockname()[1]
        log.info("bounces_listening", host=host, port=taken)
        return taken

    async def stop(self) -> None:
        """What is being taken is taken to its end, or comes again."""
        if self._server is not None:
            self._server.close()
        if self._open:
            await asyncio.wait(self._open, timeout=1.0)
        for task in self._open:
            task.cancel()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        self._sessions += 1
        wire = _Wire(reader, writer)
        try:
            async with asyncio.timeout(SESSION_S):
                await self._converse(wire)
        except (TimeoutError, OSError, asyncio.IncompleteReadError, TooLong) as error:
            log.debug("bounce_session_broken_off", **describe(error))
        except asyncio.CancelledError:
            pass  # at the end of the process; nobody waits for this task
        except Exception:  # a bug, found by a stranger: the mailer lives on, and the mail comes again
            log.exception("bounce_session_failed")
        finally:
            self._sessions -= 1
            self._open.discard(task)
            wire.close()

    async def _converse(self, wire: "_Wire") -> None:
        if self._sessions > MAX_SESSIONS:
            metrics.BOUNCE_MAILS.labels("busy").inc()
            await wire.say("421 4.3.2 too many connections")
            return
        context = self._certificate and self._certificate.context()
        dialogue = Dialogue(self._verp.domain, self._knows, tls=context is not None)
        await wire.say(dialogue.greeting)
        then = "listen"
        while then != "close":
            try:
                answer = dialogue.command(await wire.line())
            except TooLong:
                await wire.say("500 5.5.2 line too long")
                return
            then = answer.then
            if then == "tls" and context:
                await wire.encrypt(answer.reply, context)
                continue
            await wire.say(answer.reply)
            if then == "data":
                try:
                    content = await wire.content()
                except TooLong:
                    metrics.BOUNCE_MAILS.labels("too_large").inc()
                    await wire.say("552 5.3.4 too large")
                    return
                await wire.say(dialogue.taken(await self._take(dialogue.recipients, content)).reply)

    def _knows(self, address: str) -> bool:
        if self._verp.is_complaints(address):
            return True
        try:
            self._verp.read(address)
        except BadToken as error:
            metrics.BOUNCE_MAILS.labels("forged").inc()
            log.debug("bounce_refused", error=str(error))
            return False
        return True

    async def _take(self, recipients: list[str], content: bytes) -> str:
        notice = notices.read(content)
        if notice.report is None:
            metrics.BOUNCE_MAILS.labels("ignored").inc()
            log.info("bounce_ignored", reason=notice.ignored)
            return "250 2.0.0 not a report to act on"
        keys = {key for address in recipients if (key := self._key(address, notice)) is not None}
        if not keys:
            metrics.BOUNCE_MAILS.labels("forged").inc()
            log.info("complaint_without_token")
            return "250 2.0.0 about no mail of ours"
        try:
            async with self._at_once:
                for key in keys:
                    await self._reports.take(notice.report, key)
        except (Unavailable, *db.AWAY) as error:
            metrics.BOUNCE_MAILS.labels("unavailable").inc()
            log.warning("bounce_not_kept_yet", **describe(error))
            return "451 4.3.0 come again later"
        metrics.BOUNCE_MAILS.labels("reported").inc()
        return "250 2.0.0 taken"

    def _key(self, address: str, notice: Notice) -> bytes | None:
        """Which mail a notice to ``address`` is about; in the mailbox for complaints the notice must name it itself."""
        if not self._verp.is_complaints(address):
            return self._verp.read(address)
        for token in notice.tokens:
            with contextlib.suppress(BadToken):
                return self._verp.read_token(token)
        return None


class _Wire:
    """Lines, and contents, of bounded length."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._read = bytearray()

    async def say(self, reply: str) -> None:
        self._writer.write(f"{reply}\r\n".encode("ascii"))
        await self._writer.drain()

    async def encrypt(self, reply: str, context: ssl.SSLContext) -> None:
        """Say it, and go on encrypted. What was sent ahead of the handshake is not read: anybody on the way may have put it
        there. Raises ``OSError``, as which handshakes fail."""
        loop = asyncio.get_running_loop()
        clear = cast(asyncio.Transport, self._writer.transport)
        clear.pause_reading()  # the handshake is for TLS to read, and may come at once
        await self.say(reply)
        self._read.clear()
        self._reader = asyncio.StreamReader(limit=_CHUNK)
        protocol = asyncio.StreamReaderProtocol(self._reader)
        transport = await loop.start_tls(clear, protocol, context, server_side=True, ssl_handshake_timeout=HANDSHAKE_S)
        assert transport is not None
        protocol.connection_made(transport)
        self._writer = asyncio.StreamWriter(transport, protocol, self._reader, loop)

    def close(self) -> None:
        self._writer.close()

    async def line(self) -> bytes:
        """Without its line break. Raises ``TooLong``."""
        async with asyncio.timeout(SILENCE_S):
            while (end := self._read.find(b"\n")) < 0:
                if len(self._read) > MAX_LINE:
                    raise TooLong
                await self._more()
        if end > MAX_LINE:
            raise TooLong
        line = bytes(self._read[:end]).rstrip(b"\r")
        del self._read[: end + 1]
        return line

    async def content(self) -> bytes:
        """The beginning of a mail, which ends with the line with the dot; the dots that were doubled are single again (RFC 5321
        section 4.5.2). The rest of a long one is let go of as it comes. Raises ``TooLong``."""
        kept, size = bytearray(), 0
        self._read[:0] = b"\r\n"  # the first line may be the dot
        while (end := self._read.find(_END)) < 0:
            done = max(0, len(self._read) - len(_END) + 1)
            kept += self._read[: min(done, MAX_BYTES - len(kept))]
            del self._read[:done]
            size += done
            if size > MAX_SIZE:
                raise TooLong
            await self._more()
        kept += self._read[: min(end + 2, MAX_BYTES - len(kept))]
        del self._read[: end + len(_END)]
        return bytes(kept).replace(b"\r\n..", b"\r\n.").removeprefix(b"\r\n")

    async def _more(self) -> None:
        data = await self._reader.read(_CHUNK)
        if not data:
            raise ConnectionResetError("the connection ended")
        self._read += data
