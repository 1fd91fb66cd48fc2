"""Just before the first attempt: is the rule still true, may the person still be approached, what is to be said?"""

from msgspec import Struct, structs

from services.webhook.endings import Ending, suppressed
from services.webhook.payload import payload
from shared import subjects
from shared.bus import Bus
from shared.clock import Clock
from shared.messages import (
    CheckConsent,
    ConsentChecked,
    GetPerson,
    Person,
    PersonFound,
    Stamps,
    Trigger,
    Verified,
    Verify,
)
from shared.partition import partition_of


class Ready(Struct, frozen=True):
    body: bytes
    stamps: Stamps


class Preparing:
    """``staging``: everything is a test."""

    def __init__(self, bus: Bus, clock: Clock, *, staging: bool) -> None:
        self._bus = bus
        self._clock = clock
        self._staging = staging

    def is_test(self, trigger: Trigger) -> bool:
        return self._staging or trigger.terms.test

    async def prepare(self, trigger: Trigger, *, replayed: bool) -> Ready | Ending:
        """Raises ``Unavailable`` while nobody can say. What an operator ``replayed`` may be long past being true."""
        person = await self._person(trigger.person)
        stamps = trigger.stamps
        if trigger.terms.verify and not replayed:
            request = Verify(trigger.rule, trigger.version, person, self._clock.now())
            verified = await self._bus.request(subjects.RULES_VERIFY, request, Verified)
            if not verified.holds:
                reason = f"no longer true: {verified.reason}" if verified.reason else "no longer true"
                return suppressed(trigger, self._clock.now(), "verify", reason)
            stamps = structs.replace(stamps, verified=self._clock.now())
        check = CheckConsent(trigger.person, trigger.terms.category, trigger.aliases)
        if refusal := (await self._bus.request(subjects.CONSENTS_CHECK, check, ConsentChecked)).refusal:
            return suppressed(trigger, self._clock.now(), "consent", refusal)
        return Ready(payload(trigger, person, test=self.is_test(trigger)), stamps)

    async def _person(self, key: str) -> Person:
        subject = subjects.people_get(partition_of(key, self._bus.partitions))
        return (await self._bus.request(subject, GetPerson(key), PersonFound)).person
