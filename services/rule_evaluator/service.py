"""What the rule-evaluator answers."""

from collections.abc import Awaitable, Callable

import msgspec
import structlog

from services.rule_evaluator.advance import advance
from services.rule_evaluator.backtest import Backtesting
from services.rule_evaluator.catalogue import Catalogue
from services.rule_evaluator.document import parse_document
from services.rule_evaluator.explain import Known, explain
from services.rule_evaluator.plan import Plan
from services.rule_evaluator.schema import rule_schema
from services.rule_evaluator.store import Store
from services.rule_evaluator.wire import CaseOnWire, EvaluateOnWire, VerifyOnWire
from shared import metrics
from shared.bus import Bus
from shared.clock import Clock
from shared.messages import Evaluated, Verdict, Verified
from shared.rules import (
    Backtest,
    BacktestTold,
    DeleteRule,
    Explain,
    GetRule,
    GetSchema,
    ListRules,
    PutRule,
    RuleDeleted,
    RuleFound,
    RulePut,
    RulesExplained,
    RulesListed,
    SchemaFound,
)

log = structlog.get_logger()


class Service:
    def __init__(self, catalogue: Catalogue, store: Store, bus: Bus, clock: Clock) -> None:
        self._catalogue = catalogue
        self._store = store
        self._bus = bus
        self._clock = clock

    async def on_evaluate(self, request: EvaluateOnWire) -> Evaluated:
        """A state that a replica with newer rules has written, or a question that knows of newer ones, makes this one
        look for them first, so that no timer is answered by somebody who does not know what it was for. Histories that
        were chosen for earlier rules are not looked at: they may lack what the new ones need."""
        rules = self._catalogue.rules
        if request.revision > rules.revision.number or any(rules.is_older_than(case.rules) for case in request.cases):
            await self._catalogue.refresh()
            rules = self._catalogue.rules
        if 0 < request.revision < rules.revision.watched:
            return Evaluated([], rules.revision.number)
        plan = self._catalogue.plan
        return Evaluated([self._verdict(plan, case) for case in request.cases], rules.revision.number)

    def _verdict(self, plan: Plan, case: CaseOnWire) -> Verdict:
        try:
            verdict = advance(plan, case.as_case())
        except (
            Exception
        ) as error:  # a bug in a condition: the others of the batch go on, this person's rules stand still
            metrics.CASES_FAILED.inc()
            log.exception("case_failed", person=case.person.key)
            return Verdict(error=f"{type(error).__name__}: {error}")
        metrics.STEPS_EVALUATED.inc(len(case.steps))
        return verdict

    async def on_verify(self, request: VerifyOnWire) -> Verified:
        """Whether ``when`` of the rule's current version holds; it may have been edited since it fired."""
        known = self._catalogue.rules.stored.get(request.rule)
        if known is None or known.version < request.version:
            await self._catalogue.refresh()
            known = self._catalogue.rules.stored.get(request.rule)
        if known is None:
            return Verified(False, f"there is no rule {request.rule}")
        live = self._catalogue.rules.live.get(request.rule)
        if live is None:
            status = known.status if known.baseline is None else "of a kind that only a newer release can read"
            return Verified(False, f"rule {request.rule} is {status}")
        person = request.person.as_person()
        holds = self._catalogue.plan.holds(request.rule, person, request.at)
        return Verified(holds, "" if holds else "the condition no longer holds")

    async def on_put(self, request: PutRule) -> RulePut:
        rule, errors, warnings = parse_document(request.document)
        if rule is None:
            return RulePut(errors=errors)
        put = await self._store.put(rule, request.document, request.by)
        await self._catalogue.refresh()
        if put.changed:
            log.info("rule_put", rule=rule.id, version=put.version, status=rule.status, by=request.by)
        return RulePut(rule.id, put.version, put.changed, [], warnings)

    async def on_list(self, _: ListRules) -> RulesListed:
        return RulesListed(await self._store.list_current())

    async def on_get(self, request: GetRule) -> RuleFound:
        found = await self._store.get(request.id, request.version)
        if request.history:
            found.versions = await self._store.versions(request.id)
        return found

    async def on_delete(self, request: DeleteRule) -> RuleDeleted:
        version = await self._store.delete(request.id, request.by)
        await self._catalogue.refresh()
        if version is not None:
            log.info("rule_deleted", rule=request.id, version=version, by=request.by)
        return RuleDeleted(request.id, version or 0)

    async def on_schema(self, _: GetSchema) -> SchemaFound:
        return SchemaFound(msgspec.json.format(msgspec.json.encode(rule_schema()), indent=2).decode())

    async def on_explain(self, request: Explain) -> RulesExplained:
        """Every rule that can be read, or the one asked for."""
        await self._catalogue.refresh()
        told = []
        for name, stored in sorted(self._catalogue.rules.stored.items()):
            if request.rule not in ("", name) or stored.status == "deleted":
                continue
            rule, _, _ = parse_document(stored.document)
            if rule is not None:
                known = Known(rule, stored.version, stored.status, stored.live_since)
                remembered = request.rules.get(name)
                told.append(explain(known, request.person, remembered, request.at))
        return RulesExplained(told)

    async def on_backtest(self, request: Backtest, tell: Callable[[BacktestTold], Awaitable[None]]) -> None:
        log.info("backtest_begins", rules=request.rules, documents=len(request.documents))
        await Backtesting(self._bus, self._store, self._clock, request, tell).run()
        log.info("backtest_ends")
