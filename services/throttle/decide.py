"""May this be sent, now? The rules of the throttle, decided from what is known and nothing else.

The order of the questions: has it expired, is the person on the suppression list, did they unsubscribe, are they held out
for this rule, is it a time at which nothing is sent, is a cap exhausted, was something sent just before. Where it is not yet
time, the trigger is put off and asked everything afresh when it is. So caps are asked at the instant at which it would leave,
and a trigger that only waits takes no place in them.

A window of a cap is open at its old end, like every window in a rule: at 09:00:00 a cap of 1 per 24 h no longer counts what
was sent at 09:00:00 the day before. Spacing is the same: at 13:00:00, 4 h have passed since 09:00:00.
"""

import hashlib
from collections.abc import Collection, Iterable, Sequence
from typing import Literal

from msgspec import Struct, structs

from services.throttle.hours import is_open, is_quiet, next_open
from services.throttle.policy import Cap, Policy, Scope, clock, text
from shared.clock import SECOND, Instant, rfc3339
from shared.messages import Trigger

Outcome = Literal["send", "suppressed", "held_out", "expired"]


class Sent(Struct, frozen=True):
    """An earlier decision to send that still counts: it has not come to nothing since. ``priority``: set if it was decided
    together with the trigger in question, and came first."""

    rule: str
    category: str
    at: Instant
    priority: int | None = None


class Standing(Struct, frozen=True):
    """What the throttle knows of a person: the sends within the policy's horizon, why nothing may be sent at all, the
    categories the person does not want (``EVERYTHING``: none of them), and the time zone, if it was asked for."""

    sends: Sequence[Sent] = ()
    suppressed: str | None = None
    unwanted: Collection[str] = ()
    zone: str = ""


EVERYTHING = ""
"""In the place of a category: all of them."""

CONSENT, EXPIRY, HOLDOUT, SETTLE = "consent", "expiry", "holdout", "settle"
QUIET, WINDOWS, SPACING = "quiet_hours", "windows", "spacing"
"""What decides, beside a cap: it is named by its path in the policy where it has one."""


class Decision(Struct, frozen=True):
    """``by``: what decided, ``caps[0]`` or one of the names above; empty where nothing was against it."""

    outcome: Outcome
    at: Instant
    reason: str = ""
    by: str = ""


class Deferral(Struct, frozen=True):
    """Not yet: to be decided afresh at ``until``."""

    until: Instant
    by: str
    reason: str = ""


def decide(trigger: Trigger, standing: Standing, policy: Policy, now: Instant) -> Decision | Deferral:
    if trigger.expires is not None and trigger.expires < now:
        return Decision("expired", now, f"expired {text(now - trigger.expires)} before it was decided", EXPIRY)
    if reason := refusal(standing, trigger.terms.category):
        return Decision("suppressed", now, reason, CONSENT)
    if held_out(trigger.rule, trigger.person, trigger.terms.holdout):
        return Decision(
            "held_out", now, f"held out: {trigger.terms.holdout:.4g} of all people, to measure lift", HOLDOUT
        )
    return (
        _out_of_hours(trigger, standing, policy, now)
        or _over_a_cap(trigger, standing, policy, now)
        or _too_soon(trigger, standing, policy, now)
        or Decision("send", now)
    )


def decide_together(
    triggers: Iterable[Trigger], standing: Standing, policy: Policy, now: Instant
) -> list[tuple[Trigger, Decision | Deferral]]:
    """Of one person's triggers the most important first; of equals, the one that fired first."""
    verdicts = []
    for trigger in sorted(triggers, key=lambda each: (-each.terms.priority, each.at, each.id)):
        verdict = decide(trigger, standing, policy, now)
        verdicts.append((trigger, verdict))
        if isinstance(verdict, Decision) and verdict.outcome == "send":
            sent = Sent(trigger.rule, trigger.terms.category, now, trigger.terms.priority)
            standing = structs.replace(standing, sends=[*standing.sends, sent])
    return verdicts


def settle(trigger: Trigger, policy: Policy, open_until: Instant | None, now: Instant) -> Deferral | None:
    """Whether a trigger that has just come waits for others: as long as those that wait already (``open_until``). None where
    it would expire meanwhile."""
    until = open_until if open_until is not None else now + policy.settle
    return None if trigger.expires is not None and trigger.expires < until else Deferral(until, SETTLE)


