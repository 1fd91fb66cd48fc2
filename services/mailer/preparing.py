"""From a send to a mail: who is it for, is the rule still true, is it still wanted, what does it say."""

from collections.abc import Callable

from msgspec import Struct, structs

from services.mailer.address import Nobody, choose
from services.mailer.compose import Letter
from services.mailer.composing import Composer, Held
from services.mailer.endings import Ending, failed, refused_address, suppressed
from services.mailer.suppressions import Suppressions
from services.mailer.templates import TemplateError
from shared import subjects
from shared.bus import Bus
from shared.clock import Clock, Instant
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
    """``domain``: the recipient's. ``at``: when it was so. ``trial``: it goes to the test recipients. ``address``: the hash of
    whom it goes to, if that is the person."""

    letter: Letter
    domain: str
    at: Instant
    stamps: Stamps
    trial: bool
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
        person = await self._person(trigger.person)
        to = choose(person.profile, self._test_recipients, staging=self._staging, test=trigger.terms.test)
        if isinstance(to, Nobody):
            return suppressed(trigger, self._clock.now(), "address", to.reason)
        address = None if to.trial else self._suppressions.hash(to.addresses[0])
        # Asked once more when the mail is claimed; but by then a server has been asked for an address that is known bad.
        if address and (against := await self._suppressions.against(address)):
            return refused_address(trigger, self._clock.now(), against)
        admit(to.domain)
        stamps = trigger.stamps
        if trigger.terms.verify:
            at = self._clock.now()
            verified = await self._bus.request(
                subjects.RULES_VERIFY, Verify(trigger.rule, trigger.version, person, at), Verified
            )
            if not verified.holds:
                reason = f"no longer true: {verified.reason}" if verified.reason else "no longer true"
                return suppressed(trigger, self._clock.now(), "verify", reason)
            stamps = structs.replace(stamps, verified=self._clock.now())
        if refusal := await self._refusal(trigger):
            return suppressed(trigger, self._clock.now(), "consent", refusal)
        at = self._clock.now()
        try:
            letter = await self._composer.compose(trigger, person, to)
        except TemplateError as error:
            return failed(trigger, self._clock.now(), "compose", str(error))
        if isinstance(letter, Held):
            return letter
        return Ready(letter, to.domain, at, stamps, trial=to.trial, address=address)

    async def _person(self, key: str) -> Person:
        subject = subjects.people_get(partition_of(key, self._bus.partitions))
        return (await self._bus.request(subject, GetPerson(key), PersonFound)).person

    async def _refusal(self, trigger: Trigger) -> str:
        """What somebody chose, or complained of, after the throttle let this through."""
        request = CheckConsent(trigger.person, trigger.terms.category, trigger.aliases)
        return (await self._bus.request(subjects.CONSENTS_CHECK, request, ConsentChecked)).refusal
