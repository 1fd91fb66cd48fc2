"""The mailer: from an allowed send to a mail that the SMTP server has taken."""

from pathlib import Path

import structlog

from services.mailer.compose import Sender, sender
from services.mailer.context import Shop
from services.mailer.links import Linking
from services.mailer.locales import reader
from services.mailer.operating import Operating
from services.mailer.preparing import Preparing
from services.mailer.sends import Backoff, Sends
from services.mailer.server import server
from services.mailer.settings import Settings
from services.mailer.smtp import Pool
from services.mailer.store import MIGRATIONS, Store
from services.mailer.template_store import TemplateStore
from services.mailer.templates import Templates
from shared import runtime as processes
from shared import subjects
from shared.consume import Consumer
from shared.endpoints import serve_endpoints
from shared.links import Links
from shared.messages import SendEmail
from shared.runtime import Runtime

log = structlog.get_logger()

MAX_PENDING = 100_000
"""Mails that a server has put off wait for their next try; they must not keep the others from theirs."""


async def serve(runtime: Runtime, settings: Settings) -> None:
    database = await runtime.open_pool(settings.database_url, "mailer", MIGRATIONS)
    store = Store(database)
    template_store = TemplateStore(database)
    templates = await _templates(runtime, settings, template_store)
    bus = await runtime.connect_bus(settings)
    from_ = sender(settings.mail_from)
    pool = _pool(settings, from_)
    runtime.readiness.check("smtp", lambda: pool.reachable)
    runtime.on_stop("close smtp", pool.close)
    runtime.start("probe smtp", pool.probe())
    shop = Shop(settings.site_name, settings.site_url, reader(settings.site_locale, settings.site_timezone))
    preparing = Preparing(
        bus,
        runtime.clock,
        templates,
        from_,
        shop,
        _linking(settings),
        staging=settings.beckon_env == "staging",
        test_recipients=settings.test_recipients,
    )
    operating = Operating(bus, runtime.clock, templates, template_store, pool, from_, shop, settings.test_recipients)
    await serve_endpoints(runtime, bus, "mailer", operating.endpoints())
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


async def _templates(runtime: Runtime, settings: Settings, store: TemplateStore) -> Templates:
    templates = Templates(store, runtime.clock, Path(settings.templates_dir))
    await templates.refresh()
    runtime.start("follow templates", templates.follow())
    return templates


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


def main() -> None:
    processes.main("mailer", Settings, serve)
