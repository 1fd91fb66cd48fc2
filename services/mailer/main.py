"""The mailer: from an allowed send to a mail that the SMTP server has taken."""

from pathlib import Path

import structlog

from services.mailer.compose import Sender, sender
from services.mailer.context import Shop
from services.mailer.coupons.handing import Coupons
from services.mailer.coupons.store import Store as CouponStore
from services.mailer.dkim import Signer, aligned
from services.mailer.links import Linking
from services.mailer.preparing import Preparing
from services.mailer.sends import Backoff, Sends
from services.mailer.server import server
from services.mailer.settings import Settings
from services.mailer.smtp import Pool
from services.mailer.store import MIGRATIONS, Store
from services.mailer.templates import Templates
from shared import runtime as processes
from shared import subjects
from shared.consume import Consumer
from shared.coupons import AddCodes, CheckCode, ListCoupons, PutCoupon, ReadCodes
from shared.dkim import GOOD_BITS, read_keys
from shared.endpoints import Endpoint, serve_endpoints
from shared.errors import StartError
from shared.links import Links
from shared.messages import SendEmail
from shared.runtime import Runtime

log = structlog.get_logger()

MAX_PENDING = 100_000
"""Mails that a server has put off wait for their next try; they must not keep the others from theirs."""


async def serve(runtime: Runtime, settings: Settings) -> None:
    templates = _templates(settings)
    database = await runtime.open_pool(settings.database_url, "mailer", MIGRATIONS)
    bus = await runtime.connect_bus(settings)
    from_ = sender(settings.mail_from)
    pool = _pool(settings, from_)
    runtime.readiness.check("smtp", lambda: pool.reachable)
    runtime.on_stop("close smtp", pool.close)
    runtime.start("probe smtp", pool.probe())
    coupons = Coupons(CouponStore(database), runtime.clock)
    runtime.start("watch coupon pools", coupons.watch())
    preparing = Preparing(
        bus,
        runtime.clock,
        templates,
        from_,
        Shop(settings.site_name, settings.site_url),
        _linking(settings),
        coupons,
        _signer(settings, from_),
        reply_to=sender(settings.reply_to) if settings.reply_to else None,
        staging=settings.beckon_env == "staging",
        test_recipients=settings.test_recipients,
    )
    backoff = Backoff(settings.retry_first_s, settings.retry_longest_s)
    sends = Sends(bus, Store(database), preparing, pool, runtime.clock, backoff=backoff, ack_wait_s=settings.ack_wait_s)
    await serve_endpoints(runtime, bus, "mailer", endpoints(coupons))
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


def endpoints(coupons: Coupons) -> list[Endpoint]:
    return [
        Endpoint(subjects.COUPONS_PUT, PutCoupon, coupons.on_put),
        Endpoint(subjects.COUPONS_ADD, AddCodes, coupons.on_add),
        Endpoint(subjects.COUPONS_LIST, ListCoupons, coupons.on_list),
        Endpoint(subjects.COUPONS_CODES, ReadCodes, coupons.on_codes),
        Endpoint(subjects.COUPONS_CHECK, CheckCode, coupons.on_check),
    ]


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


def _signer(settings: Settings, from_: Sender) -> Signer:
    keys = read_keys(settings.dkim_keys)
    if not keys:
        log.warning(
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
