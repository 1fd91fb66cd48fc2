"""The webhook service: from an allowed send to a signed request that an endpoint has taken."""

import asyncio

import structlog

from services.webhook.addresses import read_allowed
from services.webhook.caller import Caller
from services.webhook.courier import Courier, Terms
from services.webhook.gate import Gate
from services.webhook.lanes import Lanes
from services.webhook.operating import Operating
from services.webhook.preparing import Preparing
from services.webhook.sends import Sends
from services.webhook.settings import Settings
from services.webhook.signing import read_keys
from services.webhook.store import MIGRATIONS, Store
from shared import db, subjects
from shared import runtime as processes
from shared.bus import describe
from shared.clock import SECOND, Clock, Duration, SystemClock
from shared.consume import Consumer
from shared.durations import parse_duration
from shared.endpoints import Endpoint, serve_endpoints
from shared.messages import SendWebhook
from shared.runtime import Runtime
from shared.webhooks import EnableEndpoint, GetWebhook, ListWebhooks, ReplayWebhooks

log = structlog.get_logger()

ACK_WAIT_S = 5.0
"""What a replica that died had not put into the table yet comes again after so long."""
TIDY_EVERY_S = 600.0


async def serve(runtime: Runtime, settings: Settings) -> None:
    pool = await runtime.open_pool(settings.database_url, "webhook", MIGRATIONS)
    store = Store(pool)
    bus = await runtime.connect_bus(settings)
    caller = Caller(Gate(read_allowed(settings.webhook_allow)), SystemClock(), timeout_s=settings.webhook_timeout_s)
    runtime.on_stop("close connections", caller.close)
    preparing = Preparing(bus, runtime.clock, staging=settings.beckon_env == "staging")
    second = SECOND * settings.lapse.speed
    hold = int(settings.claim_s * second)
    terms = Terms(read_keys(settings.webhook_secrets), settings.delays, hold, second, settings.webhook_test_url)
    courier = Courier(bus, store, preparing, caller, terms, runtime.clock, SystemClock())
    lanes = Lanes(runtime, store, courier, parallel=settings.webhook_parallel, hold=hold, lapse=settings.lapse)
    operating = Operating(pool, runtime.clock, lanes.wake)
    runtime.on_stop("finish webhooks", lanes.drain)
    runtime.start("lanes", lanes.run())
    runtime.start("sweep", lanes.sweep())
    runtime.start("tidy", _tidy(store, runtime.clock, parse_duration(settings.webhook_kept)))
    await serve_endpoints(
        runtime,
        bus,
        "webhook",
        [
            Endpoint(subjects.WEBHOOKS_LIST, ListWebhooks, operating.on_list),
            Endpoint(subjects.WEBHOOKS_GET, GetWebhook, operating.on_get),
            Endpoint(subjects.WEBHOOKS_REPLAY, ReplayWebhooks, operating.on_replay),
            Endpoint(subjects.WEBHOOKS_ENABLE, EnableEndpoint, operating.on_enable),
        ],
    )
    sends = Sends(store, lanes, preparing, runtime.clock, settings.webhook_test_url)
    await Consumer.start(
        runtime,
        bus,
        stream=subjects.SENDS,
        durable="webhook",
        subject=subjects.SENDS_WEBHOOK,
        type=SendWebhook,
        handler=sends.on_send,
        ack_wait_s=ACK_WAIT_S,
    )


async def _tidy(store: Store, clock: Clock, kept: Duration) -> None:
    """Forget what ended long ago, now and then until the end."""
    while True:
        try:
            while count := await store.tidy(clock.now() - kept):
                log.info("webhooks_forgotten", count=count)
        except db.AWAY as error:
            log.warning("webhooks_not_tidied", **describe(error))
        await asyncio.sleep(TIDY_EVERY_S)


def main() -> None:
    processes.main("webhook", Settings, serve)
