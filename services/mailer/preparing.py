"""From a send to a mail: who is it for, is the rule still true, is it still wanted, what does it say."""

from msgspec import Struct, structs

from services.mailer.address import Nobody, choose
from services.mailer.compose import Letter, Sender, compose
from services.mailer.context import Shop, context, reader_of
from services.mailer.endings import Ending, failed, suppressed
from services.mailer.links import Linking
from services.mailer.templates import Templates
from services.mailer.templating.template import TemplateError
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
    """``trial``: it goes to the test recipients."""

    letter: Letter
    stamps: Stamps
    trial: bool
    template_version: int = 0


class Preparing:
    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        templates: Templates,
        sender: Sender,
        shop: Shop,
        linking: Linking,
        *,
        staging: bool,
        test_recipients: tuple[str, ...],
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._templates = templates
        self._sender = sender
        self._shop = shop
        self._linking = linking
        self._staging = staging
        self._test_recipients = test_recipients

    async def prepare(self, trigger: Trigger) -> Ready | Ending:
        """Raises ``Unavailable`` while nobody can say who the person is, whether the rule still holds, or whether the person
        still wants mail."""
        person = await self._person(trigger.person)
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
        return self._compose(trigger, person, stamps)

    async def _person(self, key: str) -> Person:
        subject = subjects.people_get(partition_of(key, self._bus.partitions))
        return (await self._bus.request(subject, GetPerson(key), PersonFound)).person

    async def _refusal(self, trigger: Trigger) -> str:
        """What somebody chose, or what bounced, after the throttle let this through."""
        request = CheckConsent(trigger.person, trigger.terms.category, trigger.aliases)
        return (await self._bus.request(subjects.CONSENTS_CHECK, request, ConsentChecked)).refusal

    def _compose(self, trigger: Trigger, person: Person, stamps: Stamps) -> Ready | Ending:
        now = self._clock.now()
        to = choose(person.profile, self._test_recipients, staging=self._staging, test=trigger.terms.test)
        if isinstance(to, Nobody):
            return suppressed(trigger, now, "address", to.reason)
        link = self._linking.link(trigger, now, trial=bool(to.prefix))
        unsubscribe = self._linking.unsubscribe(link)
        variables = context(trigger, person, self._shop, unsubscribe)
        try:
            rendered, version = self._templates.render(
                trigger.terms.action.template, variables, reader_of(person, self._shop)
            )
        except TemplateError as error:
            return failed(trigger, now, "compose", str(error))
        rendered = structs.replace(rendered, html=self._linking.tracked(rendered.html, link))
        letter = compose(trigger.id, rendered, to, self._sender, now, due=trigger.at, unsubscribe=unsubscribe)
        return Ready(letter, stamps, link.trial, version)
