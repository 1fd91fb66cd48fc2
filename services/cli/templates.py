"""``beckon templates check|push|list|show|preview|delete`` and ``beckon send-test``."""

import os
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.output import Json, print_json, print_table, say, shown
from shared import markup, subjects
from shared.bus import Bus
from shared.errors import NoResponders
from shared.rules import GetRule, RuleFound
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
    TemplateTested,
    TestTemplate,
)

app = typer.Typer(no_args_is_help=True)

SERVICE = "the mailer"

Folder = Annotated[Path, typer.Argument(metavar="DIR", help="A folder of templates, or one template's folder.")]
Name = Annotated[str, typer.Argument(metavar="NAME")]
Person = Annotated[str, typer.Option("--person", metavar="KEY", help="As for this person; otherwise with sample data.")]


@app.command()
def check(folder: Folder, as_json: Json = False) -> None:
    """Check templates without any server: what is wrong, with file, line and column."""
    told = {name: flaws for name, (_, flaws) in _read(folder).items()}
    if as_json:
        print_json(told)
    else:
        for name, flaws in told.items():
            for flaw in flaws or [f"{name}: ok"]:
                say(flaw)
    if bad := sum(bool(flaws) for flaws in told.values()):
        raise Failure(f"{bad} of {len(told)} templates flawed")


@app.command()
def push(folder: Folder, as_json: Json = False) -> None:
    """Put templates: each is checked whole, and in force for the next mail. Flawed ones are left out."""
    read = _read(folder)

    async def work(bus: Bus) -> list[TemplatePut]:
        answers = []
        for name, (files, flaws) in read.items():
            if flaws:
                answers.append(TemplatePut(name, errors=flaws))
            else:
                request = PutTemplate(name, files, _who())
                answers.append(await ask(bus, SERVICE, subjects.TEMPLATES_PUT, request, TemplatePut))
        return answers

    answers = run(work)
    if as_json:
        print_json(msgspec.to_builtins(answers))
    else:
        for answer in answers:
            for error in answer.errors:
                say(error)
            if not answer.errors:
                say(f"{answer.name}: version {answer.version}" + ("" if answer.changed else ", as it was"))
    if bad := sum(bool(answer.errors) for answer in answers):
        raise Failure(f"{bad} of {len(answers)} templates refused")


@app.command("list")
def list_(as_json: Json = False) -> None:
    """The templates in force."""
    listed = run(lambda bus: ask(bus, SERVICE, subjects.TEMPLATES_LIST, ListTemplates(), TemplatesListed))
    if as_json:
        print_json(msgspec.to_builtins(listed))
        return
    rows = [(one.name, str(one.version), shown(one.changed_at), one.by) for one in listed.templates]
    print_table(("template", "version", "changed", "by"), rows, "no templates yet")
    for flaw in listed.flaws.values():
        say(f"not taken: {flaw}")


@app.command()
def show(
    name: Name,
    version: Annotated[int, typer.Option("--version", min=0, help="0: the one in force.")] = 0,
    as_json: Json = False,
) -> None:
    """A template's files."""
    request = GetTemplate(name, version)
    found = run(lambda bus: ask(bus, SERVICE, subjects.TEMPLATES_GET, request, TemplateFound))
    if found.summary is None:
        raise Failure(f"there is no template {name}" + (f" in version {version}" if version else ""))
    if as_json:
        print_json(msgspec.to_builtins(found))
        return
    for file, text in sorted(found.files.items()):
        say(f"==> {file} <==")
        say(text)


@app.command()
def preview(
    name: Name,
    person: Person = "",
    out: Annotated[Path | None, typer.Option("--out", metavar="FILE", help="Write the page here.")] = None,
    as_json: Json = False,
) -> None:
    """What a mail would say: to a person as they are now, or with the template's sample data."""
    request = PreviewTemplate(name, person)
    previewed = run(lambda bus: ask(bus, SERVICE, subjects.TEMPLATES_PREVIEW, request, TemplatePreviewed))
    if out is not None:
        _write(out, previewed.html)
    if as_json:
        print_json(msgspec.to_builtins(previewed))
        return
    say(f"Subject: {previewed.subject}")
    say("")
    say(previewed.text.rstrip("\n"))
    if out is not None:
        say(f"\nversion {previewed.version}, the page is in {out}")


@app.command()
def delete(name: Name, as_json: Json = False) -> None:
    """Let a template go. Mails of rules that name it fail from then on; its versions stay on record."""
    request = DeleteTemplate(name, _who())
    deleted = run(lambda bus: ask(bus, SERVICE, subjects.TEMPLATES_DELETE, request, TemplateDeleted))
    if not deleted.version:
        raise Failure(f"there is no template {name}")
    if as_json:
        print_json(msgspec.to_builtins(deleted))
    else:
        say(f"{name}: deleted, which is version {deleted.version}")


def send_test(
    what: Annotated[str, typer.Argument(metavar="RULE_OR_TEMPLATE")],
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="One of TEST_RECIPIENTS, or a reserved one.")],
    person: Person = "",
    as_json: Json = False,
) -> None:
    """Send the mail of a rule, or a template, to a test recipient. It is counted nowhere."""

    async def work(bus: Bus) -> TemplateTested:
        request = TestTemplate(await _template_of(bus, what), address, person)
        return await ask(bus, SERVICE, subjects.TEMPLATES_TEST, request, TemplateTested, timeout_s=30)

    tested = run(work)
    if as_json:
        print_json(msgspec.to_builtins(tested))
    else:
        say(f"sent to {address}: version {tested.version}, {tested.message_id}")


async def _template_of(bus: Bus, what: str) -> str:
    """That of the rule, if there is one; else ``what`` itself."""
    try:
        found = await bus.request(subjects.RULES_GET, GetRule(what), RuleFound)
    except NoResponders:
        return what
    if not found.document:
        return what
    action = markup.load(found.document).get("action", {})
    name = action.get("email", {}).get("template") if isinstance(action, dict) else None
    if not isinstance(name, str):
        raise Failure(f"rule {what} sends no mail")
    return name


def _read(folder: Path) -> dict[str, tuple[dict[str, str], list[str]]]:
    """Of each template its files and what is wrong with them. Raises ``Failure``."""
    # What checks templates takes a third of a second to load, and only these commands need it.
    from services.mailer.context import Shop
    from services.mailer.samples import SampleError, sample
    from services.mailer.templating.bundle import bundle, names
    from services.mailer.templating.places import Flawed
    from services.mailer.templating.template import SAMPLE, SUBJECT, Template

    def one(name: str) -> tuple[dict[str, str], list[str]]:
        files: dict[str, str] = {}
        try:
            files = bundle(folder, name)
            sample(files.get(SAMPLE, ""), Shop("", ""))
            Template(name, files)
        except Flawed as flawed:
            return files, [str(flaw) for flaw in flawed.flaws]
        except SampleError as error:
            return files, [f"{name}/{SAMPLE}: {error}"]
        return files, []

    try:
        if (folder / SUBJECT).is_file():
            folder, found = folder.resolve().parent, [folder.resolve().name]
        else:
            found = names(folder)
    except OSError as error:
        raise Failure(f"{folder}: {error.strerror}", code=2) from None
    if not found:
        raise Failure(f"{folder}: holds no template, which is a folder with a {SUBJECT}", code=2)
    return {name: one(name) for name in found}


def _write(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", code=2) from None


def _who() -> str:
    return os.environ.get("USER", "")
