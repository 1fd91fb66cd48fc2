"""Counting the events of a window, and foreseeing how the count falls as the oldest drop out. Pure."""

from collections import Counter
from collections.abc import Callable, Hashable
from math import ceil
from typing import Any

from services.rule_evaluator.values import ValueTest, identity
from shared.clock import Instant
from shared.messages import HistoryEvent


class CountTest:
    """A test of a whole number. ``least``: below it the test is false, whatever else it asks."""

    def __init__(self, test: ValueTest) -> None:
        self.passes: Callable[[Any], bool] = test.compile()
        self.least: float = max((clause.operand for clause in test.clauses if clause.comparison == "gte"), default=0)
        self._rises_once = [clause.comparison for clause in test.clauses] == ["gte"]

    def turns_below(self, count: int) -> int:
        """The highest number below ``count`` at which the test answers otherwise than at ``count``; -1 if none does."""
        if count < self.least:
            return -1  # false, and false for all that are fewer
        if self._rises_once:
            return ceil(self.least) - 1
        now = self.passes(count)
        for fewer in range(count - 1, -1, -1):
            if self.passes(fewer) is not now:
                return fewer
        return -1


class LargestGroup:
    """The largest of the groups of ``events`` (oldest first) that share a property; of equals, the one that grew last."""

    def __init__(self, name: str, events: list[HistoryEvent]) -> None:
        self._keyed: list[tuple[Hashable, HistoryEvent]] = [
            (identity(value), event) for event in events if (value := event.properties.get(name)) is not None
        ]
        self._sizes = Counter(key for key, _ in self._keyed)
        self.size = max(self._sizes.values(), default=0)

    def members(self) -> list[HistoryEvent]:
        largest = next((key for key, _ in reversed(self._keyed) if self._sizes[key] == self.size), None)
        return [event for key, event in self._keyed if key == largest]

    def shrinks_to(self, size: int) -> Instant:
        """The timestamp of the event with which, dropping the oldest first, no group has more than ``size`` left.

        ``size`` is less than the present one.
        """
        left = Counter(self._sizes)
        large = sum(count > size for count in left.values())
        for key, event in self._keyed:
            left[key] -= 1
            large -= left[key] == size
            if not large:
                return event.timestamp
        raise ValueError(f"a group of {self.size} cannot shrink to {size}")
