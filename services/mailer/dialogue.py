"""The server's side of an SMTP conversation (RFC 5321), as much of it as taking bounces needs. Pure: lines in, replies out.

It takes mail for one kind of recipient and hands it to nobody, so it relays nothing.
"""

import re
from collections.abc import Callable
from typing import Literal, NamedTuple

MAX_SIZE = 10 * 1024 * 1024
"""Bytes of a mail: ours, come back whole and encoded once more, have a fiftieth."""
MAX_LINE = 1000
MAX_COMMANDS = 100
"""Of one connection."""
MAX_FAULTS = 5
"""Commands refused; whoever tries addresses has no more tries."""
MAX_RECIPIENTS = 10

_COMMAND = re.compile(r"([A-Z]{4}|STARTTLS)(?: +(.*))?", re.IGNORECASE)
_PATH = re.compile(r"<(?:@[^<>:]*:)?([^<>\s]*)>(?: .*)?")


class Answer(NamedTuple):
    """``then``: what the server does next. ``data``: take the content. ``tls``: shake hands, and forget what came before it."""

    reply: str
    then: Literal["listen", "data", "tls", "close"] = "listen"


class Dialogue:
    """``name``: whom the server says it is. ``knows``: whether mail for an address is taken. ``tls``: whether it is offered."""

    def __init__(self, name: str, knows: Callable[[str], bool], *, tls: bool = False) -> None:
        self._name = name
        self._knows = knows
        self._tls = tls
        self._greeted = False
        self._sender: str | None = None
        self._commands = 0
        self._faults = 0
        self.recipients: list[str] = []

    @property
    def greeting(self) -> str:
        return f"220 {self._name} ESMTP, bounces only"

    def command(self, line: bytes) -> Answer:
        """``line``: without its line break."""
        self._commands += 1
        if self._commands > MAX_COMMANDS:
            return Answer("421 4.7.0 too many commands", "close")
        answer = self._answer(line.decode("ascii", "replace"))
        if answer.reply.startswith("5"):
            self._faults += 1
            if self._faults >= MAX_FAULTS:
                return Answer("421 4.7.0 too many errors", "close")
        return answer

    def taken(self, reply: str) -> Answer:
        """The content came and is answered so: the next mail may begin."""
        self._forget()
        return Answer(reply)

    def _answer(self, line: str) -> Answer:
        match = _COMMAND.fullmatch(line.strip())
        verb, argument = (match[1].upper(), match[2] or "") if match else ("", "")
        match verb:
            case "EHLO" | "HELO":
                self._greeted = True
                self._forget()
                if verb == "HELO":
                    return Answer(f"250 {self._name}")
                said = [self._name, *(["STARTTLS"] if self._tls else []), "8BITMIME"]
                return Answer("".join(f"250-{line}\r\n" for line in said) + f"250 SIZE {MAX_SIZE}")
            case "STARTTLS" if self._tls and not argument:
                # Who spoke before the handshake may have been anybody (RFC 3207 section 4.2).
                self._tls = self._greeted = False
                self._forget()
                return Answer("220 2.0.0 go ahead", "tls")
            case "MAIL":
                return self._mail(argument)
            case "RCPT":
                return self._rcpt(argument)
            case "DATA":
                return Answer("354 go on", "data") if self.recipients else Answer("503 5.5.1 RCPT first")
            case "RSET":
                self._forget()
                return Answer("250 2.0.0 OK")
            case "NOOP":
                return Answer("250 2.0.0 OK")
            case "QUIT":
                return Answer("221 2.0.0 bye", "close")
            case "VRFY":
                return Answer("252 2.5.0 send it and see")
        return Answer("500 5.5.1 not a command here")

    def _mail(self, argument: str) -> Answer:
        path = _path(argument, "FROM:")
        if path is None:
            return Answer("501 5.5.4 MAIL FROM:<address>")
        if not self._greeted or self._sender is not None:
            return Answer("503 5.5.1 not now")
        size = re.search(r" SIZE=(\d{1,20})(?: |$)", argument.upper())
        if size and int(size[1]) > MAX_SIZE:
            return Answer("552 5.3.4 too large")
        self._sender = path
        return Answer("250 2.1.0 OK")

    def _rcpt(self, argument: str) -> Answer:
        path = _path(argument, "TO:")
        if path is None:
            return Answer("501 5.5.4 RCPT TO:<address>")
        if self._sender is None:
            return Answer("503 5.5.1 MAIL first")
        if not self._knows(path):
            return Answer("550 5.1.1 no such address here")
        if len(self.recipients) >= MAX_RECIPIENTS:
            return Answer("452 4.5.3 too many recipients")
        self.recipients.append(path)
        return Answer("250 2.1.5 OK")

    def _forget(self) -> None:
        self._sender = None
        self.recipients = []


def _path(argument: str, keyword: str) -> str | None:
    """What stands between the brackets, without a source route; empty for ``<>``."""
    if not argument.upper().startswith(keyword):
        return None
    match = _PATH.fullmatch(argument[len(keyword) :].strip())
    return match[1] if match else None
