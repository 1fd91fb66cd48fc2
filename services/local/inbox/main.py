"""The inbox process: open the mailbox, listen on both ports, end on a signal."""

import asyncio
import sys
from pathlib import Path

import structlog

from services.local.inbox.mailbox import Mailbox
from services.local.inbox.settings import Settings
from services.local.inbox.smtp import serve_smtp
from services.local.inbox.web import application
from services.local.web import serve
from shared import logs, signals
from shared.clock import SystemClock
from shared.settings import SettingsError, load

log = structlog.get_logger()


def main() -> None:
    try:
        settings = load(Settings)
    except SettingsError as error:
        sys.exit("\n".join(f"beckon inbox: {line}" for line in error.lines))
    logs.configure("inbox", settings.log_level)
    asyncio.run(run(settings))


async def run(settings: Settings) -> None:
    stopping = signals.heed(asyncio.Event())
    mailbox = Mailbox(Path(settings.inbox_folder), settings.keep_mails)
    smtp = await serve_smtp(mailbox, SystemClock(), settings.smtp_port)
    pages = await serve(application(mailbox, Path(settings.pictures_dir)), settings.http_port)
    log.info("inbox_started", smtp_port=smtp.sockets[0].getsockname()[1], http_port=pages.addresses[0][1])
    await stopping.wait()
    smtp.close()
    await pages.cleanup()
    log.info("inbox_stopped", mails=len(mailbox))
