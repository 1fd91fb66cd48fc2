"""What is told of mails that were sent."""

from typing import Literal

from msgspec import Struct

Bounce = Literal["hard", "soft", "blocked"]
"""The address does not exist; a full mailbox or a fault on the way; refused for what or whom it came from."""


class MailReport(Struct, frozen=True, omit_defaults=True):
    """What somebody who handled a mail says became of it, named by its trigger or by its Message-ID. No address: the mailer
    knows whom the mail went to.

    ``kind`` none: a bounce whose kind follows from ``status``, an enhanced status code (RFC 3463) and what follows it, or
    from ``code``, an SMTP reply code.
    """

    source: str
    trigger: str = ""
    message_id: str = ""
    kind: Bounce | Literal["complaint"] | None = None
    status: str = ""
    code: int | None = None
    reason: str = ""


class ReportMails(Struct):
    """Request on ``deliveries.report``."""

    reports: list[MailReport]


class MailsReported(Struct):
    """Reply to ``ReportMails``, once what the reports say is stored and told. ``unknown``: about mails nobody sent."""

    known: int
    unknown: int


class SuppressAddress(Struct):
    """Request on ``addresses.suppress``: send nothing to this address any more (``remove``: lift that)."""

    address: str
    reason: str = ""
    remove: bool = False


class AddressSuppressed(Struct):
    suppressed: bool
