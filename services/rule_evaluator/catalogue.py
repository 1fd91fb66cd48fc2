"""The rules as this process knows them, never more than a second behind."""

import asyncio
from collections.abc import Callable

import structlog

from services.rule_evaluator.plan import Plan
from services.rule_evaluator.rules import Revision, RuleSet, assemble
from services.rule_evaluator.store import Store
from shared import db, metrics
from shared.bus import describe
from shared.messages import Interest

log = structlog.get_logger()

LOOK_EVERY_S = 0.9
"""Changes are announced. A lost announcement is made up for by looking."""


class Catalogue:
    """``on_change`` is told of every set of rules that comes into force here."""

    def __init__(self, store: Store, on_change: Callable[[Interest], None]) -> None:
        self._store = store
        self._on_change = on_change
        self._refreshing = asyncio.Lock()
        self.rules = RuleSet(Revision(-1, -1))
        self.plan = Plan([])

    async def refresh(self) -> None:
        """Bring ``rules`` up to what is committed now. Raises what ``db.AWAY`` lists."""
        async with self._refreshing:
            if await self._store.revision() == self.rules.revision.number:
                return
            self.rules = assemble(*await self._store.current(), self.rules)
            self.plan = Plan(self.rules.live.values())
            self._on_change(Interest(*self.rules.revision, self.plan.needs()))
        for unreadable in self.rules.unreadable:
            log.error("rule_unreadable", rule=unreadable.id, version=unreadable.version, errors=unreadable.errors)
        metrics.RULES_LIVE.set(len(self.rules.live))
        log.info("rules_followed", revision=self.rules.revision.number, live=sorted(self.rules.live))

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
