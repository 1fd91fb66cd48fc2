"""A connection to an SMTP server, and a mail's way over it.

A mail goes in two steps, so that it can be claimed in between: ``envelope`` (MAIL, RCPT, DATA), after which nothing can have
been sent, and ``content``, after which only the server's answer tells.
"""

import asyncio
from ipaddress import ip_address
from typing import Literal, NamedTuple, cast

from aiosmtplib import SMTP, SMTPException, SMTPResponse, SMTPResponseException, SMTPServerDisconnected
from aiosmtplib.protocol import SMTPProtocol

from services.mailer.compose import Letter
from services.mailer.replies import Deferred, Lost, Reply, Result, decide_reply
from services.mailer.server import Server

BLOCK_S = 180.0
"""For the server to take in the content; RFC 5321 section 4.5.3.2.5 asks for three minutes."""
IDLE_S = 5.0
"""A connection that was not used for so long is asked whether it still lives."""


class Options(NamedTuple):
    """``hello``: what it calls itself. ``data_timeout_s``: for the answer to a mail's content, ``timeout_s`` for any other."""

    hello: str
    timeout_s: float
    data_timeout_s: float
    tls_required: bool
    tls_verify: bool


class Connection:
    def __init__(self, smtp: SMTP, data_timeout_s: float) -> None:
        self._smtp = smtp
        self._data_timeout_s = data_timeout_s
        self._state: Literal["between", "begun", "content"] = "between"
        self._reused = False
        self._used = asyncio.get_running_loop().time()

    async def envelope(self, letter: Letter) -> Result | None:
        """None: the server waits for the content. One of several recipients is enough."""
        self._state = "begun"
        if result := decide_reply("mail", await self._ask("MAIL", f"FROM:<{letter.sender}>")):
            return result
        results = [
            decide_reply("rcpt", await self._ask("RCPT", f"TO:<{recipient}>")) for recipient in letter.recipients
        ]
        if None not in results:
            return results[0]
        if result := decide_reply("data", await self._ask("DATA")):
            return result
        self._state = "content"
        return None

    async def content(self, letter: Letter) -> Result:
        """The content first, then, when all of it has left this process, the dot that ends it: up to there nothing can have
        been sent."""
        protocol = self._smtp.protocol
        try:
            if protocol is None:
                raise SMTPServerDisconnected("disconnected before the content")
            protocol.write(_stuffed(letter.content))
            async with asyncio.timeout(min(BLOCK_S, self._data_timeout_s)):
                await protocol._drain_helper()  # what StreamWriter.drain calls; there is no other way to it
            protocol.write(b".\r\n")
        except (SMTPServerDisconnected, OSError, TimeoutError) as error:
            self.close()
            return Deferred("data", f"data: {str(error) or 'the content was not taken in time'}")
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
        """End a mail that was begun and not handed over. Where its content is waited for, nothing else can be said."""
        if self._state == "content":
            self.close()
        elif self._state == "begun":
            answer = await self._ask("RSET")
            if isinstance(answer, Reply) and answer.code // 100 == 2:
                self._state = "between"

    def rest(self) -> bool:
        """Put aside until the next mail; false if the connection is of no more use."""
        self._reused = True
        self._used = asyncio.get_running_loop().time()
        return self._state == "between" and self._smtp.is_connected

    async def quit(self) -> None:
        if self._smtp.is_connected:
            await self._ask("QUIT")
        self.close()

    def close(self) -> None:
        """At once: what was not sent yet is not waited for."""
        if self._smtp.transport is not None:
            cast(asyncio.WriteTransport, self._smtp.transport).abort()
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
        self._state = "between"
        return answer


async def connect(server: Server, options: Options) -> Connection:
    """Raises ``SMTPException``, ``OSError`` or ``ValueError``.

    Where STARTTLS is offered it must succeed: what follows is never sent in clear. Nor is a password, but on this machine.
    """
    smtp = SMTP(
        hostname=server.host,
        port=server.port,
        local_hostname=options.hello,
        use_tls=server.tls,
        validate_certs=options.tls_verify,
        timeout=options.timeout_s,
    )
    try:
        await smtp.connect()
        if smtp.get_transport_info("sslcontext") is None:
            if options.tls_required:
                raise SMTPException("it offers no STARTTLS, and SMTP_TLS is required")
            if server.user is not None and not local(smtp.get_transport_info("peername")[0]):
                raise SMTPException("it offers no STARTTLS, and the password is not sent in clear")
        if server.user is not None:
            await smtp.login(server.user, server.password or "")
        if smtp.is_ehlo_or_helo_needed:  # nothing that was said before TLS counts (RFC 3207 section 4.2)
            await smtp.ehlo()
        cast(asyncio.WriteTransport, smtp.transport).set_write_buffer_limits(0)  # so that drained is all gone
    except BaseException:
        smtp.close()
        raise
    return Connection(smtp, options.data_timeout_s)


def local(address: str) -> bool:
    """Whether it is this machine's own."""
    return ip_address(address.partition("%")[0]).is_loopback


def _reply(response: SMTPResponse) -> Reply:
    return Reply(response.code, response.message)


def _stuffed(content: bytes) -> bytes:
    """The content with its dots doubled (RFC 5321 section 4.5.2), up to the one that ends it. Lines end in CRLF already."""
    stuffed = content.replace(b"\r\n.", b"\r\n..")
    return (b"." if stuffed.startswith(b".") else b"") + stuffed + (b"" if stuffed.endswith(b"\r\n") else b"\r\n")
