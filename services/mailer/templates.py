"""Liquid templates in a folder: ``<folder>/<template>/{subject,html,text}.liquid``.

A template is read again when its file changes. A flaw raises ``TemplateError`` with the file, the line and what is wrong;
a misspelt variable or filter is found when the template is read, also in a branch that is seldom taken. What a person's
profile lacks is simply empty: that is no flaw.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from weakref import WeakKeyDictionary

from liquid import BoundTemplate, CachingFileSystemLoader, Environment
from liquid.exceptions import LiquidError, TemplateNotFoundError
from liquid.span import Span

from services.mailer.compose import Rendered
from services.mailer.context import VARIABLES
from services.mailer.money import money

SUBJECT, HTML, TEXT = "subject.liquid", "html.liquid", "text.liquid"
FILES = (SUBJECT, HTML, TEXT)

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")
_LEAKED = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError, RecursionError, OSError)
"""What Liquid lets through of the faults in a filter or a file."""


class TemplateError(Exception):
    """One line: ``cart-reminder/html.liquid line 12: …``."""


class _Environment(Environment):
    """The limits hold for one rendering: no template, and nothing in a profile, can hold the mailer up."""

    loop_iteration_limit = 10_000
    output_stream_limit = 512 * 1024
    local_namespace_limit = 1024 * 1024


class Templates:
    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._escaped = self._environment(autoescape=True)
        self._plain = self._environment(autoescape=False)
        self._checked: WeakKeyDictionary[BoundTemplate, frozenset[str]] = WeakKeyDictionary()
        """The variables that each speaks of."""

    def render(self, template: str, variables: Mapping[str, Any]) -> Rendered:
        """Raises ``TemplateError``."""
        return Rendered(*(self._render(path, variables) for path in self._files(template)))

    def speaks_of(self, template: str) -> frozenset[str]:
        """The variables in the files of a template. Raises ``TemplateError``."""
        return frozenset[str]().union(*(self._checked[self._load(path)] for path in self._files(template)))

    def flaws(self) -> list[str]:
        """What is wrong with the templates that are there now, as far as reading them tells."""
        names = sorted(path.name for path in self._folder.iterdir() if path.is_dir() and _NAME.fullmatch(path.name))
        found = []
        for path in [f"{name}/{file}" for name in names for file in FILES]:
            try:
                self._load(path)
            except TemplateError as error:
                found.append(str(error))
        return found

    def _environment(self, *, autoescape: bool) -> Environment:
        environment = _Environment(
            autoescape=autoescape, loader=CachingFileSystemLoader(self._folder, auto_reload=True)
        )
        environment.add_filter("money", money)
        return environment

    def _files(self, template: str) -> Iterable[str]:
        if not _NAME.fullmatch(template):
            raise TemplateError(f"{template!r} is no name of a template: expected small letters, digits, - and _")
        return (f"{template}/{file}" for file in FILES)

    def _render(self, path: str, variables: Mapping[str, Any]) -> str:
        template = self._load(path)
        try:
            return template.render(**variables)
        except LiquidError as error:
            raise self._told(path, error) from None
        except _LEAKED as error:
            raise TemplateError(f"{path}: {type(error).__name__}: {_line(error)}") from None

    def _load(self, path: str) -> BoundTemplate:
        environment = self._escaped if path.endswith(HTML) else self._plain
        try:
            template = environment.get_template(path)
            if template not in self._checked:
                self._checked[template] = self._check(path, template)
        except LiquidError as error:
            raise self._told(path, error) from None
        except _LEAKED as error:
            raise TemplateError(f"{path}: {type(error).__name__}: {_line(error)}") from None
        return template

    def _check(self, path: str, template: BoundTemplate) -> frozenset[str]:
        names = template.analyze()
        for name, uses in names.globals.items():
            if name not in VARIABLES:
                known = ", ".join(sorted(VARIABLES))
                raise TemplateError(f"{self._place(path, uses[0].span)}: unknown variable '{name}'; there are {known}")
        for name, spans in names.filters.items():
            if name not in template.env.filters:
                raise TemplateError(f"{self._place(path, spans[0])}: unknown filter '{name}'")
        return frozenset(names.globals)

    def _place(self, path: str, span: Span) -> str:
        file = self._relative(span.template_name) or path
        line, _ = span.line_col((self._folder / file).read_text(encoding="utf-8"))
        return f"{file} line {line}"

    def _told(self, path: str, error: LiquidError) -> TemplateError:
        if isinstance(error, TemplateNotFoundError) and error.token is None:
            return TemplateError(f"{path}: there is no such file in TEMPLATES_DIR")
        what = f"cannot find template {error.message}" if isinstance(error, TemplateNotFoundError) else error.message
        place = self._relative(error.template_name) or path
        if context := error.context():
            place = f"{place} line {context[0]}"
        elif error.token:
            place = f"{place} at its end"
        return TemplateError(f"{place}: {_line(what)}")

    def _relative(self, name: str | Path | None) -> str:
        """Liquid names a file by its path or, where it was rendered by another, by the name given there."""
        path = Path(name or "")
        if path.is_relative_to(self._folder):
            return str(path.relative_to(self._folder))
        return str(path) if name and (self._folder / path).is_file() else ""


def _line(message: object) -> str:
    return " ".join(str(message).split())
