"""Markup as a sequence of tags, each with its place. Reads HTML and MJML, and never looks twice at a character."""

import re
from collections.abc import Iterator

from msgspec import Struct

# Possessive, so that no markup takes longer than its length.
_TAG = re.compile(r"""<(/?)([a-zA-Z][\w:-]*+)((?:[^<>"']|"[^"]*+"|'[^']*+')*+)>""")
_ATTRIBUTE = re.compile(r"""([^\s"'<>/=]++)(?:\s*+=\s*+("[^"]*+"|'[^']*+'|[^\s"'=<>`]++))?+""")
_NEXT = re.compile(r"<!--|<[!?a-zA-Z/]")
VERBATIM = frozenset(
    {"style", "script", "title", "textarea", "mj-style", "mj-title", "mj-preview", "mj-accordion-title"}
)
"""Elements that hold text and no tags."""
VOID = frozenset({"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"})


class Attribute(Struct, frozen=True):
    """``start``: of its name; ``begin``: of its value, without the quotation mark."""

    name: str
    start: int
    value: str
    begin: int
    quoted: bool


class Tag(Struct, frozen=True):
    """An opening or closing tag, a comment (``!--``), or text (no name)."""

    name: str
    start: int
    end: int
    closing: bool = False
    empty: bool = False
    attributes: tuple[Attribute, ...] = ()


def tags(text: str, at: int = 0, stop: int | None = None) -> Iterator[Tag]:
    """From ``at`` on. What cannot be read as a tag is text."""
    while at < (len(text) if stop is None else stop):
        tag = _tag(text, at)
        yield tag
        at = tag.end
        if tag.name in VERBATIM and not (tag.closing or tag.empty):
            end = re.compile(rf"</{tag.name}\s*+>", re.IGNORECASE).search(text, at)
            until = end.start() if end else len(text)
            if until > at:
                yield Tag("", at, until)
            at = until


def _tag(text: str, at: int) -> Tag:
    begin = _NEXT.search(text, at)
    if begin is None:
        return Tag("", at, len(text))
    if begin.start() > at:
        return Tag("", at, begin.start())
    if begin[0] in ("<!--", "<!", "<?"):
        closing = "-->" if begin[0] == "<!--" else ">"
        end = text.find(closing, at + 2)
        return Tag("!--" if begin[0] == "<!--" else "!", at, len(text) if end < 0 else end + len(closing))
    found = _TAG.match(text, at)
    if found is None:
        return Tag("", at, at + 1)
    written = found[3]
    return Tag(
        found[2].lower(),
        at,
        found.end(),
        bool(found[1]),
        written.endswith("/"),
        tuple(_attributes(written, found.start(3))),
    )


def _attributes(written: str, start: int) -> Iterator[Attribute]:
    for found in _ATTRIBUTE.finditer(written):
        value = found[2]
        quoted = value is not None and value[0] in "\"'"
        begin = start + (found.start(2) + quoted if value is not None else found.end())
        yield Attribute(
            found[1].lower(),
            start + found.start(),
            (value or "")[quoted : -1 if quoted else None],
            begin,
            quoted or value is None,
        )
