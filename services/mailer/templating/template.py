"""A template: its files are checked and made ready once, when it is published; a mail then costs only the filling in.

Every flaw is told with its place in the files as their author knows them, whatever has been made of them since. What a
person's profile lacks is simply empty: that is no flaw.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from liquid import BoundTemplate
from liquid.exceptions import LiquidError, TemplateNotFoundError

from services.mailer.compose import Rendered
from services.mailer.context import VARIABLES
from services.mailer.locales import Reader
from services.mailer.templating import html, mjml
from services.mailer.templating.including import expanded
from services.mailer.templating.liquid import Limited, Meter, loose_ranges
from services.mailer.templating.places import Flaw, Flawed, Source, instead
from services.mailer.templating.protecting import Hidden, Text
from services.mailer.templating.text import text_of, tidied

SUBJECT, PREHEADER, MJML, HTML, TEXT = "subject.liquid", "preheader.liquid", "mjml.liquid", "html.liquid", "text.liquid"
SAMPLE = "sample.yaml"
FILES = (SUBJECT, PREHEADER, MJML, HTML, TEXT, SAMPLE)
PARTS = "_parts/"

LARGEST = 128 * 1024
"""Characters of a file."""
TOTAL = 256 * 1024
"""Of all files: they are one message of NATS."""
MOST = 40
"""Files of a template, with its parts."""
NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")

_PLAIN = (".text.liquid", ".mjml.liquid")
_LEAKED = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError)
"""What Liquid lets through of the faults in a filter."""
_BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
# The run of invisible characters keeps the inbox from going on with the first words of the page.
_PREHEADER = (
    '<div style="display:none;font-size:1px;line-height:1px;max-height:0;max-width:0;opacity:0;overflow:hidden;">'
    f"{{}}{'&#847;&zwnj;&nbsp;' * 60}</div>"
)


class TemplateError(Exception):
    """Why a mail cannot be made, on one line: ``cart-reminder/html.liquid line 12 column 3: …``."""


class Template:
    """Ready to be filled in. ``render`` takes some tenths of a millisecond."""

    def __init__(self, name: str, files: Mapping[str, str]) -> None:
        """Raises ``Flawed``."""
        _sound(name, files)
        self.name = name
        self.files = files
        self._texts: dict[str, Text] = {}
        self._meter = Meter()
        flaws: list[Flaw] = []

        def attempt(make: Callable[[], None]) -> None:
            try:
                make()
            except Flawed as flawed:
                flaws.extend(flawed.flaws)

        parts = {part: Source.of(part, files[part]) for part in files if part.startswith(PARTS)}
        for part, source in parts.items():
            if not part.endswith(_PLAIN):
                attempt(lambda part=part, source=source: self._texts.update({part: _part(source)}))  # type: ignore[misc]
        attempt(self._make_page)
        if flaws:
            raise Flawed(flaws)
        plain = {part: source.text for part, source in parts.items()} | self._plain_texts()
        self._escaped = Limited({key: text.text for key, text in self._texts.items()}, self._meter, escape=True)
        self._unescaped = Limited(plain, self._meter, escape=False)
        for part, source in parts.items():
            self._texts.setdefault(part, Text.of(source))
        self._subject = self._read(self._unescaped, SUBJECT, flaws)
        self._html = self._read(self._escaped, HTML, flaws)
        self._text = self._read(self._unescaped, TEXT, flaws)
        if flaws:
            raise Flawed(flaws)
        made = (self._subject, self._html, self._text)
        self.speaks_of = frozenset(name for file in made if file for name in file.analyze().globals)
        """The variables it uses."""

    def render(self, variables: Mapping[str, Any], reader: Reader) -> Rendered:
        """Raises ``TemplateError``."""
        assert self._subject
        assert self._html
        assert self._text
        self._meter.start()
        subject = self._run(self._unescaped, self._subject, variables, reader)
        page = self._run(self._escaped, self._html, variables, reader)
        text = self._run(self._unescaped, self._text, variables, reader)
        return Rendered(subject, page, text if TEXT in self.files else tidied(text))

    # --- Made ready ---

    def _key(self, file: str) -> str:
        """How a file is called in messages, and by Liquid."""
        return f"{self.name}/{file}"

    def _make_page(self) -> None:
        files = {file if file.startswith(PARTS) else self._key(file): text for file, text in self.files.items()}
        hidden = Hidden()
        if MJML in self.files:
            page = mjml.to_html(expanded(self._key(MJML), files), hidden)
        else:
            page = html.read(Source.of(self._key(HTML), self.files[HTML]), hidden)
        whole = page.inlined()
        if preheader := self.files.get(PREHEADER, "").strip():
            shown = html.read(Source.of(self._key(PREHEADER), preheader), hidden)
            body = _BODY.search(whole)
            at = body.end() if body else 0
            whole = whole[:at] + _PREHEADER.format(shown.html) + whole[at:]
        self._texts[self._key(HTML)] = hidden.restored(whole)
        if TEXT not in self.files:
            self._texts[self._key(TEXT)] = hidden.restored(text_of(whole, hidden))

    def _plain_texts(self) -> dict[str, str]:
        for file in (SUBJECT, TEXT):
            if file in self.files:
                self._texts[self._key(file)] = Text.of(Source.of(self._key(file), self.files[file]))
        return {self._key(file): self._texts[self._key(file)].text for file in (SUBJECT, TEXT)}

    def _read(self, environment: Limited, file: str, flaws: list[Flaw]) -> BoundTemplate | None:
        try:
            template = environment.get_template(self._key(file))
            found = list(self._flaws_of(template, file))
        except LiquidError as error:
            flaws.append(self._flaw(file, error))
            return None
        if file != TEXT or TEXT in self.files:  # else they have been told of the page
            flaws.extend(found)
        return template

    def _flaws_of(self, template: BoundTemplate, file: str) -> Iterator[Flaw]:
        names = template.analyze()
        for name, uses in names.globals.items():
            for use in uses:
                text = self._text_called(use.span.template_name, file)
                if name not in VARIABLES:
                    known = ", ".join(sorted(VARIABLES))
                    yield text.flaw(
                        use.span.index, f"unknown variable {name!r}{instead(name, VARIABLES)}; there are {known}"
                    )
                elif (fields := VARIABLES[name]) and len(use.segments) > 1 and use.segments[1] not in fields:
                    field = str(use.segments[1])
                    has = ", ".join(sorted(fields))
                    yield text.flaw(use.span.index, f"{name} has no {field!r}{instead(field, fields)}; it has {has}")
        for name, spans in names.filters.items():
            if name not in template.env.filters:
                for span in spans:
                    message = f"unknown filter {name!r}{instead(name, template.env.filters)}"
                    yield self._text_called(span.template_name, file).flaw(span.index, message)
        for loose in loose_ranges(template):
            yield self._texts[self._key(file)].flaw(
                loose.token.start_index, "a range like (1..5) can stand only in {% for %}"
            )

    # --- Filled in ---

    def _run(self, environment: Limited, template: BoundTemplate, variables: Mapping[str, Any], reader: Reader) -> str:
        try:
            return environment.run(template, variables, reader)
        except LiquidError as error:
            raise TemplateError(str(self._flaw(template.name, error))) from None
        except _LEAKED as error:
            raise TemplateError(f"{template.name}: {type(error).__name__}: {_line(error)}") from None

    def _text_called(self, name: object, file: str) -> Text:
        """Liquid names a part as it was called, and a file of the template only at times."""
        return self._texts.get(str(name)) or self._texts[self._key(file)]

    def _flaw(self, file: str, error: LiquidError) -> Flaw:
        missing = isinstance(error, TemplateNotFoundError)
        message = f"cannot find the part {error.message!r}" if missing else _line(error.message)
        text = self._text_called(error.template_name, file)
        if error.token is None:
            return Flaw(self._key(file), 0, 0, message)
        at = error.token.start_index if error.token.start_index >= 0 else len(text.text)
        return text.flaw(at, message)


def _sound(name: str, files: Mapping[str, str]) -> None:
    """Raises ``Flawed`` if these are no files of a template."""
    if not NAME.fullmatch(name):
        raise Flawed([Flaw(name[:80], 0, 0, "is no name of a template: expected small letters, digits, - and _")])

    def flaws() -> Iterator[Flaw]:
        if len(files) > MOST:
            yield Flaw(name, 0, 0, f"has more than {MOST} files")
        if sum(map(len, files.values())) > TOTAL:
            yield Flaw(name, 0, 0, f"has more than {TOTAL:,} characters in all")
        if SUBJECT not in files:
            yield Flaw(f"{name}/{SUBJECT}", 0, 0, "there is no such file")
        if (MJML in files) == (HTML in files):
            yield Flaw(name, 0, 0, f"needs {MJML} or {HTML}, {'and not both' if MJML in files else 'and has neither'}")
        for file, text in files.items():
            if file not in FILES and not file.startswith(PARTS):
                yield Flaw(
                    f"{name}/{file}",
                    0,
                    0,
                    f"is no file of a template{instead(file, FILES)}; there are {', '.join(FILES)}",
                )
            elif len(text) > LARGEST:
                yield Flaw(f"{name}/{file}", 0, 0, f"has more than {LARGEST:,} characters")

    if found := list(flaws()):
        raise Flawed(found)


def _part(source: Source) -> Text:
    """A part in HTML, with what its values need where they stand. Raises ``Flawed``."""
    hidden = Hidden()
    page = html.read(source, hidden)
    if page.css:
        raise Flawed([source.flaw(0, "a part cannot have CSS that is inlined: put it into html.liquid")])
    return hidden.restored(page.html)


def _line(message: object) -> str:
    return " ".join(str(message).split())
