"""What a webhook says. docs/webhooks.md describes it; add to it freely, change nothing."""

from typing import Any

import msgspec

from shared.clock import rfc3339
from shared.messages import Person, Trigger

_encode = msgspec.json.Encoder().encode


def payload(trigger: Trigger, person: Person, *, test: bool) -> bytes:
    """JSON. ``test``: the rule is under test, or the installation in staging."""
    return _encode(
        {"type": "trigger.fired", "timestamp": rfc3339(trigger.at), "data": _data(trigger, person, test=test)}
    )


def _data(trigger: Trigger, person: Person, *, test: bool) -> dict[str, Any]:
    return {
        "trigger_id": trigger.id,
        "rule": trigger.rule,
        "version": trigger.version,
        "category": trigger.terms.category,
        "timer": trigger.timer,
        "test": test,
        "person": {"id": person.key, "profile": person.profile},
        "because": [
            {
                "event_id": event.id,
                "event": event.name,
                "timestamp": rfc3339(event.timestamp),
                "properties": event.properties,
                "trusted": event.trusted,
            }
            for event in trigger.because
        ],
    }
