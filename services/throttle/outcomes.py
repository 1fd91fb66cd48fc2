"""What became of the sends, as far as the throttle must know it: a firing that came to nothing gives its place in the caps
back, and a hard bounce, a complaint or an unsubscription ends all sending to the person."""

import structlog

from services.throttle.store import Store
from shared.clock import Clock
from shared.errors import InvalidMessage
from shared.logs import bind
from shared.messages import TAKEN_BACK, Event, Suppress, Suppressed

log = structlog.get_logger()


def ends_sending(event: Event) -> str | None:
    """The reason for the suppression list, or none."""
    match event.name:
        case "email_bounced" if event.properties.get("kind") == "hard":
            return "hard bounce"
        case "email_complained":
            return "complaint"
        case "email_unsubscribed":
            return "unsubscribed"
    return None


def gives_back(event: Event) -> str | None:
    """The trigger whose place in the caps is free again, or none. What the throttle itself stopped never took one."""
    if event.name not in TAKEN_BACK or event.properties.get("stage") == "throttle":
        return None
    trigger = event.properties.get("trigger_id")
    if not isinstance(trigger, str):
        raise InvalidMessage(f"{event.name} names no trigger: trigger_id is {trigger!r}")
    return trigger


class Outcomes:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock

    async def on_outcome(self, event: Event) -> None:
        with bind(event=event.id, person=event.person):
            if reason := ends_sending(event):
                await self._store.suppress(event.person, reason, self._clock.now())
                log.info("person_suppressed", reason=reason)
            if (trigger := gives_back(event)) and await self._store.release(trigger, self._clock.now()):
                log.info("cap_given_back", trigger=trigger, outcome=event.name)

    async def on_suppress(self, request: Suppress) -> Suppressed:
        if request.remove:
            await self._store.unsuppress(request.person)
        else:
            await self._store.suppress(request.person, request.reason or "by an operator", self._clock.now())
        log.info("suppression_put", person=request.person, suppressed=not request.remove)
        return Suppressed(request.person, suppressed=not request.remove)
