"""Reading a document place by place: each value knows its path, and every error is noted with it. Pure."""

import difflib
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any, TypeVar

from shared import names
from shared.clock import Duration
from shared.durations import parse_duration

T = TypeVar("T")


class Place:
    """A value in a document. What is asked of it and is not so is noted in ``errors``, and the answer is none."""

    def __init__(self, value: Any, path: str, errors: list[str], depth: int = 0) -> None:
        self.value = value
        self.path = path
        self.depth = depth
        self.errors = errors

    def wrong(self, reason: str) -> None:
        self.errors.append(f"{self.path}: {reason}" if self.path else reason)

    def child(self, key: str) -> "Place":
        """The value under ``key``; none, if it is not there."""
        path = f"{self.path}.{key}" if self.path else key
        return Place(self.value.get(key), path, self.errors, self.depth + 1)

    def given(self, key: str) -> "Place | None":
        """The value under ``key``, if it is there and not null."""
        return self.child(key) if self.value.get(key) is not None else None

    def required(self, key: str, example: str) -> "Place | None":
        if (child := self.given(key)) is None:
            self.child(key).wrong(f"is missing, such as {example}")
        return child

    def is_mapping(self, example: str) -> bool:
        if isinstance(self.value, Mapping):
            return True
        self.wrong(f"{shown(self.value)} is not a mapping such as {example}")
        return False

    def only(self, known: Collection[str]) -> None:
        """Note every key of a mapping that is not ``known``."""
        for key in self.value:
            if key not in known:
                self.child(key).wrong(f"is not known here, {suggestion(key, known)}")

    def items(self, example: str) -> "Iterator[Place]":
        if not isinstance(self.value, list) or not self.value:
            self.wrong(f"{shown(self.value)} is not a list such as {example}")
            return
        for index, value in enumerate(self.value):
            yield Place(value, f"{self.path}[{index}]", self.errors, self.depth + 1)

    def one_of(self, known: Collection[str]) -> str | None:
        if isinstance(self.value, str) and self.value in known:
            return self.value
        self.wrong(f"{shown(self.value)} is not one of {', '.join(known)}")
        return None

    def text(self, pattern: str, meaning: str) -> str | None:
        if isinstance(self.value, str) and re.fullmatch(pattern, self.value):
            return self.value
        self.wrong(f"{shown(self.value)} is not {meaning}")
        return None

    def boolean(self) -> bool | None:
        if isinstance(self.value, bool):
            return self.value
        self.wrong(f"{shown(self.value)} is neither true nor false")
        return None

    def whole(self, least: int, most: int) -> int | None:
        if type(self.value) is int and least <= self.value <= most:
            return self.value
        self.wrong(f"{shown(self.value)} is not a whole number from {least} to {most}")
        return None

    def duration(self, *, least: Duration = 0, example: str = "30m") -> Duration | None:
        duration = self.read(parse_duration)
        if duration is not None and duration < least:
            self.wrong(f"{shown(self.value)} is too short, try {example}")
            return None
        return duration

    def event_name(self) -> str | None:
        if isinstance(self.value, str) and names.valid(self.value):
            return names.normalise(self.value)
        self.wrong(f"{shown(self.value)} is not the name of an event: 1 to 64 letters, digits, spaces and any of _.:-")
        return None

    def read(self, parse: Callable[[Any], T]) -> T | None:
        """What ``parse`` makes of the value; its ``ValueError`` is noted."""
        try:
            return parse(self.value)
        except ValueError as error:
            self.wrong(str(error))
            return None


def suggestion(word: str, known: Collection[str]) -> str:
    close = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.7)
    return f"did you mean {close[0]}?" if close else f"known are {', '.join(known)}"


def shown(value: Any) -> str:
    """A value in an error: itself if it is short, else what it is."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list):
        return "a list" if value else "an empty list"
    if value is None:
        return "nothing"
    text = repr(value) if not isinstance(value, bool) else str(value).lower()
    return text if len(text) <= 80 else f"{text[:77]}..."
