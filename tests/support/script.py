"""A scripted rule-evaluator on the real bus: what the state service makes of verdicts can be tested one by one.

A step whose event is named ``fire`` fires; one named ``wake`` asks to be woken at its property ``at``; a due timer fires.
"""

from shared import subjects
from shared.bus import Bus
from shared.clock import Instant
from shared.endpoints import Endpoint, serve_subject
from shared.messages import Case, EmailAction, Evaluate, Evaluated, Fire, RuleState, Step, Terms, Verdict

TERMS = Terms(EmailAction("reminder"))


class Script:
    def __init__(self) -> None:
        self.steps: list[tuple[str, str, Instant]] = []
        """Every step that was evaluated: person, name of the event (or "timer"), instant."""
        self.broken = False

    async def serve(self, bus: Bus) -> None:
        await serve_subject(bus, Endpoint(subjects.RULES_EVALUATE, Evaluate, self._evaluate))
        await bus.nc.flush()

    async def _evaluate(self, request: Evaluate) -> Evaluated:
        return Evaluated([self._verdict(case) for case in request.cases])

    def _verdict(self, case: Case) -> Verdict:
        if self.broken:
            return Verdict(error="broken on purpose")
        armed = case.rules["script"].at if "script" in case.rules and case.rules["script"].holds else None
        fires = []
        for step in case.steps:
            self.steps.append((case.person.key, step.event.name if step.event else "timer", step.at))
            if step.event and step.event.name == "wake":
                armed = step.event.properties["at"]
            elif step.event and step.event.name == "fire":
                fires.append(_fire(case, step, step.at, timer=False))
            elif step.event and step.event.name == "cancel":
                armed = None
            if armed is not None and armed <= step.at:
                fires.append(_fire(case, step, armed, timer=True))
                armed = None
        return Verdict({"script": RuleState(1, armed is not None, armed or 0, 0)}, fires, armed)


def _fire(case: Case, step: Step, at: Instant, *, timer: bool) -> Fire:
    because = [step.event.n] if step.event else []
    return Fire(f"{case.person.key}-{at}", "script", 1, at, TERMS, because=because, timer=timer)
