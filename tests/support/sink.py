"""An SMTP server that remembers what it accepted."""

import email
import email.policy
import threading
from collections import Counter
from typing import Any

from aiosmtpd.controller import Controller

from tests.support.ports import free_port


class Sink:
    """Listens on 127.0.0.1 in a thread of its own."""

    def __init__(self) -> None:
        self.mails: list[email.message.EmailMessage] = []
        self._lock = threading.Lock()
        self._controller = Controller(self, hostname="127.0.0.1", port=free_port(), ready_timeout=10)

    async def handle_DATA(self, server: Any, session: Any, envelope: Any) -> str:  # noqa: N802 - aiosmtpd's name
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        with self._lock:
            self.mails.append(mail)
        return "250 OK"

    def start(self) -> "Sink":
        self._controller.start()
        return self

    @property
    def url(self) -> str:
        return f"smtp://127.0.0.1:{self._controller.port}"

    def message_ids(self) -> Counter[str]:
        with self._lock:
            return Counter(str(mail["Message-ID"]) for mail in self.mails)

    def recipients(self) -> Counter[str]:
        with self._lock:
            return Counter(str(mail["To"]) for mail in self.mails)

    def stop(self) -> None:
        self._controller.stop()
