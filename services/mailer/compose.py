"""A mail, from what a template made of it. Nothing that a person or a site sent can add a header: every header value is one
line of plain characters, and the message is built by the standard library, which encodes what is not ASCII (RFC 2047)."""

import hashlib
import re
from email import policy
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import format_datetime, parseaddr

from msgspec import Struct

from services.mailer.address import To, normal
from shared.clock import Instant, rfc3339, to_datetime

_SUBJECT_LENGTH = 250
_ID = re.compile(r"[A-Za-z0-9_-]+(\.[A-Za-z0-9_-]+)*")


class Sender(Struct, frozen=True):
    """``Shop <shop@example.test>``: what people see, and the envelope's sender."""

    name: str
    address: str

    @property
    def domain(self) -> str:
        return self.address.rpartition("@")[2]


class Rendered(Struct, frozen=True):
    """What a template made of a send."""

    subject: str
    html: str
    text: str


class Letter(Struct, frozen=True):
    """A mail as it goes to the SMTP server."""

    sender: str
    recipients: tuple[str, ...]
    message_id: str
    content: bytes


def sender(text: str) -> Sender:
    """Raises ``ValueError`` if ``text`` is not like ``Shop <shop@example.test>``."""
    name, address = parseaddr(text)
    return Sender(_one_line(name), normal(address or text))


def message_id(send: str, domain: str) -> str:
    """The same send always has the same Message-ID, so that even a mail that went twice can be told to be one."""
    local = send if _ID.fullmatch(send) and len(send) <= 64 else hashlib.sha256(send.encode()).hexdigest()[:32]
    return f"<{local}@{domain}>"


def compose(
    send: str, rendered: Rendered, to: To, from_: Sender, now: Instant, *, due: Instant | None = None
) -> Letter:
    """``due``: when the rule became true; an inbox can show how long the mail took."""
    message = EmailMessage(policy.SMTP)
    message["From"] = Address(from_.name, addr_spec=from_.address)
    message["To"] = [Address(addr_spec=address) for address in to.addresses]
    message["Subject"] = to.prefix + _one_line(rendered.subject)[:_SUBJECT_LENGTH]
    message["Date"] = format_datetime(to_datetime(now).replace(microsecond=0))
    message["Message-ID"] = message_id(send, from_.domain)
    message["X-Beckon-Trigger"] = _one_line(send)
    if due is not None:
        message["X-Beckon-Due"] = rfc3339(due)
    # Quoted-printable passes every server, also one without 8BITMIME, and keeps lines short.
    message.set_content(rendered.text.strip() + "\n", cte="quoted-printable")
    message.add_alternative(rendered.html.strip() + "\n", subtype="html", cte="quoted-printable")
    return Letter(from_.address, to.addresses, str(message["Message-ID"]), message.as_bytes())


def _one_line(text: str) -> str:
    """Without control characters, and without encoded words: the standard library decodes those that it finds in a value
    (``=?utf-8?q?=0D=0ABcc:…?=``), line breaks included, and writes them out as they are."""
    return " ".join("".join(char if char.isprintable() else " " for char in text).split()).replace("=?", "= ?")
