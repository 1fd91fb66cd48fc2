"""What the mail says to one person, ready for the SMTP server."""

from msgspec import Struct, structs

from services.mailer.address import To
from services.mailer.catalogue.shelf import Shelf
from services.mailer.compose import Letter, Sender, compose, message_id
from services.mailer.context import Shop, context
from services.mailer.coupons.handing import Coupons, NoCode
from services.mailer.dkim import Signer
from services.mailer.feedback import Feedback
from services.mailer.headers import standing
from services.mailer.links import Linking
from services.mailer.templates import Templates
from shared.clock import Clock
from shared.messages import Person, Trigger


class Letterhead(Struct, frozen=True):
    """Who writes, and how what becomes of the mail is heard of."""

    shop: Shop
    sender: Sender
    reply_to: Sender | None = None
    feedback: Feedback = Feedback()


class Held(Struct, frozen=True):
    """Something that the mail cannot do without is not to be had at the moment."""

    reason: str


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

    async def compose(self, trigger: Trigger, person: Person, to: To) -> Letter | Held:
        """Raises ``TemplateError``."""
        now = self._clock.now()
        template, head = trigger.terms.template, self._letterhead
        link = self._linking.link(trigger, now, trial=to.trial)
        unsubscribe = self._linking.unsubscribe(link)
        speaks_of = self._templates.speaks_of(template)
        variables = context(trigger, person, head.shop, unsubscribe)
        variables = await self._shelf.completed(variables, person, speaks_of)
        if "coupon" in speaks_of:
            variables["coupon"] = await self._coupons.reserve(trigger, trial=to.trial)
        try:
            rendered = self._templates.render(template, variables)
        except NoCode as none:
            return Held(f"{template} needs a code, and {none}")
        rendered = structs.replace(rendered, html=self._linking.tracked(rendered.html, link))
        headers = self._headers(trigger, unsubscribe)
        letter = compose(
            trigger.id, rendered, to, head.sender, now, due=trigger.at, unsubscribe=unsubscribe, standing=headers
        )
        letter = structs.replace(letter, content=self._signer.signed(letter.content, now))
        return head.feedback.addressed(letter)

    def _headers(self, trigger: Trigger, unsubscribe: str) -> list[str]:
        head = self._letterhead
        id_ = message_id(trigger.id, head.sender.domain)
        return [
            *standing(trigger, head.sender, head.reply_to, unsubscribe=bool(unsubscribe)),
            *head.feedback.headers(trigger.id, id_),
        ]
