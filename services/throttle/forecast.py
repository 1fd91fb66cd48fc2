"""What the throttle would have let through: a policy over firings of the past, or of a rule that is not live yet. Pure."""

from collections.abc import Iterable

from services.throttle.policy import Decision, Policy, Sent, Standing, decide
from shared.messages import ForecastFiring, Trigger


def forecast(policy: Policy, firings: Iterable[ForecastFiring]) -> list[Decision]:
    """A decision for each firing, which are in order. Every send counts towards the caps; nobody is suppressed."""
    sends: dict[str, list[Sent]] = {}
    decisions = []
    for person, rule, at, terms in ((f.person, f.rule, f.at, f.terms) for f in firings):
        earlier = [sent for sent in sends.get(person, ()) if sent.at > at - policy.horizon]
        decision = decide(Trigger("", person, rule, 0, at, terms), Standing(earlier), policy, at)
        if decision.outcome == "send":
            sends[person] = [*earlier, Sent(rule, terms.category, at)]
        decisions.append(decision)
    return decisions
