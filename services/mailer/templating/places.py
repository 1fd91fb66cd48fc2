"""Where in a template's files something is, and what is wrong there."""

from bisect import bisect_right
from collections.abc import Iterable
from difflib import get_close_matches

from msgspec import Struct


class Flaw(Struct, frozen=True, order=True):
    """``line`` and ``column`` count from 1; 0: the file as a whole."""

    file: str
    line: int
    column: int
    message: str

    def __str__(self) -> str:
        place = f"{self.file} line {self.line} column {self.column}" if self.line else self.file
        return f"{place}: {self.message}"


class Flawed(Exception):
    """Every flaw that was found, in the order of their places."""

    def __init__(self, flaws: Iterable[Flaw]) -> None:
        self.flaws = sorted(set(flaws))
        super().__init__(str(self.flaws[0]))


MOST_FLAWS = 50
"""Told of a file."""


class Source:
    """A text that was put together from files, and where each of its characters comes from."""

    def __init__(self) -> None:
        self.text = ""
        self._starts: list[int] = []
        self._origins: list[tuple[str, str, int]] = []

    @classmethod
    def of(cls, file: str, text: str) -> "Source":
        source = cls()
        source.add(file, text, 0, len(text))
        return source

    @property
    def segments(self) -> int:
        return len(self._starts)

    def add(self, file: str, text: str, start: int, end: int) -> None:
        """``text[start:end]`` of ``file``, whose whole text is ``text``."""
        self._starts.append(len(self.text))
        self._origins.append((file, text, start))
        self.text += text[start:end]

    def flaw(self, offset: int, message: str) -> Flaw:
        at = max(0, bisect_right(self._starts, offset) - 1)
        file, text, start = self._origins[at]
        before = text[: start + offset - self._starts[at]]
        return Flaw(file, before.count("\n") + 1, len(before) - before.rfind("\n"), message)


def instead(name: str, known: Iterable[str]) -> str:
    """What somebody who wrote ``name`` may have meant, as the end of a message."""
    near = get_close_matches(name, known, n=1)
    return f", did you mean {near[0]!r}?" if near else ""
