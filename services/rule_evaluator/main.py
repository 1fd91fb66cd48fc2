"""The rule-evaluator: what do the rules say about this person?"""

import asyncio
from pathlib import Path

from services.rule_evaluator.announcer import Announcer
from services.rule_evaluator.catalogue import Catalogue
from services.rule_evaluator.folder import put_folder
from services.rule_evaluator.service import Service
from services.rule_evaluator.settings import Settings
from services.rule_evaluator.store import MIGRATIONS, Store
from services.rule_evaluator.wire import EvaluateOnWire, VerifyOnWire
from shared import runtime as processes
from shared import subjects
from shared.endpoints import Endpoint, Stream, serve_endpoints, serve_stream
from shared.rules import Backtest, DeleteRule, Explain, GetRule, GetSchema, ListRules, PutRule
from shared.runtime import Runtime


async def serve(runtime: Runtime, settings: Settings) -> None:
    pool = await runtime.open_pool(settings.database_url, "rules", MIGRATIONS)
    store = Store(pool, settings.lapse)
    if settings.rules_dir:
        await put_folder(Path(settings.rules_dir), store)
    announcer = Announcer(store)
    catalogue = Catalogue(store, announcer.announce)
    await catalogue.refresh()
    following = runtime.start("follow rules", catalogue.follow())

    async def stop_following() -> None:
        following.cancel()
        await asyncio.wait([following])  # it gives its connection back, or the pool would wait for that

    runtime.on_stop("stop following rules", stop_following)
    bus = await runtime.connect_bus(settings)
    service = Service(catalogue, store, bus, runtime.clock)
    runtime.start("announce interest", announcer.run(bus))
    await serve_endpoints(
        runtime,
        bus,
        "rule-evaluator",
        [
            Endpoint(subjects.RULES_EVALUATE, EvaluateOnWire, service.on_evaluate),
            Endpoint(subjects.RULES_VERIFY, VerifyOnWire, service.on_verify),
            Endpoint(subjects.RULES_PUT, PutRule, service.on_put),
            Endpoint(subjects.RULES_LIST, ListRules, service.on_list),
            Endpoint(subjects.RULES_GET, GetRule, service.on_get),
            Endpoint(subjects.RULES_DELETE, DeleteRule, service.on_delete),
            Endpoint(subjects.RULES_SCHEMA, GetSchema, service.on_schema),
            Endpoint(subjects.RULES_EXPLAIN, Explain, service.on_explain),
        ],
    )
    await serve_stream(runtime, bus, "rule-evaluator", Stream(subjects.RULES_BACKTEST, Backtest, service.on_backtest))


def main() -> None:
    processes.main("rule-evaluator", Settings, serve)
