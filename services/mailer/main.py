"""The mailer: from an allowed send to a mail that the SMTP server has taken."""

from pathlib import Path

import structlog

from services.mailer.compose import Sender, sender
from services.mailer.context import Shop
from services.mailer.feedback import Feedback
from services.mailer.inbound import Inbound
from services.mailer.links import Linking
from services.mailer.preparing import Preparing
from services.mailer.reports import Reports
from services.mailer.sends import Backoff, Sends
from services.mailer.server import place, server
from services.mailer.settings import Settings
from services.mailer.smtp import Pool
from services.mailer.store import MIGRATIONS, Store
from services.mailer.suppressions import Suppressions
from services.mailer.templates import Templates
from services.mailer.verp import Verp, domain
from shared import runtime as processes
from shared import subjects
from shared.bus import Bus
from shared.consume import Consumer
from shared.endpoints import Endpoint, serve_endpoints
from shared.errors import StartError
from shared.links import Links
from shared.messages import ReportMails, SendEmail, SuppressAddress
from shared.runtime import Runtime

log = structlog.get_logger()

MAX_PENDING = 100_000
"""Mails that a server has put off wait for their next try; they must not keep the others from theirs."""


async def serve(runtime: Runtime, settings: Settings) -> None:
    templates = _templates(settings)
    database = await runtime.open_pool(settings.database_url, "mailer", MIGRATIONS)
    store, suppressions = Store(database), await Suppressions.open(database)
    bus = await runtime.connect_bus(settings)
    from_ = sender(settings.mail_from)
    pool = _pool(settings, from_)
    runtime.readiness.check("smtp", lambda: pool.reachable)
    runtime.on_stop("close smtp", pool.close)
    runtime.start("probe smtp", pool.probe())
    preparing = Preparing(
        bus,
        runtime.clock,
        templates,
        from_,
        Shop(settings.site_name, settings.site_url),
        _linking(settings),
        Feedback(_verp(settings), settings.mail_provider or None),
        suppressions,
        staging=settings.beckon_env == "staging",
        test_recipients=settings.test_recipients,
    )
    await _hear(runtime, bus, Reports(bus, suppressions, runtime.clock), settings)
    backoff = Backoff(settings.retry_first_s, settings.retry_longest_s)
    sends = Sends(bus, store, preparing, pool, runtime.clock, backoff=backoff, ack_wait_s=settings.ack_wait_s)
    await Consumer.start(
        runtime,
        bus,
        stream=subjects.SENDS,
        durable="mailer",
        subject=subjects.SENDS_EMAIL,
        type=SendEmail,
        handler=sends.on_send,
        concurrency=settings.concurrency,
        ack_wait_s=settings.ack_wait_s,
        max_pending=MAX_PENDING,
    )


async def _hear(runtime: Runtime, bus: Bus, reports: Reports, settings: Settings) -> None:
    """What is said of mails that were sent: by the tracker, operators, and mail servers."""
    await serve_endpoints(
        runtime,
        bus,
        "mailer",
        [
            Endpoint(subjects.DELIVERIES_REPORT, ReportMails, reports.on_reports),
            Endpoint(subjects.ADDRESSES_SUPPRESS, SuppressAddress, reports.on_suppress),
        ],
    )
    if (verp := _verp(settings)) and settings.bounce_listen:
        inbound = Inbound(verp, reports)
        await inbound.listen(*place(settings.bounce_listen))
        runtime.on_stop("stop taking bounces", inbound.stop)


def _verp(settings: Settings) -> Verp | None:
    return Verp(settings.secret_key, domain(settings.bounce_domain)) if settings.bounce_domain else None


def _pool(settings: Settings, from_: Sender) -> Pool:
    return Pool(
        server(settings.smtp_url),
        from_.domain,
        size=settings.smtp_pool,
        timeout_s=settings.smtp_timeout_s,
        data_timeout_s=settings.smtp_data_timeout_s,
        tls_verify=settings.smtp_tls_verify,
    )


def _linking(settings: Settings) -> Linking:
    if not settings.public_url:
        log.warning("mails_without_links", hint="set PUBLIC_URL and SECRET_KEY for opens, clicks and unsubscribing")
    return Linking(Links(settings.secret_key), settings.public_url)


def _templates(settings: Settings) -> Templates:
    """A folder that is not there stops the service; a flawed template fails its own mails only, and is told at once."""
    folder = Path(settings.templates_dir)
    if not folder.is_dir():
        raise StartError(f"TEMPLATES_DIR: {settings.templates_dir!r} is not a folder")
    templates = Templates(folder)
    for flaw in templates.flaws():
        log.error("template_flawed", flaw=flaw)
    return templates


def main() -> None:
    processes.main("mailer", Settings, serve)
