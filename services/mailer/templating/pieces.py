"""A template's Liquid, told from the markup around it."""

import re

from msgspec import Struct

from services.mailer.templating.places import Flawed, Source

_BEGIN = re.compile(r"\{\{|\{%-?\s*(\w+|#)?")
_WHOLE = frozenset({"raw", "comment", "doc"})
"""Tags whose content is no Liquid."""
_CAPTURED = re.compile(r"\{%-?\s*capture\s[^<]*?\{%-?\s*endcapture\s*-?%\}")
"""A capture without markup: it shows nothing where it stands."""

OUTPUT = "output"
MASK = "\ue000"
"""Stands for each character of Liquid where only the markup is looked at. No mail has a use for it: it is for private use."""
TAG_MASK = "\ue002"
"""The same for tags, which show nothing themselves."""


class Piece(Struct, frozen=True):
    """``{{ … }}``, ``{% … %}``, or a whole ``{% comment %} … {% endcomment %}``. ``name``: ``output``, or the tag's name."""

    start: int
    end: int
    name: str


def pieces(source: Source) -> list[Piece]:
    """Raises ``Flawed`` if one never ends."""
    found: list[Piece] = []
    text, at = source.text, 0
    while begin := _BEGIN.search(text, at):
        start = begin.start()
        name = begin[1] or ("" if begin[0].startswith("{%") else OUTPUT)
        at = _after(source, start, name)
        if name == "capture" and (whole := _CAPTURED.match(text, start)):
            at, name = whole.end(), "captured"
        found.append(Piece(start, at, name))
    return found


def masked(text: str, found: list[Piece]) -> str:
    """``text`` of the same length with every character of Liquid hidden."""
    parts, at = [], 0
    for piece in found:
        parts += [text[at : piece.start], (MASK if piece.name == OUTPUT else TAG_MASK) * (piece.end - piece.start)]
        at = piece.end
    return "".join([*parts, text[at:]])


def _after(source: Source, start: int, name: str) -> int:
    closing = "}}" if name == OUTPUT else "%}"
    end = source.text.find(closing, start)
    if end < 0:
        opening = "{{" if name == OUTPUT else "{%"
        raise Flawed([source.flaw(start, f"{opening} is never closed with {closing}")])
    if name in _WHOLE:
        close = re.compile(r"\{%-?\s*end" + name + r"\s*-?%\}").search(source.text, end)
        if close is None:
            raise Flawed([source.flaw(start, f"{{% {name} %}} is never closed with {{% end{name} %}}")])
        return close.end()
    return end + 2
