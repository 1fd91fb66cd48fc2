"""The state service: one actor per person, exact timers, one fenced commit per turn."""

import secrets
import socket

from services.state.actor import Limits
from services.state.clock import DatabaseClock
from services.state.evaluator import Evaluator
from services.state.group import Group
from services.state.interest import Following
from services.state.leases import Leases
from services.state.outbox import Outbox
from services.state.people import People
from services.state.records import Records
from services.state.settings import Settings
from services.state.store import BY_KEY, MIGRATIONS, Store
from services.state.stragglers import sweep_stragglers
from services.state.sweep import Sweep
from shared import subjects
from shared.endpoints import Endpoint, serve_endpoints
from shared.rules import GetResults, GetSweep, ReadHistory, ReadLinks
from shared.runtime import Runtime
from shared.runtime import main as run_service


async def serve(runtime: Runtime, settings: Settings) -> None:
    bus = await runtime.connect_bus(settings)
    pool = await runtime.open_pool(
        settings.database_url, "state", MIGRATIONS, size=settings.state_groups + 4, settings=BY_KEY
    )
    store = Store(pool, f"{socket.gethostname()}-{secrets.token_hex(4)}")
    await store.prepare(settings.partitions)
    await store.warm(settings.state_groups + 1)

    lapse, limits = settings.lapse, Limits(settings.recent_limit, settings.history_limit)
    clock = DatabaseClock(lapse)
    following, evaluator, outbox = Following(bus), Evaluator(bus), Outbox(bus, store, clock)
    await following.start()
    resident = settings.resident_actors // settings.state_groups
    groups = [
        Group(store, bus, evaluator, outbox, clock, following, limits, resident, lapse)
        for _ in range(settings.state_groups)
    ]
    leases = Leases(store, clock, groups, People(bus, store, clock, groups))
    for group in groups:
        group.lease(leases.held, leases.look_again)
    bus.on_reconnect(leases.open_anew)

    records = Records(store, following)
    await serve_endpoints(
        runtime,
        bus,
        "state",
        [
            Endpoint(subjects.HISTORY_READ, ReadHistory, records.on_history),
            Endpoint(subjects.HISTORY_LINKS, ReadLinks, records.on_links),
            Endpoint(subjects.RESULTS_GET, GetResults, records.on_results),
            Endpoint(subjects.SWEEP_PROGRESS, GetSweep, records.on_sweep),
        ],
    )
    runtime.on_stop("publish what was committed", outbox.flush)
    runtime.on_stop("give partitions back", leases.leave)
    runtime.start("renew", leases.renew())
    runtime.start("balance", leases.balance())
    for number, group in enumerate(groups):
        runtime.start(f"group-{number}", group.run())
    runtime.start("outbox", outbox.run(lambda: [number for group in groups for number in group.partitions]))
    runtime.start("interest", following.run())
    runtime.start("sweep", Sweep(store, evaluator, following, groups, limits).run())
    runtime.start("stragglers", sweep_stragglers(groups, settings.stragglers_every_s))
    runtime.readiness.check("leases", leases.held)


def main() -> None:
    run_service("state", Settings, serve)
