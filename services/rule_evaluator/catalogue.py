"""The rules as this process knows them, never more than a second behind."""

import asyncio

import structlog

from services.rule_evaluator.plan import Plan
from services.rule_evaluator.rules import RuleSet, assemble
from services.rule_evaluator.store import Store
from shared import db, metrics
from shared.bus import describe

log = structlog.get_logger()

LOOK_EVERY_S = 0.9
"""Changes are announced. A lost announcement is made up for by looking."""


class Catalogue:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._refreshing = asyncio.Lock()
        self.rules = RuleSet(revision=-1)
        self.plan = Plan([])

    async def refresh(self) -> None:
        """Bring ``rules`` up to what is committed now. Raises what ``db.AWAY`` lists."""
        async with self._refreshing:
            if await self._store.revision() == self.rules.revision:
                return
            self.rules = assemble(*await self._store.current(), self.rules)
            self.plan = Plan(self.rules.live.values())
        for unreadable in self.rules.unreadable:
            log.error("rule_unreadable", rule=unreadable.id, version=unreadable.version, errors=unreadable.errors)
        metrics.RULES_LIVE.set(len(self.rules.live))
        log.info("rules_followed", revision=self.rules.revision, live=sorted(self.rules.live))

    async def follow(self) -> None:
        """For ever. While PostgreSQL is away the rules stay as they were."""
        while True:
            try:
                async with self._store.changes() as changed:
                    while True:
                        await self.refresh()
                        await changed(LOOK_EVERY_S)
            except db.AWAY as error:
                log.warning("rules_not_followed", **describe(error))
                await asyncio.sleep(LOOK_EVERY_S / 2)
