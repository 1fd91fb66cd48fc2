"""May this be sent, now? The rules of the throttle, decided from what is known and nothing else.

The order of the questions: has it expired, is the person on the suppression list, did they unsubscribe, are they held out
for this rule, is a cap exhausted. A window of a cap is open at its old end, like every window in a rule: at 09:00:00 a cap of
1 per 24 h no longer counts what was sent at 09:00:00 the day before.
"""

import hashlib
from collections.abc import Collection, Sequence
from typing import Literal

from msgspec import Struct, structs

from shared.clock import DAY, HOUR, MINUTE, SECOND, Duration, Instant
from shared.messages import Event, SendEmail, SendWebhook, Trigger, outcome

Outcome = Literal["send", "suppressed", "held_out", "expired"]
Scope = Literal["rule", "all", "category"]


class Cap(Struct, frozen=True):
    """At most ``max`` sends to a person in any ``per``: of one rule, of one category, or of all together."""

    max: int
    per: Duration
    scope: Scope


class Policy(Struct, frozen=True):
    caps: tuple[Cap, ...]

    @property
    def horizon(self) -> Duration:
        """How far back a decision looks."""
        return max((cap.per for cap in self.caps), default=0)


DEFAULT = Policy((Cap(1, DAY, "rule"), Cap(2, DAY, "all")))
"""In force until somebody puts a policy."""


class Sent(Struct, frozen=True):
    """An earlier decision to send that still counts: it has not come to nothing since."""

    rule: str
    category: str
    at: Instant


class Standing(Struct, frozen=True):
    """What the throttle knows of a person: the sends within the policy's horizon, why nothing may be sent at all, and the
    categories the person does not want (``EVERYTHING``: none of them)."""

    sends: Sequence[Sent] = ()
    suppressed: str | None = None
    unwanted: Collection[str] = ()


EVERYTHING = ""
"""In the place of a category: all of them."""


class Decision(Struct, frozen=True):
    outcome: Outcome
    at: Instant
    reason: str = ""


def decide(trigger: Trigger, standing: Standing, policy: Policy, now: Instant) -> Decision:
    if trigger.expires is not None and trigger.expires < now:
        return Decision("expired", now, f"expired {text(now - trigger.expires)} before it was decided")
    if reason := refusal(standing, trigger.terms.category):
        return Decision("suppressed", now, reason)
    if held_out(trigger.rule, trigger.person, trigger.terms.holdout):
        return Decision("held_out", now, f"held out: {trigger.terms.holdout:.4g} of all people, to measure lift")
    for cap in policy.caps:
        if _used(cap, trigger, standing.sends, now) >= cap.max:
            return Decision("suppressed", now, f"cap: {cap.max} per {text(cap.per)} {_whose(cap, trigger)}")
    return Decision("send", now)


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


def _used(cap: Cap, trigger: Trigger, sends: Sequence[Sent], now: Instant) -> int:
    return sum(send.at > now - cap.per and _counts(cap.scope, send, trigger) for send in sends)


def _counts(scope: Scope, send: Sent, trigger: Trigger) -> bool:
    match scope:
        case "all":
            return True
        case "rule":
            return send.rule == trigger.rule
        case "category":
            return send.category == trigger.terms.category


def _whose(cap: Cap, trigger: Trigger) -> str:
    match cap.scope:
        case "all":
            return "overall"
        case "rule":
            return f"for rule {trigger.rule}"
        case "category":
            return f"for category {trigger.terms.category}"


def text(duration: Duration) -> str:
    """``24h``, ``7d``, ``2h30m``, as a person would write it; below a second ``0s``."""
    if duration == DAY:
        return "24h"
    parts = []
    for unit, letter in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")):
        count, duration = divmod(duration, unit)
        if count:
            parts.append(f"{count}{letter}")
    return "".join(parts) or "0s"


def effects(trigger: Trigger, decision: Decision) -> list[SendEmail | SendWebhook | Event]:
    """What is published for a decision: whatever the rule sends, or the outcome of a trigger that sends nothing. Built from
    what was decided alone, so that a repeat publishes the same."""
    match decision.outcome:
        case "send":
            return _sends(structs.replace(trigger, stamps=structs.replace(trigger.stamps, decided=decision.at)))
        case "suppressed":
            name = "trigger_suppressed"
        case "held_out":
            name = "trigger_held_out"
        case "expired":
            name = "email_expired" if trigger.terms.action else "webhook_expired"
    return [outcome(name, trigger, decision.at, stage="throttle", reason=decision.reason)]


def _sends(trigger: Trigger) -> list[SendEmail | SendWebhook | Event]:
    sends: list[SendEmail | SendWebhook | Event] = []
    if trigger.terms.action:
        sends.append(SendEmail(trigger))
    if trigger.terms.webhook:
        sends.append(SendWebhook(trigger))
    return sends
