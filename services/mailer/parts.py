"""The mailer's parts, made from its settings."""

from pathlib import Path

import structlog

from services.mailer.certificate import Certificate
from services.mailer.compose import Sender
from services.mailer.compose import sender as read_sender
from services.mailer.composing import Letterhead
from services.mailer.context import Shop
from services.mailer.dkim import Signer, aligned
from services.mailer.feedback import Feedback
from services.mailer.links import Linking
from services.mailer.locales import reader
from services.mailer.pool import Pool
from services.mailer.relays import Relays
from services.mailer.server import servers
from services.mailer.settings import Settings
from services.mailer.smtp import Options
from services.mailer.verp import Verp, domain
from shared.dkim import GOOD_BITS, read_keys
from shared.links import Links

log = structlog.get_logger()


def letterhead(settings: Settings) -> Letterhead:
    return Letterhead(
        Shop(settings.site_name, settings.site_url, reader(settings.site_locale, settings.site_timezone)),
        read_sender(settings.mail_from),
        read_sender(settings.reply_to) if settings.reply_to else None,
        Feedback(verp(settings), settings.mail_provider or None),
    )


def verp(settings: Settings) -> Verp | None:
    return Verp(settings.secret_key, domain(settings.bounce_domain)) if settings.bounce_domain else None


def certificate(settings: Settings) -> Certificate | None:
    if not settings.bounce_tls_dir:
        return None
    found = Certificate(Path(settings.bounce_tls_dir))
    found.context()  # what is wrong with it is told at the start
    return found


def relays(settings: Settings, from_: Sender) -> Relays:
    options = Options(
        from_.domain,
        settings.smtp_timeout_s,
        settings.smtp_data_timeout_s,
        tls_required=settings.smtp_tls == "required",
        tls_verify=settings.smtp_tls_verify,
    )
    pools = [Pool(server, options, server.pool or settings.smtp_pool) for server in servers(settings.smtp_url)]
    return Relays(pools)


def linking(settings: Settings) -> Linking:
    if not settings.public_url:
        log.warning("mails_without_links", hint="set PUBLIC_URL and SECRET_KEY for opens, clicks and unsubscribing")
    return Linking(Links(settings.secret_key), settings.public_url)


def signer(settings: Settings, from_: Sender) -> Signer:
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
