"""What became of triggers and mails, as events."""

from typing import Any

from shared.clock import Instant
from shared.messages import Event, HistoryEvent, Properties, Trigger

AFTER_SENDING = frozenset(
    {
        "email_bounced",
        "email_complained",
        "email_unsubscribed",
        "email_resubscribed",
        "email_opened",
        "email_opened_by_machine",
        "email_clicked",
        "email_clicked_by_machine",
    }
)
"""Names of the events that happen to a mail that was sent."""

OUTCOMES = AFTER_SENDING | {
    "email_sent",
    "email_failed",
    "email_expired",
    "email_uncertain",
    "trigger_suppressed",
    "trigger_held_out",
    "webhook_sent",
    "webhook_failed",
    "webhook_expired",
}
"""Names of the events Beckon writes itself. Those that do not happen to a mail that was sent end a trigger, but for those
``beside_mail``."""

NOT_ACTIVITY = (OUTCOMES - {"email_opened", "email_clicked"}) | {"identify", "alias"}
"""Names of the events that a person did not cause."""

IMPORTED = "import"
"""The source of events that tell of the past: what they make true does not fire."""

TAKEN_BACK = frozenset({"trigger_suppressed", "email_failed", "email_expired", "webhook_failed", "webhook_expired"})
"""Outcomes by which a firing came to nothing: it no longer counts towards ``reentry`` or caps."""

BESIDE_MAIL = "beside_mail"
"""A property of what became of the webhook of a rule that sends a mail, too. The mail's outcome ends the trigger; this one
is told, and neither ends anything nor takes anything back."""


def beside_mail(event: Event | HistoryEvent) -> bool:
    return bool(event.properties.get(BESIDE_MAIL))


OWN_ID = "beckon:"
"""How the ids of those events begin. The tracker takes no such id from outside: nobody can pass off an event of a site as
the repeat of an outcome."""


def own_event(name: str, occasion: str, person: str, now: Instant, properties: Properties) -> Event:
    """A fact that Beckon states itself. The same ``occasion`` gives the same event id, so repeating it is one event."""
    return Event(
        id=f"{OWN_ID}{occasion}",
        person=person,
        name=name,
        timestamp=now,
        received=now,
        properties=properties,
        source="beckon",
        trusted=True,
    )


def outcome(name: str, trigger: Trigger, now: Instant, **properties: Any) -> Event:
    """The fact that ``trigger`` ended as ``name``: said again, it is the same event."""
    about = {"trigger_id": trigger.id, "rule": trigger.rule, "version": trigger.version}
    if trigger.terms.variant:
        about["variant"] = trigger.terms.variant
    return own_event(name, f"{trigger.id}.{name}", trigger.person, now, about | properties)
