"""The SMTP side: everything that is sent is taken and kept."""

import asyncio

import structlog
from aiosmtpd.smtp import SMTP, Envelope, Session

from services.local.inbox.mailbox import Mailbox
from shared.clock import Clock

log = structlog.get_logger()


class Keeper:
    """What aiosmtpd calls with each mail."""

    def __init__(self, mailbox: Mailbox, clock: Clock) -> None:
        self._mailbox = mailbox
        self._clock = clock

    async def handle_DATA(self, _: SMTP, __: Session, envelope: Envelope) -> str:  # noqa: N802 - aiosmtpd's name
        content = envelope.original_content or b""
        try:
            mail = self._mailbox.add(envelope.mail_from or "", envelope.rcpt_tos, content, self._clock.now())
        except OSError as error:
            log.error("mail_not_kept", error=str(error))
            return "452 4.3.1 The disk does not take it"
        log.info("mail_kept", mail=mail.id, trigger=mail.trigger)
        return f"250 2.0.0 Kept as {mail.id}"


async def serve_smtp(mailbox: Mailbox, clock: Clock, port: int) -> asyncio.Server:
    keeper = Keeper(mailbox, clock)
    # Given its name, aiosmtpd does not ask the resolver for it, which can take seconds.
    return await asyncio.get_running_loop().create_server(
        lambda: SMTP(keeper, hostname="inbox.localhost", ident="Beckon inbox", enable_SMTPUTF8=True), "127.0.0.1", port
    )
