"""What strangers sent, made fit to be read: bounded, and without characters that act instead of being read."""

import re
from collections.abc import Mapping
from typing import Any
from unicodedata import category

LONGEST = 10_000
"""Characters of one text."""
ROOM = 250_000
"""Characters of all texts of a mail."""
MOST = 5_000
"""Values of a mail."""
DEEPEST = 8

# Controls but for tab and line breaks; marks, embeddings, overrides and isolates of direction (Unicode annex 9), which would
# turn around the text beside a name; what cannot stand in UTF-8.
_ACTING = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)

JOINERS = frozenset("\u200c\u200d")
"""Of no width, and yet of meaning: Persian and Indic scripts part and join letters by them, and they make one emoji of several."""


def readable(text: str) -> bool:
    """Whether every character of it shows, or shapes one that does."""
    return text.isprintable() or all(char.isprintable() or char in JOINERS for char in text)


def one_line(text: str) -> str:
    """Without line breaks, and without any character that does not show."""
    if not text.isprintable():
        text = "".join(char if readable(char) else _instead(char) for char in text)
    return " ".join(text.split())


def _instead(char: str) -> str:
    """Nothing, as of a soft hyphen, where what stands beside it belongs together."""
    return "" if category(char) == "Cf" else " "


class Cleaner:
    """Of one mail: the bounds hold for everything it has cleaned."""

    def __init__(self) -> None:
        self._room = ROOM
        self._values = MOST

    def __call__(self, value: Any, depth: int = 0) -> Any:
        self._values -= 1
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, Mapping):
            if depth >= DEEPEST:
                return {}
            return {self._text(str(name)): self(some, depth + 1) for name, some in value.items() if self._values > 0}
        if isinstance(value, list | tuple):
            return [self(some, depth + 1) for some in value if self._values > 0] if depth < DEEPEST else []
        return value

    def _text(self, text: str) -> str:
        length = len(text)
        if length > LONGEST or length > self._room:
            length = max(0, min(LONGEST, self._room))
            text = text[:length]
        self._room -= length
        if text.isascii() and text.isprintable():
            return text
        return _ACTING.sub("", text)
