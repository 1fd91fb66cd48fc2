"""The HTTP edge: events in, stored in JetStream before they are acknowledged."""

import structlog

from services.tracker import sdk
from services.tracker.amazon import Amazon
from services.tracker.edge import Edge
from services.tracker.hooks import Hooks
from services.tracker.http import build_handler, listen
from services.tracker.mails import Mails
from services.tracker.publisher import Publisher
from services.tracker.settings import Settings
from shared.clock import SECOND
from shared.links import Links
from shared.runtime import Runtime
from shared.runtime import main as runtime_main

log = structlog.get_logger()


async def serve(runtime: Runtime, settings: Settings) -> None:
    bus = await runtime.connect_bus(settings)
    publisher = Publisher(bus, capacity=settings.publish_capacity_mib * 2**20, timeout_s=settings.publish_timeout_s)
    mails = Mails(
        publisher,
        bus,
        Links(settings.secret_key),
        runtime.clock,
        human_after=round(settings.human_after_s * SECOND),
        site=settings.site_name,
        timeout_s=settings.body_timeout_s,
    )
    runtime.on_stop("give up what cannot be stored", mails.stop)
    runtime.start("publisher", publisher.run())
    runtime.on_stop("drain publisher", publisher.drain)
    edge = Edge(
        publisher,
        settings.guard(),
        runtime.clock,
        pixel_key_required=settings.pixel_key_required,
        body_timeout_s=settings.body_timeout_s,
        public_url=settings.public_url,
        shop_secrets=settings.shop_secrets,
    )
    hooks = Hooks(
        bus,
        runtime.clock,
        settings.hook_secrets,
        Amazon(settings.ses_topic_arns),
        body_timeout_s=settings.body_timeout_s,
    )
    server, port = await listen(
        build_handler(edge, mails, hooks, sdk.load()),
        settings.http_host,
        settings.http_port,
        linger_s=settings.body_timeout_s,
        shutdown_s=settings.shutdown_s / 2,
    )
    runtime.on_stop("close http", server.cleanup)
    log.info("tracker_listening", host=settings.http_host, port=port)


def main() -> None:
    runtime_main("tracker", Settings, serve)
