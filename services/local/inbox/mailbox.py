"""The mails on disk, and what a list shows of them in memory.

A mail is two files: ``000000042.eml`` as it came over SMTP, and ``000000042.json`` with its ``Summary``. The second is written
last and gets its name when it is complete, so a mail is there as a whole or not at all.
"""

import email
import email.policy
from collections.abc import Sequence
from datetime import datetime
from email.message import EmailMessage
from itertools import islice, takewhile
from pathlib import Path

import msgspec
from msgspec import Struct

from shared.clock import MILLISECOND, Instant, from_datetime, rfc3339


class Summary(Struct, frozen=True):
    """A mail as a list shows it. ``sender`` and ``recipients`` are the envelope's: who really sent and got it."""

    id: int
    subject: str
    shown_from: str
    shown_to: str
    sender: str
    recipients: list[str]
    received: str
    received_us: Instant
    trigger: str | None = None
    latency_ms: float | None = None
    """From the instant the mail was due to the instant it was taken, where the mail says when it was due."""


class Mail(Struct, frozen=True):
    """A mail as a person and a developer look at it."""

    summary: Summary
    headers: list[tuple[str, str]]
    html: str | None
    text: str | None


class Mailbox:
    """Opened on a folder, which is made if need be; holds the last ``keep`` mails."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder = folder
        self._keep = keep
        folder.mkdir(parents=True, exist_ok=True)
        stored = (msgspec.json.decode(path.read_bytes(), type=Summary) for path in sorted(folder.glob("*.json")))
        self._summaries = {summary.id: summary for summary in stored}
        self._last = max(self._summaries, default=0)

    def __len__(self) -> int:
        return len(self._summaries)

    def add(self, sender: str, recipients: Sequence[str], content: bytes, received: Instant) -> Summary:
        """Keep a mail. Raises ``OSError`` if the disk does not take it."""
        summary = _summarise(self._last + 1, sender, recipients, _parse(content), received)
        self._path(summary.id, "eml").write_bytes(content)
        unfinished = self._folder / "unfinished"
        unfinished.write_bytes(msgspec.json.encode(summary))
        unfinished.replace(self._path(summary.id, "json"))
        self._last = summary.id
        self._summaries[summary.id] = summary
        while len(self._summaries) > self._keep:
            self._forget(next(iter(self._summaries)))
        return summary

    def latest(self, after: int, limit: int) -> list[Summary]:
        """The latest mails with an id above ``after``, the latest first."""
        newer = takewhile(lambda number: number > after, reversed(self._summaries))
        return [self._summaries[number] for number in islice(newer, limit)]

    def read(self, number: int) -> Mail | None:
        content = self.source(number)
        if content is None:
            return None
        message = _parse(content)
        headers = [(name, str(value)) for name, value in message.items()]
        return Mail(self._summaries[number], headers, _part(message, "html"), _part(message, "plain"))

    def source(self, number: int) -> bytes | None:
        """The mail as it came over SMTP."""
        return self._path(number, "eml").read_bytes() if number in self._summaries else None

    def _forget(self, number: int) -> None:
        del self._summaries[number]
        for kind in ("json", "eml"):
            self._path(number, kind).unlink(missing_ok=True)

    def _path(self, number: int, kind: str) -> Path:
        return self._folder / f"{number:09}.{kind}"


def _parse(content: bytes) -> EmailMessage:
    return email.message_from_bytes(content, policy=email.policy.default)


def _summarise(
    number: int, sender: str, recipients: Sequence[str], message: EmailMessage, received: Instant
) -> Summary:
    due = _instant(str(message.get("X-Beckon-Due", "")))
    trigger = message.get("X-Beckon-Trigger")
    return Summary(
        id=number,
        subject=str(message.get("Subject", "")),
        shown_from=str(message.get("From", "")),
        shown_to=str(message.get("To", "")),
        sender=sender,
        recipients=list(recipients),
        received=rfc3339(received),
        received_us=received,
        trigger=None if trigger is None else str(trigger),
        latency_ms=None if due is None else (received - due) / MILLISECOND,
    )


def _part(message: EmailMessage, kind: str) -> str | None:
    body = message.get_body((kind,))
    if body is None:
        return None
    content = body.get_payload(decode=True)
    assert isinstance(content, bytes)  # a part of type text is never multipart
    try:
        return content.decode(body.get_content_charset("utf-8"), "replace")
    except LookupError:  # a charset that Python does not know
        return content.decode("utf-8", "replace")


def _instant(text: str) -> Instant | None:
    try:
        return from_datetime(datetime.fromisoformat(text))
    except (ValueError, TypeError):  # not a time, or one without a zone
        return None
