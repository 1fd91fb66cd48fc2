"""What leaves for a decision. Built from what was decided alone, so that a repeat publishes the same. Pure."""

from msgspec import structs

from services.throttle.decide import Decision
from shared.messages import Event, SendEmail, SendWebhook, Trigger
from shared.outcomes import outcome


def effects(trigger: Trigger, decision: Decision) -> list[SendEmail | SendWebhook | Event]:
    """Whatever the rule sends, or the outcome of a trigger that sends nothing."""
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
