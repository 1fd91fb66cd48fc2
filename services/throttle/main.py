"""The throttle: may this be sent, now?"""

from services.throttle.deciding import Deciding
from services.throttle.outcomes import Outcomes
from services.throttle.policies import Policies
from services.throttle.returning import Returning
from services.throttle.settings import Settings
from services.throttle.store import BY_KEY, MIGRATIONS, Store
from services.throttle.triggers import Triggers
from shared import runtime as processes
from shared import subjects
from shared.consents import CheckConsent, GetConsents, Suppress
from shared.consume import Consumer
from shared.endpoints import Endpoint, serve_endpoints
from shared.messages import Event, Trigger
from shared.policies import Forecast, GetPolicy, GetWaiting, ListPolicies, PutPolicy, Replay
from shared.runtime import Runtime

ACK_WAIT_S = 5.0
"""What a replica that died had in hand comes again after so long; deciding takes milliseconds."""


async def serve(runtime: Runtime, settings: Settings) -> None:
    store = Store(await runtime.open_pool(settings.database_url, "throttle", MIGRATIONS, settings=BY_KEY))
    policies = Policies(store, runtime.clock)
    if settings.policy_file:
        await policies.load(settings.policy_file)
    bus = await runtime.connect_bus(settings)
    deciding = Deciding(bus, store, policies, runtime.clock)
    returning = Returning(bus, store, deciding, runtime.clock, settings.lapse, concurrency=settings.concurrency)
    triggers = Triggers(bus, deciding, returning.expect)
    outcomes = Outcomes(store, runtime.clock)
    await serve_endpoints(
        runtime,
        bus,
        "throttle",
        [
            Endpoint(subjects.POLICY_PUT, PutPolicy, policies.on_put),
            Endpoint(subjects.POLICY_GET, GetPolicy, policies.on_get),
            Endpoint(subjects.POLICY_LIST, ListPolicies, policies.on_list),
            Endpoint(subjects.POLICY_FORECAST, Forecast, policies.on_forecast),
            Endpoint(subjects.POLICY_REPLAY, Replay, policies.on_replay),
            Endpoint(subjects.POLICY_WAITING, GetWaiting, returning.on_get_waiting),
            Endpoint(subjects.CONSENTS_GET, GetConsents, outcomes.on_get_consents),
            Endpoint(subjects.CONSENTS_CHECK, CheckConsent, outcomes.on_check_consent),
            Endpoint(subjects.SUPPRESSIONS_PUT, Suppress, outcomes.on_suppress),
        ],
    )
    runtime.start("return what waits", returning.run())
    runtime.start("count what waits", returning.count())
    runtime.on_stop("finish what returned", returning.stop)
    await Consumer.start(
        runtime,
        bus,
        stream=subjects.EVENTS,
        durable="throttle-outcomes",
        subject=subjects.ALL_OUTCOMES,
        type=Event,
        handler=outcomes.on_outcome,
        ack_wait_s=ACK_WAIT_S,
    )
    await Consumer.start(
        runtime,
        bus,
        stream=subjects.TRIGGERS,
        durable="throttle",
        subject=subjects.ALL_TRIGGERS,
        type=Trigger,
        handler=triggers.on_trigger,
        concurrency=settings.concurrency,
        ack_wait_s=ACK_WAIT_S,
    )


def main() -> None:
    processes.main("throttle", Settings, serve)
