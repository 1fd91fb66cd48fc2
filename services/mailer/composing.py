"""What the mail says to one person, ready for the SMTP server."""

from msgspec import Struct, structs

from services.mailer.address import To
from services.mailer.catalogue.shelf import Shelf
from services.mailer.compose import Letter, Sender, compose, message_id
from services.mailer.context import Shop, context, lists, reader_of
from services.mailer.coupons.handing import Coupons
from services.mailer.coupons.missing import NoCode
from services.mailer.dkim import Signer
from services.mailer.endings import Ending, failed, suppressed
from services.mailer.feedback import Feedback
from services.mailer.headers import standing
from services.mailer.links import Linking
from services.mailer.templates import Filled, Templates
from services.mailer.templating.template import TemplateError
from shared.clock import Clock, Instant
from shared.messages import Person, Trigger


class Letterhead(Struct, frozen=True):
    """Who writes, and how what becomes of the mail is heard of."""

    shop: Shop
    sender: Sender
    reply_to: Sender | None = None
    feedback: Feedback = Feedback()


class Composed(Struct, frozen=True):
    letter: Letter
    template_version: int


class Held(Struct, frozen=True):
    """Something that the mail cannot do without is not to be had at the moment."""

    reason: str


class SoldOut(Exception):
    """All that the mail would show is."""


class Composer:
    def __init__(
        self,
        templates: Templates,
        shelf: Shelf,
        coupons: Coupons,
        linking: Linking,
        signer: Signer,
        letterhead: Letterhead,
        clock: Clock,
    ) -> None:
        self._templates = templates
        self._shelf = shelf
        self._coupons = coupons
        self._linking = linking
        self._signer = signer
        self._letterhead = letterhead
        self._clock = clock

    async def compose(self, trigger: Trigger, person: Person, to: To) -> Composed | Held | Ending:
        try:
            return await self._compose(trigger, person, to, self._clock.now())
        except TemplateError as error:
            return failed(trigger, self._clock.now(), "compose", str(error))
        except SoldOut:
            return suppressed(trigger, self._clock.now(), "catalogue", "all that it would show is sold out")
        except NoCode as none:
            return Held(f"{trigger.terms.template} needs a code, and {none}")

    async def fill(self, trigger: Trigger, person: Person, unsubscribe: str, *, trial: bool) -> Filled:
        """The trigger's template for the person, with the catalogue's word on the products. ``trial``: no coupon code is spent.
        Raises ``TemplateError``, ``SoldOut`` and ``NoCode``."""
        version, template = self._templates.find(trigger.terms.template)
        shop, speaks_of = self._letterhead.shop, template.speaks_of
        shown = await self._shelf.completed(lists(trigger, person), person, speaks_of)
        if shown is None:
            raise SoldOut
        coupon = await self._coupons.reserve(trigger, trial=trial) if "coupon" in speaks_of else None
        variables = context(trigger, person, shop, unsubscribe, shown=shown, coupon=coupon)
        return Filled(template.render(variables, reader_of(person, shop)), version)

    def signed(self, letter: Letter, now: Instant) -> Letter:
        return structs.replace(letter, content=self._signer.signed(letter.content, now))

    async def _compose(self, trigger: Trigger, person: Person, to: To, now: Instant) -> Composed:
        head, link = self._letterhead, self._linking.link(trigger, now, trial=to.trial)
        unsubscribe = self._linking.unsubscribe(link)
        rendered, version = await self.fill(trigger, person, unsubscribe, trial=to.trial)
        rendered = structs.replace(rendered, html=self._linking.tracked(rendered.html, link))
        headers = self._headers(trigger, unsubscribe)
        letter = compose(
            trigger.id, rendered, to, head.sender, now, due=trigger.at, unsubscribe=unsubscribe, standing=headers
        )
        return Composed(head.feedback.addressed(self.signed(letter, now)), version)

    def _headers(self, trigger: Trigger, unsubscribe: str) -> list[str]:
        head = self._letterhead
        id_ = message_id(trigger.id, head.sender.domain)
        return [
            *standing(trigger, head.sender, head.reply_to, unsubscribe=bool(unsubscribe)),
            *head.feedback.headers(trigger.id, id_),
        ]
