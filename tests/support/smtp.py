"""An SMTP server that misbehaves on command."""

import asyncio
import email
import email.policy
import threading
from collections import Counter, deque
from collections.abc import Sequence
from email.message import EmailMessage
from typing import Any

from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult

from services.local.postgres import free_port

DROP = "drop"
"""Close the connection instead of an answer."""
HANG = "hang"
"""Answer only after ``release``."""


class SmtpServer:
    """Listens on a port of its own, in a thread; can be stopped and started again on the same port.

    ``answer(stage, *answers)`` plans what the next commands of a stage (MAIL, RCPT, DATA: the content) are answered; when
    the plan is used up, everything is accepted. What was received is kept, whatever the answer.
    """

    def __init__(self, login: tuple[str, str] | None = None) -> None:
        """With a ``login`` only who knows it may send."""
        self.port = free_port()
        self._login = login
        self._plans: dict[str, deque[str]] = {stage: deque() for stage in ("MAIL", "RCPT", "DATA")}
        self._lock = threading.Lock()
        self._received: list[EmailMessage] = []
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
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, ready_timeout=10, **options)
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

    def answer(self, stage: str, *answers: str) -> None:
        self._plans[stage].extend(answers)

    def release(self) -> None:
        self._released.set()

    @property
    def received(self) -> Sequence[EmailMessage]:
        """Every mail whose content arrived, whatever became of it."""
        with self._lock:
            return tuple(self._received)

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
        answer = await self._planned("MAIL", server)
        if answer.startswith("2"):
            envelope.mail_from = address
            self.senders.append(address)
            envelope.mail_options.extend(options)
        return answer

    async def handle_RCPT(self, server: Any, _session: Any, envelope: Any, address: str, _options: list[str]) -> str:  # noqa: N802
        answer = await self._planned("RCPT", server)
        if answer.startswith("2"):
            envelope.rcpt_tos.append(address)
        return answer

    async def handle_DATA(self, server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        with self._lock:
            self._received.append(mail)
        answer = await self._planned("DATA", server)
        if answer.startswith("2"):
            with self._lock:
                self._accepted.append(str(mail["Message-ID"]))
        return answer

    def _authenticate(self, _server: Any, _session: Any, _envelope: Any, _mechanism: str, data: Any) -> AuthResult:
        assert self._login is not None
        known = (data.login.decode(), data.password.decode()) == self._login
        return AuthResult(success=known, handled=False)

    async def _planned(self, stage: str, server: Any) -> str:
        with self._lock:
            answer = self._plans[stage].popleft() if self._plans[stage] else "250 OK"
        if answer == HANG:
            self._waiting += 1
            await asyncio.to_thread(self._released.wait)
            return "250 OK"
        if answer == DROP:
            server.transport.abort()
            return "421 closing"
        return answer
