"""The mailer: from an allowed send to a mail that the SMTP server has taken."""

from pathlib import Path

import structlog

from services.mailer.compose import Sender, sender
from services.mailer.context import Shop
from services.mailer.dkim import Signer, aligned
from services.mailer.domains import Domains
from services.mailer.links import Linking
from services.mailer.pool import Pool
from services.mailer.preparing import Preparing
from services.mailer.relays import Relays
from services.mailer.sends import Backoff, Sends
from services.mailer.server import servers
from services.mailer.settings import Settings
from services.mailer.smtp import Options
from services.mailer.store import MIGRATIONS, Store
from services.mailer.templates import Templates
from shared import runtime as processes
from shared import subjects
from shared.consume import Consumer
from shared.dkim import GOOD_BITS, read_keys
from shared.errors import StartError
from shared.links import Links
from shared.messages import SendEmail
from shared.runtime import Runtime

log = structlog.get_logger()

MAX_PENDING = 100_000
"""Mails that a server has put off wait for their next try; they must not keep the others from theirs."""


async def serve(runtime: Runtime, settings: Settings) -> None:
    templates = _templates(settings)
    store = Store(await runtime.open_pool(settings.database_url, "mailer", MIGRATIONS))
    bus = await runtime.connect_bus(settings)
    from_ = sender(settings.mail_from)
    pools = _pools(settings, from_)
    relays = Relays(pools)
    runtime.readiness.check("smtp", lambda: relays.reachable)
    runtime.on_stop("close smtp", relays.close)
    for pool in pools:
        runtime.start(f"probe {pool.name}", pool.probe())
    preparing = Preparing(
        bus,
        runtime.clock,
        templates,
        from_,
        Shop(settings.site_name, settings.site_url),
        _linking(settings),
        _signer(settings, from_),
        reply_to=sender(settings.reply_to) if settings.reply_to else None,
        staging=settings.beckon_env == "staging",
        test_recipients=settings.test_recipients,
    )
    backoff = Backoff(settings.retry_first_s, settings.retry_longest_s)
    domains = Domains(settings.domain_concurrency, *backoff)
    sends = Sends(
        bus, store, preparing, relays, domains, runtime.clock, backoff=backoff, ack_wait_s=settings.ack_wait_s
    )
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


def _pools(settings: Settings, from_: Sender) -> list[Pool]:
    options = Options(
        from_.domain,
        settings.smtp_timeout_s,
        settings.smtp_data_timeout_s,
        tls_required=settings.smtp_tls == "required",
        tls_verify=settings.smtp_tls_verify,
    )
    return [Pool(server, options, server.pool or settings.smtp_pool) for server in servers(settings.smtp_url)]


def _linking(settings: Settings) -> Linking:
    if not settings.public_url:
        log.warning("mails_without_links", hint="set PUBLIC_URL and SECRET_KEY for opens, clicks and unsubscribing")
    return Linking(Links(settings.secret_key), settings.public_url)


def _signer(settings: Settings, from_: Sender) -> Signer:
    keys = read_keys(settings.dkim_keys)
    if not keys:
        log.info(
            "mails_without_signature", hint="set DKIM_KEYS, unless the SMTP server signs; beckon dkim new makes keys"
        )
    for key in keys:
        if key.weak:
            log.warning("dkim_key_weak", selector=key.selector, hint=f"an RSA key should have {GOOD_BITS} bits")
    domain = settings.dkim_domain
    return Signer(aligned(domain, from_.domain) if domain else from_.domain, keys)


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
