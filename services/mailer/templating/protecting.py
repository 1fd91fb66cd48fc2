"""Liquid is hidden from the tools that make and change markup, and put back afterwards."""

import re
from bisect import bisect_right

from msgspec import Struct

from services.mailer.templating.places import Flaw, Source

# Nothing but ASCII letters is left alone by every tool: MRML writes an attribute's value as Rust would show it.
TOKEN = re.compile(r"(?:<!--)?beckonliquid(\d+)x(?:-->)?")
_END = re.compile(r"\s*-?\}\}$")


def token(number: int) -> str:
    """For an attribute, a style or a title."""
    return f"beckonliquid{number}x"


def comment(number: int) -> str:
    """Between tags, where text might be moved (a table takes none between its rows)."""
    return f"<!--{token(number)}-->"


def filtered(output: str, filter_: str) -> str:
    """``{{ a | b }}`` with one more filter, if there is one to add."""
    end = _END.search(output)
    return f"{output[: end.start()]} | {filter_}{output[end.start() :]}" if filter_ and end else output


class Text(Struct, frozen=True):
    """A Liquid text, and where its parts come from: of each ``(start, source, offset)``."""

    text: str
    origins: tuple[tuple[int, Source, int], ...]

    @classmethod
    def of(cls, source: Source) -> "Text":
        return cls(source.text, ((0, source, 0),))

    def flaw(self, offset: int, message: str) -> Flaw:
        at = max(0, bisect_right([start for start, _, _ in self.origins], offset) - 1)
        start, source, origin = self.origins[at]
        return source.flaw(origin + max(0, offset - start), message)


class Hidden:
    """The Liquid that was taken out of a text: of each piece its text, and where it stood."""

    def __init__(self) -> None:
        self._pieces: list[tuple[str, Source, int]] = []

    def hide(self, text: str, source: Source, offset: int, filter_: str = "") -> int:
        """``filter_`` is added to an output."""
        self._pieces.append((filtered(text, filter_), source, offset))
        return len(self._pieces) - 1

    def text(self, number: int) -> str:
        return self._pieces[number][0]

    def flaw(self, number: int, message: str) -> Flaw:
        _, source, offset = self._pieces[number]
        return source.flaw(offset, message)

    def restored(self, text: str) -> Text:
        parts: list[str] = []
        origins: list[tuple[int, Source, int]] = []
        at = size = 0
        for found in TOKEN.finditer(text):
            piece, source, offset = self._pieces[int(found[1])]
            parts += [text[at : found.start()], piece]
            size += found.start() - at
            origins.append((size, source, offset))
            size += len(piece)
            at = found.end()
        return Text("".join([*parts, text[at:]]), tuple(origins))
