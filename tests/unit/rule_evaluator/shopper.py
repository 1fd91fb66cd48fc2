"""Histories told step by step, and what fires on the way."""

from typing import Any

import msgspec
from msgspec import structs

from services.rule_evaluator.advance import advance
from services.rule_evaluator.document import parse_document
from services.rule_evaluator.plan import Plan
from services.rule_evaluator.rules import LiveRule
from shared import profile
from shared.clock import MINUTE, Instant
from shared.messages import Case, Fire, HistoryEvent, Joined, Person, RuleState, Step, Verdict

CART = {
    "all": [
        {"event": "added_to_cart", "within": "24h"},
        {"not": {"event": "purchased", "since": "added_to_cart"}},
        {"elapsed": "30m", "since": "added_to_cart"},
    ]
}
HALF = 30 * MINUTE


def rule(when: Any, *, version: int = 1, live_since: Instant = 0, **document: Any) -> LiveRule:
    """A live rule with this condition. Version 1 is live since the beginning of time."""
    whole = {"id": "rule", "status": "live", "when": when, "action": {"email": {"template": "t"}}, **document}
    reading = parse_document(msgspec.json.encode(whole).decode())
    assert reading.rule is not None, reading.errors
    return LiveRule(reading.rule, version, version, live_since)


class Shopper:
    """A person, and what is remembered of them between two steps."""

    def __init__(self, *rules: LiveRule) -> None:
        self.rules = list(rules)
        self.person = Person("ada")
        self.states: dict[str, RuleState] = {}
        self.fires: list[Fire] = []
        self.wake: Instant | None = None

    @property
    def fired(self) -> list[Instant]:
        return [fire.at for fire in self.fires]

    def does(
        self, name: str, at: Instant, *, dated: Instant | None = None, source: str = "", **properties: Any
    ) -> None:
        """An event arrives ``at`` an instant, ``dated`` otherwise maybe."""
        n = self.person.count + 1
        event = HistoryEvent(n, f"e{n}", name, at if dated is None else dated, at, properties, source=source)
        self.goes_through([Step(at, event)])

    def waits(self, until: Instant) -> None:
        self.goes_through([Step(until)])

    def is_missed(self, name: str, at: Instant) -> None:
        """An event arrives, and whoever evaluates does not know the rules yet."""
        rules, self.rules = self.rules, []
        self.does(name, at)
        self.rules = rules

    def is_joined_by(self, other: "Shopper", at: Instant) -> None:
        """The other one turns out to be the same person."""
        brought = [structs.replace(event, n=self.person.count + event.n, arrived=at) for event in other.person.history]
        self.goes_through([Step(at, joined=Joined(other.person.profile, brought, other.states))])

    def goes_through(self, steps: list[Step]) -> Verdict:
        verdict = advance(Plan(self.rules), Case(self.person, self.states, steps))
        events = [step.event for step in steps if step.event is not None]
        events += [event for step in steps if step.joined is not None for event in step.joined.history]
        history = sorted([*self.person.history, *events], key=lambda event: (event.timestamp, event.n))
        attributes = self.person.profile
        for event in events:
            if event.name == "identify":
                attributes = profile.merge(attributes, event.properties)
        self.person = Person("ada", attributes, history, max([self.person.count, *(event.n for event in events)]))
        self.states = verdict.rules
        self.fires += verdict.fires
        self.wake = verdict.wake
        return verdict
