"""How a send ends, as facts: exactly one of sent, suppressed, expired, failed, uncertain."""

from typing import Any, Literal, get_args

from msgspec import Struct, structs

from services.mailer.replies import Accepted, Deferred, Refused, Uncertain
from shared.clock import DAY, MILLISECOND, Instant, rfc3339
from shared.messages import Event, Stamps, Trigger
from shared.outcomes import outcome
from shared.reports import Bounce

Status = Literal["sent", "failed", "expired", "suppressed", "uncertain"]
ENDED: frozenset[str] = frozenset(get_args(Status))

PATIENCE = DAY
"""How long a send without ``expires`` is tried."""


class Ending(Struct, frozen=True):
    """``facts`` are the events that tell it, the outcome first. ``bounce``: the address was refused."""

    status: Status
    reason: str
    facts: tuple[Event, ...]
    accepted: Instant | None = None
    bounce: Bounce | None = None


def last_chance(trigger: Trigger) -> Instant:
    """After this instant the send is overdue."""
    return trigger.expires if trigger.expires is not None else trigger.at + PATIENCE


def overdue(trigger: Trigger, now: Instant, last: str) -> Ending | None:
    """The ending of a send that has run out of time; ``last`` is why it was deferred last, if it was."""
    if now <= last_chance(trigger):
        return None
    tried = f"; put off last because of {last}" if last else ""
    if trigger.expires is None:
        return failed(trigger, now, "smtp", f"not accepted within 24 h{tried}")
    reason = f"not sent by {rfc3339(trigger.expires)}{tried}"
    return _ending("expired", "email_expired", trigger, now, "mailer", reason)


def suppressed(trigger: Trigger, now: Instant, stage: str, reason: str) -> Ending:
    return _ending("suppressed", "trigger_suppressed", trigger, now, stage, reason)


def refused_address(trigger: Trigger, now: Instant, reason: str) -> Ending:
    return suppressed(trigger, now, "address", f"the address is suppressed: {reason}")


def failed(trigger: Trigger, now: Instant, stage: str, reason: str) -> Ending:
    return _ending("failed", "email_failed", trigger, now, stage, reason)


def uncertain(trigger: Trigger, now: Instant, reason: str) -> Ending:
    return _ending("uncertain", "email_uncertain", trigger, now, "smtp", reason)


def sent(
    trigger: Trigger, stamps: Stamps, message_id: str, *, trial: bool, template_version: int = 0, reply: str = ""
) -> Ending:
    """``stamps.accepted`` is when the server took the mail. ``trial``: it went to the test recipients."""
    properties: dict[str, Any] = {
        "template": trigger.terms.template,
        "template_version": template_version,
        "message_id": message_id,
        "timer": trigger.timer,
        "latency_ms": (stamps.accepted - (stamps.due or trigger.at)) / MILLISECOND,
        **{name: value for name, value in structs.asdict(stamps).items() if value},
    }
    if trial:
        properties["trial"] = True
    return Ending("sent", reply, (outcome("email_sent", trigger, stamps.accepted, **properties),), stamps.accepted)


def after_reply(
    result: Accepted | Refused | Uncertain,
    trigger: Trigger,
    stamps: Stamps,
    message_id: str,
    *,
    trial: bool,
    template_version: int = 0,
) -> Ending:
    """What the server's answer at ``stamps.accepted`` makes of a send."""
    now = stamps.accepted
    match result:
        case Accepted(reply):
            return sent(trigger, stamps, message_id, trial=trial, template_version=template_version, reply=reply)
        case Uncertain(reason):
            return uncertain(trigger, now, reason)
    ending = failed(trigger, now, "smtp", result.reason)
    if result.bounce is None or trial:
        return ending
    bounced = outcome("email_bounced", trigger, now, kind=result.bounce, stage="smtp", reason=result.reason)
    return structs.replace(ending, facts=(*ending.facts, bounced), bounce=result.bounce)


def too_late(result: Deferred, trigger: Trigger, now: Instant) -> Ending:
    """The server put a mail off, but the send was taken for uncertain meanwhile: nobody is left to try again."""
    return failed(trigger, now, "smtp", f"{result.reason}; found after it was taken for uncertain")


def of_repeated(ending: Ending, trigger: Trigger, now: Instant) -> Ending:
    """The ending of a send that may have gone before: whatever came of it now, only that it was sent is more certain."""
    first, *others = ending.facts
    if ending.status == "sent":
        return structs.replace(ending, facts=(_with(first, repeated=True), *others))
    reason = ending.reason if ending.status == "uncertain" else f"it may have been sent; once more: {ending.reason}"
    told = uncertain(trigger, now, reason)
    return structs.replace(told, facts=(_with(told.facts[0], repeated=True), *others), bounce=ending.bounce)


def _with(event: Event, **properties: Any) -> Event:
    return structs.replace(event, properties=event.properties | properties)


def _ending(status: Status, name: str, trigger: Trigger, now: Instant, stage: str, reason: str) -> Ending:
    return Ending(status, reason, (outcome(name, trigger, now, stage=stage, reason=reason),))
