"""What a mail to the address for bounces says of a mail of ours. Pure.

Three kinds are understood: delivery status notifications (RFC 3464), complaints in the Abuse Reporting Format (RFC 5965), and
what servers write that know neither. Answers of people and of their absence are no reports, and neither is a delay.
"""

import re
from collections.abc import Sequence

from msgspec import Struct

from services.mailer import mime
from services.mailer.bounces import status_in
from services.mailer.mime import Headers, Part
from shared.reports import MailReport

MAX_BYTES = 256 * 1024
"""Of a mail that are looked at. The report comes first; after it a copy of our mail."""
MAX_RECIPIENTS = 10
SOURCE = "smtp"

_DAEMON = re.compile(r"(?<![\w.-])(mailer-daemon|postmaster|mail-daemon)(?![\w.-])", re.IGNORECASE)
_REPLY = re.compile(r"(?<![\d.])(5[0-7]\d)(?=[ -]\S)")
_REPORTS = frozenset({"message/delivery-status", "message/global-delivery-status"})
_ORIGINALS = frozenset({"message/rfc822", "message/global", "text/rfc822-headers", "message/rfc822-headers"})


class Notice(Struct, frozen=True):
    """``report``: none, if it says nothing to act on, and ``ignored`` says why. ``tokens``: what may be the token of the mail
    in question, where the notice itself names one."""

    report: MailReport | None
    tokens: Sequence[str] = ()
    ignored: str = ""


def read(data: bytes) -> Notice:
    """Whatever the bytes are, of which there are at most ``MAX_BYTES``. Takes milliseconds."""
    mail = mime.read(data)
    parts = list(mime.walk(mail))
    for part in parts:
        if part.type == "message/feedback-report":
            return _complaint(mime.headers(part.decoded().strip()), parts)
    for part in parts:
        if part.type in _REPORTS:
            return _status(part, parts)
    return _plain(mail, parts)


def _status(part: Part, parts: Sequence[Part]) -> Notice:
    """RFC 3464: a block about the mail, then one for each recipient. One mail of ours has one."""
    blocks = re.split(rb"(?:\r?\n){2,}", part.decoded().strip(), maxsplit=MAX_RECIPIENTS + 1)
    recipients = [fields for block in blocks if (fields := mime.headers(block)) and "action" in fields]
    failed = [fields for fields in recipients if fields["action"].lower().startswith("failed")]
    if not failed:
        actions = ", ".join(fields["action"][:20] for fields in recipients)
        return Notice(None, ignored=f"no failure: {actions}" if actions else "a status of nobody")
    fields = failed[0]
    diagnosis = fields.get("diagnostic-code", "").partition(";")[2].strip()
    # Exchange and others put 5.0.0, which says nothing, and the real one into the diagnosis.
    status = status_in(fields.get("status", ""))
    if not status or status.endswith(".0.0"):
        status = status_in(diagnosis) or status
    return Notice(MailReport(SOURCE, status=status, code=_code(diagnosis), reason=diagnosis or status), _tokens(parts))


def _complaint(fields: Headers, parts: Sequence[Part]) -> Notice:
    """RFC 5965. Of the types that are registered, these are people's complaints."""
    kind = fields.get("feedback-type", "").lower()
    if kind not in ("abuse", "fraud"):
        return Notice(None, ignored=f"feedback of type {kind[:20]!r}")
    given = (fields.get("original-mail-from", ""), fields.get("cfbl-feedback-id", ""))
    return Notice(MailReport(SOURCE, kind="complaint", reason=kind), (*map(_token, given), *_tokens(parts)))


def _plain(mail: Part, parts: Sequence[Part]) -> Notice:
    """A server that writes prose: it says so of itself, and somewhere there is a code."""
    recipient = mail.headers.get("x-failed-recipients")
    if recipient is None and not _DAEMON.search(mail.headers.get("from", "")[:500]):
        automatic = mail.headers.get("auto-submitted", "no").lower() != "no"
        return Notice(None, ignored="an automatic answer" if automatic else "no report")
    text = next((part.text() for part in parts if part.type in ("text/plain", "text/html")), "")
    status, code = status_in(text), _code(text)
    if not status and code is None:
        return Notice(None, ignored="a report without a code")
    place = text.find(status or str(code))
    return Notice(MailReport(SOURCE, status=status, code=code, reason=text[max(0, place - 60) : place + 240]))


def _code(text: str) -> int | None:
    match = _REPLY.search(text)
    return int(match[1]) if match else None


def _tokens(parts: Sequence[Part]) -> tuple[str, ...]:
    """Where the copy of our mail, or of its head, has the token."""
    found: list[str] = []
    for part in parts:
        if part.type in _ORIGINALS:
            original = mime.read(part.decoded().lstrip()).headers
            found += [original.get("cfbl-feedback-id", ""), _token(original.get("return-path", ""))]
    return tuple(token for token in found if token)


def _token(address: str) -> str:
    """Of an address like ``<bounce+TOKEN@bounces.shop.example>``."""
    return address.strip(" <>").partition("@")[0].rpartition("+")[2]