def refusal(standing: Standing, category: str) -> str:
    """Why nothing of this category may be sent to the person, whatever the caps say; empty if it may."""
    if standing.suppressed is not None:
        return f"suppressed: {standing.suppressed}"
    if EVERYTHING in standing.unwanted:
        return "suppressed: unsubscribed"
    if category in standing.unwanted:
        return f"suppressed: unsubscribed from category {category}"
    return ""


def held_out(rule: str, person: str, share: float) -> bool:
    """The same answer for the same rule and person, always; of many people, ``share`` (0 to 1) are held out.

    A higher share keeps everybody in who was held out at a lower one.
    """
    digest = hashlib.blake2b(f"{rule}\0{person}".encode(), digest_size=8).digest()
    return int.from_bytes(digest) < share * 2**64


def _out_of_hours(trigger: Trigger, standing: Standing, policy: Policy, now: Instant) -> Decision | Deferral | None:
    if policy.quiet is None and not policy.windows:
        return None
    day = policy.day(trigger.terms.category, standing.zone)
    if is_open(day, now):
        return None
    if policy.quiet is not None and is_quiet(day, now):
        hours = policy.quiet.hours
        by, reason = QUIET, f"quiet hours: {clock(hours.start)} to {clock(hours.end)} {day.zone}"
        if policy.quiet.then == "drop":
            return Decision("suppressed", now, reason, by)
    else:
        by, reason = WINDOWS, f"outside the sending windows for category {trigger.terms.category}, {day.zone}"
    until = next_open(day, now)
    if until is None:
        return Decision("suppressed", now, f"{reason}; no time is open at all", by)
    return _put_off(trigger, until, by, reason, now)


def _over_a_cap(trigger: Trigger, standing: Standing, policy: Policy, now: Instant) -> Decision | None:
    for index, cap in enumerate(policy.caps):
        used = [sent for sent in standing.sends if sent.at > now - cap.per and _counts(cap.scope, sent, trigger)]
        if len(used) >= cap.max:
            return Decision("suppressed", now, f"{cap_text(cap, trigger)}; {_user(used)}", f"caps[{index}]")
    return None


def _too_soon(trigger: Trigger, standing: Standing, policy: Policy, now: Instant) -> Decision | Deferral | None:
    spacing = policy.spacing
    if spacing is None:
        return None
    near = [s for s in standing.sends if s.at > now - spacing.least and _counts(spacing.scope, s, trigger)]
    if not near:
        return None
    kind = f" in category {trigger.terms.category}" if spacing.scope == "category" else ""
    reason = f"spacing: {text(spacing.least)} between mails{kind}; {_user(near)}"
    if spacing.then == "drop":
        return Decision("suppressed", now, reason, SPACING)
    return _put_off(trigger, max(sent.at for sent in near) + spacing.least, SPACING, reason, now)


def _put_off(trigger: Trigger, until: Instant, by: str, reason: str, now: Instant) -> Decision | Deferral:
    """What expires before its time comes has no use for waiting."""
    if trigger.expires is not None and trigger.expires < until:
        late = f"{reason}; until {rfc3339(until)}, {text(until - trigger.expires)} after it expires"
        return Decision("expired", now, late, by)
    return Deferral(until, by, reason)


def _counts(scope: Scope, send: Sent, trigger: Trigger) -> bool:
    match scope:
        case "all":
            return True
        case "rule":
            return send.rule == trigger.rule
        case "category":
            return send.category == trigger.terms.category


def _user(sends: Sequence[Sent]) -> str:
    """Who was there before: the last of ``sends``."""
    last = max(sends, key=lambda sent: sent.at)
    if last.priority is not None:
        return f"rule {last.rule} (priority {last.priority}) came first"
    return f"rule {last.rule} was sent at {rfc3339(last.at - last.at % SECOND)}"


def cap_text(cap: Cap, trigger: Trigger) -> str:
    """``cap: 1 per 24h for rule win-back``."""
    return f"cap: {cap.max} per {text(cap.per)} {_whose(cap, trigger)}"


def _whose(cap: Cap, trigger: Trigger) -> str:
    match cap.scope:
        case "all":
            return "overall"
        case "rule":
            return f"for rule {trigger.rule}"
        case "category":
            return f"for category {trigger.terms.category}"
