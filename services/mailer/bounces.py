"""What kind of bounce a refusal is: the one classifier, for what a server says at once and for what is reported later. Pure."""

import re

from shared.reports import Bounce

_SHOWN = 300
_ENHANCED = re.compile(r"(?<![\d.])[245]\.(\d{1,3})\.(\d{1,3})(?![\d.])")
_ADDRESS = re.compile(r"[^\s<>@\"'(),:;]{1,64}@[^\s<>@\"'(),:;]{1,255}")
_OURS = {("1", "7"), ("1", "8")}
"""It is the sender's address that is at fault."""
_FOR_NOW = {("2", "2"), ("2", "3")}
"""The mailbox is full, or this one mail too large for it."""
_FULL = 552
"""The reply code of a mailbox that is full (RFC 5321 section 4.2.3), where no better code is given."""


def classify(status: str, code: int | None = None) -> Bounce:
    """Hard: the address does not exist. Soft: a full mailbox or a fault on the way. Blocked: the policy of the server, so
    the fault is ours. By the enhanced status code (RFC 3463) at the beginning of ``status``, else by the reply ``code``."""
    if match := _ENHANCED.match(status):
        subject, detail = match.groups()
        if subject in ("6", "7") or (subject, detail) in _OURS:
            return "blocked"
        if (subject, detail) in _FOR_NOW or subject in ("3", "4"):
            return "soft"
        return "hard" if status[0] == "5" else "soft"
    return "soft" if code is None or code == _FULL or code // 100 != 5 else "hard"


def status_in(text: str) -> str:
    """The first enhanced status code of a failure in a text, empty if there is none."""
    return next((match[0] for match in _ENHANCED.finditer(text) if match[0][0] in "45"), "")


def printable(text: str) -> str:
    """One line of what a stranger sent: no control characters, no broken UTF-8, not endless."""
    return " ".join("".join(char if char.isprintable() else " " for char in text[: 4 * _SHOWN]).split())[:_SHOWN]


def reason(text: str) -> str:
    """The same without the addresses in it: it becomes a property of an event."""
    return printable(_ADDRESS.sub("…", text[: 4 * _SHOWN]))
