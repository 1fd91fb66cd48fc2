"""What another policy would have made of what the throttle has decided, beside what was decided. Pure.

The policy is played from its own horizon on, so that windows are filled as if it had been in force all the time. What people
wanted and who was held out stays as it was, a send that came to nothing gives its place back when it did; of one that was not
made nobody knows what would have become of it, so it counts.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence

from msgspec import Struct

from services.throttle.decide import CONSENT, EXPIRY, HOLDOUT, QUIET, SETTLE, SPACING, WINDOWS, Decision
from services.throttle.forecast import Firing, Played, play
from services.throttle.hours import DAYS, EVERY_DAY, Hours
from services.throttle.policy import Policy, clock, text
from shared.clock import Instant
from shared.policies import PartReplayed, Replayed, RuleReplayed


class Past(Struct, frozen=True):
    """A trigger as it came, and what was decided."""

    firing: Firing
    decision: Decision


def replay(policy: Policy, past: Sequence[Past], since: Instant) -> Replayed:
    """``past`` is in the order in which it came; what came before ``since`` is played and not counted."""
    played = play(policy, [one.firing for one in past])
    pairs = [(one, then) for one, then in zip(past, played, strict=True) if one.firing.at >= since]
    sent = [(one.decision.outcome == "send", then.decision.outcome == "send") for one, then in pairs]
    return Replayed(
        triggers=len(pairs),
        sent=sum(was for was, _ in sent),
        would_send=sum(would for _, would in sent),
        gained=sum(would and not was for was, would in sent),
        lost=sum(was and not would for was, would in sent),
        zones_unknown=sum(
            not one.firing.zone and one.firing.fixed is None and policy.asks_zone(one.firing.terms.category)
            for one, _ in pairs
        ),
        parts=_parts(policy, [then for _, then in pairs]),
        rules=_rules(pairs),
    )


def _parts(policy: Policy, played: Sequence[Played]) -> list[PartReplayed]:
    stopped = Counter(one.decision.by for one in played if one.decision.outcome != "send")
    put_off = Counter(part for one in played for part in set(one.waited))
    return [PartReplayed(part, says, stopped[part], put_off[part]) for part, says in described(policy).items()]


def _rules(pairs: Sequence[tuple[Past, Played]]) -> list[RuleReplayed]:
    by_rule = defaultdict(list)
    for one, then in pairs:
        by_rule[one.firing.rule].append((one, then))
    return [
        RuleReplayed(
            rule,
            len(of_rule),
            sum(one.decision.outcome == "send" for one, _ in of_rule),
            sum(then.decision.outcome == "send" for _, then in of_rule),
            dict(Counter(then.decision.by for _, then in of_rule if then.decision.outcome != "send")),
        )
        for rule, of_rule in sorted(by_rule.items())
    ]


def described(policy: Policy) -> dict[str, str]:
    """Everything that can stop or put off a trigger, in the order in which it is asked, and what it says."""
    found = {EXPIRY: "it expired", CONSENT: "suppressed or unsubscribed", HOLDOUT: "held out"}
    if policy.settle:
        found[SETTLE] = text(policy.settle)
    if policy.quiet is not None:
        found[QUIET] = f"{_hours(policy.quiet.hours)}, {policy.quiet.then}"
    if policy.windows:
        found[WINDOWS] = "; ".join(
            f"{_hours(window.hours)}{' for ' * bool(window.categories)}{', '.join(window.categories)}"
            for window in policy.windows
        )
    for index, cap in enumerate(policy.caps):
        found[f"caps[{index}]"] = (
            f"{cap.max} per {text(cap.per)} {'overall' if cap.scope == 'all' else f'per {cap.scope}'}"
        )
    if policy.spacing is not None:
        scope = " in a category" * (policy.spacing.scope == "category")
        found[SPACING] = f"{text(policy.spacing.least)} between mails{scope}, {policy.spacing.then}"
    return found


def _hours(hours: Hours) -> str:
    days = "" if hours.days == EVERY_DAY else ", ".join(DAYS[day] for day in sorted(hours.days)) + " "
    return f"{days}{clock(hours.start)} to {clock(hours.end)}"
