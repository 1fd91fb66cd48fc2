"""An SMTP server that misbehaves on command."""

import asyncio
import email
import email.policy
import ssl
import threading
from collections import Counter, deque
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from ipaddress import ip_address
from pathlib import Path
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support.ports import free_port

TLS, MAIL, RCPT, GO, DATA = STAGES = "TLS", "MAIL", "RCPT", "GO", "DATA"
"""GO is the answer to the command DATA, DATA that to the content. TLS, where it is offered, can only be dropped."""
DROP = "drop"
"""Close the connection instead of an answer."""
SLOW = "slow"
"""Accept after ``SLOW_S``."""
SLOW_S = 0.3
CUT = "cut"
"""For GO: ask for the content, and close the connection when it begins to come."""
HANG = "hang"
"""Answer only after ``release``."""


class SmtpServer:
    """Listens on a port of its own, in a thread; can be stopped and started again on the same port.

    ``answer(stage, *answers)`` plans what the next commands of a stage are answered; when the plan is used up, ``script`` is
    asked, and if it has none either everything is accepted. What was received is kept, whatever the answer.
    """

    def __init__(
        self,
        login: tuple[str, str] | None = None,
        *,
        tls: ssl.SSLContext | None = None,
        script: Callable[[str, str], str | None] = lambda stage, recipient: None,
    ) -> None:
        """With a ``login`` only who knows it may send; with ``tls`` STARTTLS is offered. ``script(stage, recipient)`` is called
        in the server's thread, at MAIL without a recipient."""
        self.port = free_port()
        self._login = login
        self._tls = tls
        self._script = script
        self._plans: dict[str, deque[str]] = {stage: deque() for stage in STAGES}
        self._lock = threading.Lock()
        self._received: list[EmailMessage] = []
        self._contents: list[bytes] = []
        self._encrypted: list[bool] = []
        self._accepted: list[str] = []
        self.senders: list[str] = []
        self._waiting = 0
        self._released = threading.Event()
        self.connections = 0
        self._transports: list[asyncio.BaseTransport] = []
        self._controller: Controller | None = None

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self.port}"

    def start(self) -> "SmtpServer":
        options: dict[str, Any] = {}
        if self._login:
            options = {"authenticator": self._authenticate, "auth_required": True, "auth_require_tls": False}
        if self._tls:
            options |= {"tls_context": self._tls}
        self._controller = _Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=10, **options)
        self._controller.start()
        return self

    def stop(self) -> None:
        """With every connection it has."""
        self._released.set()
        if self._controller is None:
            return
        self.disconnect()
        self._controller.stop()
        self._controller = None

    def disconnect(self) -> None:
        """End every open connection; new ones are welcome."""
        if self._controller is not None and self._controller.loop is not None:
            for transport in self._transports:
                self._controller.loop.call_soon_threadsafe(transport.close)
        self._transports = []

    def pause(self) -> None:
        """Read no more from any connection."""
        assert self._controller is not None
        assert self._controller.loop is not None
        for transport in self._transports:
            self._controller.loop.call_soon_threadsafe(transport.pause_reading)  # type: ignore[attr-defined]

    def answer(self, stage: str, *answers: str) -> None:
        self._plans[stage].extend(answers)

    def release(self) -> None:
        self._released.set()

    @property
    def received(self) -> Sequence[EmailMessage]:
        """Every mail whose content arrived, whatever became of it."""
        with self._lock:
            return tuple(self._received)

    @property
    def contents(self) -> Sequence[bytes]:
        """The same as bytes, as they came."""
        with self._lock:
            return tuple(self._contents)

    @property
    def encrypted(self) -> Sequence[bool]:
        """Whether each of them came over TLS."""
        with self._lock:
            return tuple(self._encrypted)

    def accepted(self) -> Counter[str]:
        """How often each Message-ID was answered 250."""
        with self._lock:
            return Counter(self._accepted)

    @property
    def waiting(self) -> int:
        """Mails that hang."""
        return self._waiting

    async def handle_EHLO(  # noqa: N802 - aiosmtpd's names
        self, server: Any, session: Any, _envelope: Any, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        with self._lock:
            self.connections += 1
            self._transports.append(server.transport)
        return responses

    async def handle_MAIL(self, server: Any, _session: Any, envelope: Any, address: str, options: list[str]) -> str:  # noqa: N802
        answer = await self.planned(MAIL, "", server)
        if answer.startswith("2"):
            envelope.mail_from = address
            self.senders.append(address)
            envelope.mail_options.extend(options)
        return answer

    async def handle_RCPT(self, server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:  # noqa: N802
        answer = await self.planned(RCPT, address, server)
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        with self._lock:
            self._received.append(mail)
            self._contents.append(envelope.content)
            self._encrypted.append(session.ssl is not None)
        answer = await self.planned(DATA, envelope.rcpt_tos[0], server)
        if answer.startswith("2"):
            with self._lock:
                self._accepted.append(str(mail["Message-ID"]))
        return answer

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert self._login is not None
        known = (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=known, handled=False)

    async def planned(self, stage: str, recipient: str, server: Any) -> str:
        with self._lock:
            answer = self._plans[stage].popleft() if self._plans[stage] else ""
        answer = answer or self._script(stage, recipient) or "250 OK"
        if answer == HANG:
            self._waiting += 1
            await asyncio.to_thread(self._released.wait)
            return "250 OK"
        if answer == SLOW:
            await asyncio.sleep(SLOW_S)
            return "250 OK"
        if answer == DROP:
            server.transport.abort()
            return "421 closing"
        return answer


class _Controller(Controller):
    def factory(self) -> SMTP:
        return _Smtp(self.handler, **self.SMTP_kwargs)


class _Smtp(SMTP):
    """Misbehaves at STARTTLS, and between the command DATA and the content, as well."""

    async def smtp_STARTTLS(self, arg: str) -> None:  # noqa: N802
        if await self.event_handler.planned(TLS, "", self) == "250 OK":
            await super().smtp_STARTTLS(arg)

    async def smtp_DATA(self, arg: str) -> None:  # noqa: N802
        recipient = self.envelope.rcpt_tos[0] if self.envelope.rcpt_tos else ""
        answer = await self.event_handler.planned(GO, recipient, self)
        if answer == CUT:
            await self.push("354 go on")
            await self._reader.readline()
            self.transport.abort()
        elif answer.startswith("2"):
            await super().smtp_DATA(arg)
        else:
            await self.push(answer)


def certificate(folder: Path, *, host: str = "127.0.0.1") -> tuple[ssl.SSLContext, Path]:
    """A server's context with a certificate of its own making, and the file of those who shall trust it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address(host))]), critical=False)
        .sign(key, SHA256())
    )
    trusted, secret = folder / "tls.crt", folder / "tls.key"
    trusted.write_bytes(made.public_bytes(Encoding.PEM))
    secret.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(trusted, secret)
    return context, trusted
