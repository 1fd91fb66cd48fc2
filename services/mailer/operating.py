"""What an operator asks of the templates: put, look at, try on somebody, send to a test recipient."""

import asyncio
from collections.abc import Sequence
from uuid import uuid4

from services.mailer.address import To, normal
from services.mailer.compose import compose
from services.mailer.composing import Composer, Letterhead, SoldOut
from services.mailer.pool import SmtpAway
from services.mailer.relays import Relays
from services.mailer.replies import Accepted, Result
from services.mailer.samples import SampleError, sample
from services.mailer.template_store import Stored, TemplateStore
from services.mailer.templates import Filled, Templates
from services.mailer.templating.places import Flawed
from services.mailer.templating.template import SAMPLE, Template, TemplateError
from shared import subjects
from shared.bus import Bus
from shared.clock import Clock
from shared.endpoints import Endpoint
from shared.errors import RequestRefused, Unavailable
from shared.messages import EmailAction, Person, Terms, Trigger
from shared.questions import who_is
from shared.templates import (
    DeleteTemplate,
    GetTemplate,
    ListTemplates,
    PreviewTemplate,
    PutTemplate,
    TemplateDeleted,
    TemplateFound,
    TemplatePreviewed,
    TemplatePut,
    TemplatesListed,
    TemplateSummary,
    TemplateTested,
    TestTemplate,
)

RESERVED = ("test", "example", "invalid", "localhost", "example.com", "example.net", "example.org")
"""Domains that are nobody's (RFC 2606 and 6761): what goes there reaches no person."""


class Operating:
    def __init__(
        self,
        bus: Bus,
        clock: Clock,
        templates: Templates,
        store: TemplateStore,
        composer: Composer,
        relays: Relays,
        letterhead: Letterhead,
        test_recipients: Sequence[str],
    ) -> None:
        self._bus = bus
        self._clock = clock
        self._templates = templates
        self._store = store
        self._composer = composer
        self._relays = relays
        self._sender = letterhead.sender
        self._shop = letterhead.shop
        self._test_recipients = {normal(address).lower() for address in test_recipients}

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(subjects.TEMPLATES_PUT, PutTemplate, self.on_put),
            Endpoint(subjects.TEMPLATES_LIST, ListTemplates, self.on_list),
            Endpoint(subjects.TEMPLATES_GET, GetTemplate, self.on_get),
            Endpoint(subjects.TEMPLATES_DELETE, DeleteTemplate, self.on_delete),
            Endpoint(subjects.TEMPLATES_PREVIEW, PreviewTemplate, self.on_preview),
            Endpoint(subjects.TEMPLATES_TEST, TestTemplate, self.on_test),
        ]

    async def on_put(self, request: PutTemplate) -> TemplatePut:
        try:
            template = await asyncio.to_thread(Template, request.name, request.files)
            sample(request.files.get(SAMPLE, ""), self._shop)
        except Flawed as flawed:
            return TemplatePut(request.name, errors=[str(flaw) for flaw in flawed.flaws])
        except SampleError as error:
            return TemplatePut(request.name, errors=[f"{request.name}/{SAMPLE}: {error}"])
        put = await self._templates.put(template, request.by)
        await self._templates.refresh()
        return TemplatePut(request.name, put.version, put.changed)

    async def on_list(self, _: ListTemplates) -> TemplatesListed:
        current = [_summary(stored) for stored in await self._store.current() if not stored.deleted]
        return TemplatesListed(current, self._templates.flaws)

    async def on_get(self, request: GetTemplate) -> TemplateFound:
        found = await self._store.get(request.name, request.version)
        if found is None or found[0].deleted:
            return TemplateFound()
        return TemplateFound(_summary(found[0]), found[1])

    async def on_delete(self, request: DeleteTemplate) -> TemplateDeleted:
        put = await self._templates.delete(request.name, request.by)
        await self._templates.refresh()
        return TemplateDeleted(put.version if put.changed else 0)

    async def on_preview(self, request: PreviewTemplate) -> TemplatePreviewed:
        filled = await self._filled(request.name, request.person)
        return TemplatePreviewed(
            filled.version, " ".join(filled.rendered.subject.split()), filled.rendered.html, filled.rendered.text
        )

    async def on_test(self, request: TestTemplate) -> TemplateTested:
        """Recorded nowhere: it is no send of any rule, and its links are what the template made them."""
        to = self._allowed(request.address)
        filled = await self._filled(request.name, request.person)
        now = self._clock.now()
        letter = self._composer.signed(compose(f"test-{uuid4()}", filled.rendered, to, self._sender, now), now)
        result: Result
        try:
            async with self._relays.line() as (connection, _):
                result = await connection.envelope(letter) or await connection.content(letter)
        except SmtpAway as away:
            raise Unavailable(f"no SMTP server: {away.reason}") from None
        if not isinstance(result, Accepted):
            raise RequestRefused(f"it was not sent: {result.reason}")
        return TemplateTested(filled.version, letter.message_id, result.reply)

    def _allowed(self, address: str) -> To:
        """Raises ``RequestRefused``: nobody can be mailed by a slip of the hand."""
        try:
            own = normal(address)
        except ValueError as error:
            raise RequestRefused(f"{address!r} is not an address: {error}") from None
        domain = own.lower().rpartition("@")[2]
        reserved = any(domain == name or domain.endswith(f".{name}") for name in RESERVED)
        if own.lower() not in self._test_recipients and not reserved:
            raise RequestRefused(f"{own} is not one of TEST_RECIPIENTS, and others are mailed by rules only")
        return To((own,), "[test] ")

    async def _filled(self, name: str, person: str) -> Filled:
        """Raises ``RequestRefused`` with the flaw."""
        try:
            return await (self._filled_for(name, person) if person else self._filled_with_sample(name))
        except TemplateError as error:
            raise RequestRefused(str(error)) from None
        except SampleError as error:
            raise RequestRefused(f"{name}/{SAMPLE}: {error}") from None
        except SoldOut:
            raise RequestRefused("all that it would show is sold out") from None

    async def _filled_with_sample(self, name: str) -> Filled:
        version, template = self._templates.find(name)
        return Filled(template.render(*sample(template.files.get(SAMPLE, ""), self._shop)), version)

    async def _filled_for(self, name: str, key: str) -> Filled:
        person = (await who_is(self._bus, key)).person
        return await self._composer.fill(self._as_if(name, person), person, "", trial=True)

    def _as_if(self, name: str, person: Person) -> Trigger:
        """A rule that fired for what the person did last, and for what they bought last."""
        last = person.history[-1:]
        bought = [event for event in person.history if event.name == "purchased"][-1:]
        because = list({event.n: event for event in (*bought, *last)}.values())
        return Trigger("preview", person.key, "preview", 0, self._clock.now(), Terms(EmailAction(name)), because)


def _summary(stored: Stored) -> TemplateSummary:
    return TemplateSummary(stored.name, stored.version, stored.at, stored.by)
