"""The mailer: from an allowed send to a mail that the SMTP server has taken."""

from pathlib import Path

from services.mailer import parts
from services.mailer.catalogue.learner import Learner
from services.mailer.catalogue.service import Service
from services.mailer.catalogue.shelf import Shelf
from services.mailer.catalogue.store import Catalogue
from services.mailer.composing import Composer
from services.mailer.coupons.handing import Coupons
from services.mailer.coupons.store import Store as CouponStore
from services.mailer.domains import Domains
from services.mailer.inbound import Inbound
from services.mailer.operating import Operating
from services.mailer.preparing import Preparing
from services.mailer.reports import Reports
from services.mailer.sends import Backoff, Sends
from services.mailer.server import place
from services.mailer.settings import Settings
from services.mailer.store import MIGRATIONS, Store
from services.mailer.suppressions import Suppressions
from services.mailer.template_store import TemplateStore
from services.mailer.templates import Templates
from shared import runtime as processes
from shared import subjects
from shared.bus import Bus
from shared.consume import Consumer
from shared.endpoints import serve_endpoints
from shared.messages import SendEmail
from shared.runtime import Runtime

MAX_PENDING = 100_000
"""Mails that a server has put off wait for their next try; they must not keep the others from theirs."""


async def serve(runtime: Runtime, settings: Settings) -> None:
    database = await runtime.open_pool(settings.database_url, "mailer", MIGRATIONS)
    bus = await runtime.connect_bus(settings)
    clock, letterhead = runtime.clock, parts.letterhead(settings)
    suppressions, catalogue = await Suppressions.open(database), Catalogue(database)
    coupons, reports = Coupons(CouponStore(database), clock), Reports(bus, suppressions, clock)
    template_store = TemplateStore(database)
    templates = Templates(template_store, clock, Path(settings.templates_dir))
    await templates.refresh()
    runtime.start("follow templates", templates.follow())
    runtime.start("watch coupon pools", coupons.watch())
    Learner(bus, catalogue, clock, settings.own_hosts, coupons.on_events).start(runtime)
    relays = parts.relays(settings, letterhead.sender)
    relays.start(runtime)
    await _hear_of_bounces(runtime, settings, reports)

    signer = parts.signer(settings, letterhead.sender)
    composer = Composer(templates, Shelf(catalogue), coupons, parts.linking(settings), signer, letterhead, clock)
    operating = Operating(bus, clock, templates, template_store, composer, relays, letterhead, settings.test_recipients)
    asked = (operating, Service(catalogue, clock), coupons, reports)
    await serve_endpoints(runtime, bus, "mailer", [endpoint for each in asked for endpoint in each.endpoints()])

    staging = settings.beckon_env == "staging"
    preparing = Preparing(bus, clock, composer, suppressions, staging=staging, test_recipients=settings.test_recipients)
    backoff = Backoff(settings.retry_first_s, settings.retry_longest_s)
    domains = Domains(settings.domain_concurrency, *backoff)
    sends = Sends(
        bus, Store(database), preparing, relays, domains, clock, backoff=backoff, ack_wait_s=settings.ack_wait_s
    )
    await _deliver(runtime, settings, bus, sends)


async def _hear_of_bounces(runtime: Runtime, settings: Settings, reports: Reports) -> None:
    if (verp := parts.verp(settings)) and settings.bounce_listen:
        inbound = Inbound(verp, reports, parts.certificate(settings))
        await inbound.listen(*place(settings.bounce_listen))
        runtime.on_stop("stop taking bounces", inbound.stop)


async def _deliver(runtime: Runtime, settings: Settings, bus: Bus, sends: Sends) -> None:
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


def main() -> None:
    processes.main("mailer", Settings, serve)
