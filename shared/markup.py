"""YAML or JSON text to plain values: mappings with text keys, lists, texts, numbers, booleans, null. Pure.

YAML as in its version 1.2 core schema (https://yaml.org/spec/1.2.2/#103-core-schema): ``NO`` is a text and not false,
``21:00`` is no number, ``2026-01-31`` no date. A key given twice, an alias and a tag are errors.
"""

import json
import re
from typing import Any, NoReturn

import msgspec
import yaml

LONGEST = 64 * 1024
"""Characters of a document."""

_CORE = (
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?[0-9]{1,18}", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]{1,2})?", "-+0123456789."),
    ("null", r"~|null|Null|NULL|", "~nN\0"),
)


class MarkupError(ValueError):
    """The text is neither YAML nor JSON, or more than plain values. Names the line."""


DEEPEST = 200
"""Levels of nesting that are read at all: far more than anybody writes, and composed in no time."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 - not those of YAML 1.1
    _depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if isinstance(event, yaml.AliasEvent):
            _fail(event.start_mark, "an alias (*name) is not possible here, write it out")
        if getattr(event, "tag", None) is not None:
            _fail(event.start_mark, f"a tag ({event.tag}) is not possible here")
        self._depth += 1
        if self._depth > DEEPEST:
            raise MarkupError("nested too deep")
        node = super().compose_node(parent, index)
        self._depth -= 1
        return node

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        values: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, str):
                _fail(key_node.start_mark, f"the key {key!r} is not a text, put it in quotes")
            if key in values:
                _fail(key_node.start_mark, f"{key!r} is given twice")
            values[key] = self.construct_object(value_node, deep=deep)
        return values

    def construct_number(self, node: Any) -> int | float:
        text = self.construct_scalar(node)
        return int(text) if node.tag.endswith(":int") else float(text)


for _kind, _pattern, _first in _CORE:
    _Loader.add_implicit_resolver(
        f"tag:yaml.org,2002:{_kind}", re.compile(f"(?:{_pattern})$"), [c if c != "\0" else "" for c in _first]
    )
for _kind in ("int", "float"):
    _Loader.add_constructor(f"tag:yaml.org,2002:{_kind}", _Loader.construct_number)


def _fail(mark: Any, reason: str) -> NoReturn:
    raise MarkupError(f"line {mark.line + 1}, column {mark.column + 1}: {reason}")


def load(text: str) -> Any:
    """Raises ``MarkupError``."""
    if len(text) > LONGEST:
        raise MarkupError(f"the document has {len(text)} characters, at most {LONGEST}")
    try:
        values = _load(text)
        msgspec.json.encode(values)
    except MarkupError:
        raise
    except RecursionError:
        raise MarkupError("nested too deep") from None
    except UnicodeEncodeError:
        raise MarkupError("a text holds half a character (a surrogate without its other half)") from None
    except (ValueError, OverflowError) as error:
        raise MarkupError(f"a number is too long: {error}") from None
    return values


def load_all(text: str) -> list[str]:
    """The texts of several documents: those of a YAML stream (``---``), or the items of a list, each as JSON. Raises
    ``MarkupError``."""
    documents = []
    for part in _parts(text):
        if not _only_comments(part):
            values = load(part)
            items = values if isinstance(values, list) else [values]
            documents += [msgspec.json.encode(item).decode() for item in items]
    return documents


_DOCUMENTS = re.compile(r"^---(?=[ \t]|$)", re.MULTILINE)


def _parts(text: str) -> list[str]:
    """Each begins with as many empty lines as stand before it in the text, so that errors name the text's own lines."""
    starts = [0, *(match.end() for match in _DOCUMENTS.finditer(text))]
    ends = [*(match.start() for match in _DOCUMENTS.finditer(text)), len(text)]
    return ["\n" * text.count("\n", 0, start) + text[start:end] for start, end in zip(starts, ends, strict=True)]


def _only_comments(text: str) -> bool:
    return all(not line.strip() or line.lstrip().startswith("#") for line in text.splitlines())


def _load(text: str) -> Any:
    if text.lstrip().startswith(("{", "[")):
        try:
            return json.loads(text, object_pairs_hook=_object, parse_constant=_no_constant)
        except json.JSONDecodeError:
            pass  # YAML writes mappings in braces too, with fewer quotes
    try:
        return yaml.load(text, _Loader)  # noqa: S506 - a safe loader, made safer
    except yaml.MarkedYAMLError as error:
        if "single document" in (error.context or ""):
            raise MarkupError("several documents (---) in one text, put them one at a time") from None
        mark = error.problem_mark or error.context_mark
        place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise MarkupError(f"{place}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise MarkupError(" ".join(str(error).split())) from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        raise MarkupError(f"{next(name for name in names if names.count(name) > 1)!r} is given twice")
    return values


def _no_constant(name: str) -> NoReturn:
    raise MarkupError(f"{name} is not a number that can be compared")
