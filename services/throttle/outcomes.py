"""What became of the sends, as far as the throttle must know it: a firing that came to nothing gives its place in the caps
back, a complaint ends all sending to the person, and what a person chose to get or not to get is kept. A bounce is about an
address, not about a person: that is the mailer's."""

from typing import NamedTuple

import structlog

from services.throttle.decide import EVERYTHING, refusal
from services.throttle.store import Store
from shared.clock import Clock
from shared.consents import CheckConsent, ConsentChecked, Consents, GetConsents, Suppress, Suppressed
from shared.errors import InvalidMessage
from shared.logs import bind
from shared.messages import Event
from shared.outcomes import TAKEN_BACK, beside_mail

log = structlog.get_logger()


def ends_sending(event: Event) -> str | None:
    """The reason for the suppression list, or none."""
    return "complaint" if event.name == "email_complained" else None


class Choice(NamedTuple):
    """``category``: ``EVERYTHING`` or one."""

    category: str
    wanted: bool


def choice(event: Event) -> Choice | None:
    """What the person chose to get or not to get, or none."""
    if event.name not in ("email_unsubscribed", "email_resubscribed"):
        return None
    category = event.properties.get("category") if event.properties.get("scope") == "category" else EVERYTHING
    if not isinstance(category, str):
        raise InvalidMessage(f"{event.name} of one category names none: category is {category!r}")
    return Choice(category, event.name == "email_resubscribed")


def gives_back(event: Event) -> str | None:
    """The trigger whose place in the caps is free again, or none. What the throttle itself stopped never took one."""
    if event.name not in TAKEN_BACK or event.properties.get("stage") == "throttle" or beside_mail(event):
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
            if chosen := choice(event):
                await self._store.choose(event.person, chosen.category, wanted=chosen.wanted, now=event.timestamp)
                log.info("consent_chosen", category=chosen.category, wanted=chosen.wanted)
            if (trigger := gives_back(event)) and await self._store.release(trigger, self._clock.now()):
                log.info("cap_given_back", trigger=trigger, outcome=event.name)

    async def on_suppress(self, request: Suppress) -> Suppressed:
        if request.remove:
            await self._store.unsuppress(request.person)
            await self._store.choose(request.person, EVERYTHING, wanted=True, now=self._clock.now())
        else:
            await self._store.suppress(request.person, request.reason or "by an operator", self._clock.now())
        log.info("suppression_put", person=request.person, suppressed=not request.remove)
        return Suppressed(request.person, suppressed=not request.remove)

    async def on_get_consents(self, request: GetConsents) -> Consents:
        return await self._store.consents(request.person)

    async def on_check_consent(self, request: CheckConsent) -> ConsentChecked:
        standing = await self._store.standing(request.person, request.aliases)
        return ConsentChecked(refusal(standing, request.category))
