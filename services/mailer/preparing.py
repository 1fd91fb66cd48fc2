"""From a send to a mail: who is it for, is the rule still true, is it still wanted, what does it say.

What can speak against it is asked twice: before anything is made and any server is bothered, and again when the server waits for
the content and for nothing else, since it may have taken its time until then.
"""

from collections.abc import Callable

from msgspec import Struct, structs

from services.mailer.address import Nobody, choose
from services.mailer.compose import Letter
from services.mailer.composing import Composed, Composer, Held
from services.mailer.endings import Ending, refused_address, suppressed
from services.mailer.suppressions import Suppressions
from shared.bus import Bus
from shared.clock import SECOND, Clock, Duration, Instant
from shared.messages import Person, Stamps, Trigger
from shared.questions import no_longer_true, not_wanted, who_is

STALE: Duration = SECOND
"""What was verified longer ago may be true no more."""


class Ready(Struct, frozen=True):
    """``domain``: the recipient's. ``at``: when it was so. ``trial``: it goes to the test recipients. ``address``: the hash of
    whom it goes to, if that is the person."""

    letter: Letter
    domain: str
    at: Instant
    stamps: Stamps
    trial: bool
    template_version: int = 0
    address: bytes | None = None


class Preparing:
    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        composer: Composer,
        suppressions: Suppressions,
        *,
        staging: bool,
        test_recipients: tuple[str, ...],
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._composer = composer
        self._staging = staging
        self._test_recipients = test_recipients
        self._suppressions = suppressions

    async def prepare(self, trigger: Trigger, admit: Callable[[str], None]) -> Ready | Held | Ending:
        """``admit`` is asked about the recipient's domain as soon as it is known, and raises ``RetryLater`` if nothing may go
        there now. Raises ``Unavailable`` while nobody can say who the person is, whether the rule still holds, or whether the
        person still wants mail."""
        person = (await who_is(self._bus, trigger.person)).person
        to = choose(person.profile, self._test_recipients, staging=self._staging, test=trigger.terms.test)
        if isinstance(to, Nobody):
            return suppressed(trigger, self._clock.now(), "address", to.reason)
        address = None if to.trial else self._suppressions.hash(to.addresses[0])
        # The claim asks once more, in its own statement.
        if address and (against := await self._suppressions.against(address)):
            return refused_address(trigger, self._clock.now(), against)
        admit(to.domain)
        stamps = trigger.stamps
        if trigger.terms.verify:
            if untrue := await self._untrue(trigger, person):
                return untrue
            stamps = structs.replace(stamps, verified=self._clock.now())
        if unwanted := await self._unwanted(trigger):
            return unwanted
        at = self._clock.now()
        made = await self._composer.compose(trigger, person, to)
        if not isinstance(made, Composed):
            return made
        return Ready(made.letter, to.domain, at, stamps, to.trial, made.template_version, address)

    def stale(self, ready: Ready) -> bool:
        return self._clock.now() - ready.at > STALE

    async def objection(self, trigger: Trigger, ready: Ready) -> Ending | None:
        """What has come up against a mail since it was made ready. Raises ``Unavailable``."""
        if trigger.terms.verify and self.stale(ready):
            person = (await who_is(self._bus, trigger.person)).person
            if untrue := await self._untrue(trigger, person):
                return untrue
        return await self._unwanted(trigger)

    async def _untrue(self, trigger: Trigger, person: Person) -> Ending | None:
        reason = await no_longer_true(self._bus, trigger, person, self._clock.now())
        return suppressed(trigger, self._clock.now(), "verify", reason) if reason else None

    async def _unwanted(self, trigger: Trigger) -> Ending | None:
        refusal = await not_wanted(self._bus, trigger)
        return suppressed(trigger, self._clock.now(), "consent", refusal) if refusal else None
