"""What is asked about mail templates."""

from msgspec import Struct

from shared.clock import Instant


class PutTemplate(Struct):
    """Request on ``templates.put``: a template's files by their names, with the parts it uses (``_parts/…``)."""

    name: str
    files: dict[str, str]
    by: str = ""


class TemplatePut(Struct):
    """Reply to ``PutTemplate``. ``errors`` name places in the files; with any, nothing was stored."""

    name: str = ""
    version: int = 0
    changed: bool = False
    errors: list[str] = []


class ListTemplates(Struct):
    """Request on ``templates.list``."""


class TemplateSummary(Struct):
    name: str
    version: int
    changed_at: Instant
    by: str


class TemplatesListed(Struct):
    """Reply to ``ListTemplates``. ``flaws``: what is wrong with templates that could not be taken, by their names."""

    templates: list[TemplateSummary]
    flaws: dict[str, str] = {}


class GetTemplate(Struct):
    """Request on ``templates.get``: the version in force if ``version`` is 0."""

    name: str
    version: int = 0


class TemplateFound(Struct):
    """Reply to ``GetTemplate``. Without a summary if there is no such template or version."""

    summary: TemplateSummary | None = None
    files: dict[str, str] = {}


class DeleteTemplate(Struct):
    """Request on ``templates.delete``. A rule that names the template fails its mails from then on."""

    name: str
    by: str = ""


class TemplateDeleted(Struct):
    """Reply to ``DeleteTemplate``: the version that says so, 0 if there was no such template."""

    version: int


class PreviewTemplate(Struct):
    """Request on ``templates.preview``: as the mail would be for ``person`` now; without one, as its sample says."""

    name: str
    person: str = ""


class TemplatePreviewed(Struct):
    version: int
    subject: str
    html: str
    text: str


class TestTemplate(Struct):
    """Request on ``templates.test``: mail the preview to ``address``, one of the test recipients."""

    name: str
    address: str
    person: str = ""


class TemplateTested(Struct):
    version: int
    message_id: str
    reply: str
