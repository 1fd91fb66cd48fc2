"""How a webhook ends, as facts. Of a rule that sends nothing else they end the trigger; beside a mail they are only told."""

from typing import Any, Literal, get_args

from msgspec import Struct, structs

from shared.clock import DAY, MILLISECOND, Duration, Instant, rfc3339
from shared.messages import Event, Stamps, Trigger
from shared.outcomes import BESIDE_MAIL, OWN_ID, outcome

Status = Literal["sent", "failed", "expired", "suppressed"]
ENDED: frozenset[str] = frozenset(get_args(Status))

PATIENCE: Duration = DAY
"""How long a webhook of a rule without ``expires`` may wait for its first attempt."""


class Ending(Struct, frozen=True):
    """``fact`` is the event that tells it."""

    status: Status
    reason: str
    fact: Event


def first_chance_ends(trigger: Trigger) -> Instant:
    """A webhook that was not tried by then is dropped."""
    return trigger.expires if trigger.expires is not None else trigger.at + PATIENCE


def sent(trigger: Trigger, stamps: Stamps, endpoint: str, attempts: int, *, trial: bool) -> Ending:
    """``stamps.accepted`` is when the endpoint took it. ``trial``: it went to the endpoint for tests."""
    properties: dict[str, Any] = {
        "endpoint": endpoint,
        "attempts": attempts,
        "timer": trigger.timer,
        "latency_ms": (stamps.accepted - (stamps.due or trigger.at)) / MILLISECOND,
        **{name: value for name, value in structs.asdict(stamps).items() if value},
    }
    if trial:
        properties["trial"] = True
    return Ending("sent", "", _fact("webhook_sent", trigger, stamps.accepted, **properties))


def suppressed(trigger: Trigger, now: Instant, stage: str, reason: str) -> Ending:
    return Ending("suppressed", reason, _fact("trigger_suppressed", trigger, now, stage=stage, reason=reason))


def failed(trigger: Trigger, now: Instant, stage: str, reason: str) -> Ending:
    return Ending("failed", reason, _fact("webhook_failed", trigger, now, stage=stage, reason=reason))


def too_late(trigger: Trigger, now: Instant, last: str, *, begun: bool) -> Ending:
    """Its time is up. ``last``: what is known of why it was not taken, if anything."""
    because = f": {last}" if last else ""
    if begun:
        return failed(trigger, now, "webhook", f"not taken in all the time it may be tried{because}")
    reason = f"not tried by {rfc3339(first_chance_ends(trigger))}{because}"
    return Ending("expired", reason, _fact("webhook_expired", trigger, now, stage="webhook", reason=reason))


def _fact(name: str, trigger: Trigger, now: Instant, **properties: Any) -> Event:
    fact = outcome(name, trigger, now, **properties)
    if trigger.terms.action is None:
        return fact
    # The mailer may tell the same of the mail: an event of its own.
    beside = {**fact.properties, BESIDE_MAIL: True}
    return structs.replace(fact, id=f"{OWN_ID}{trigger.id}.webhook.{name}", properties=beside)
