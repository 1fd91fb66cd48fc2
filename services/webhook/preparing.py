"""Just before the first attempt: is the rule still true, may the person still be approached, what is to be said?"""

from msgspec import Struct, structs

from services.webhook.endings import Ending, suppressed
from services.webhook.payload import payload
from shared.bus import Bus
from shared.clock import Clock
from shared.messages import Stamps, Trigger
from shared.questions import no_longer_true, not_wanted, who_is


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
        person = (await who_is(self._bus, trigger.person)).person
        stamps = trigger.stamps
        if trigger.terms.verify and not replayed:
            if reason := await no_longer_true(self._bus, trigger, person, self._clock.now()):
                return suppressed(trigger, self._clock.now(), "verify", reason)
            stamps = structs.replace(stamps, verified=self._clock.now())
        if refusal := await not_wanted(self._bus, trigger):
            return suppressed(trigger, self._clock.now(), "consent", refusal)
        return Ready(payload(trigger, person, test=self.is_test(trigger)), stamps)
