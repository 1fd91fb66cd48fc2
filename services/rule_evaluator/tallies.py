"""What is counted about the events of a window, and how that falls as the oldest drop out. Pure.

A tally belongs to a series and is brought up to date with each event of it, so that a look costs the same however long the
history is.
"""

from bisect import bisect_left, insort
from collections import Counter
from collections.abc import Callable, Hashable, Sequence
from decimal import Context, Decimal
from math import ceil, floor, isfinite
from typing import Any

from services.rule_evaluator.values import ValueTest, identity
from services.rule_evaluator.view import Key
from shared.clock import Instant
from shared.messages import HistoryEvent

NO_KEY: Key = -1
"""Before every event's."""


class CountTest:
    """A test of a number.

    ``least``: set if the test is ``gte`` and nothing else; whole numbers below it fail, all others pass. ``matter``: among
    greater whole numbers the test makes no difference.
    """

    def __init__(self, test: ValueTest) -> None:
        self.passes: Callable[[Any], bool] = test.compile()
        only = test.clauses[0] if len(test.clauses) == 1 else None
        self.least: int | None = ceil(only.operand) if only is not None and only.comparison == "gte" else None
        operands = [operand for clause in test.clauses for operand in _listed(clause.operand)]
        self.matter = max(0, *(floor(operand) + 1 for operand in operands)) if operands else 0

    def turns_below(self, count: int) -> int:
        """The highest number below ``count`` at which the test answers otherwise than at ``count``; -1 if none does."""
        now = self.passes(count)
        for fewer in range(count - 1, -1, -1):
            if self.passes(fewer) is not now:
                return fewer
        return -1


def _listed(operand: Any) -> tuple[Any, ...]:
    return operand if isinstance(operand, tuple) else (operand,)


class Groups:
    """Events grouped by a property: after which key no group has ``size`` events left (``reached``)."""

    __slots__ = ("_keys", "_name", "_size", "reached")

    def __init__(self, name: str, size: int) -> None:
        self._name = name
        self._size = size
        self._keys: dict[Hashable, list[Key]] = {}
        self.reached = NO_KEY

    def add(self, event: HistoryEvent, key: Key) -> None:
        value = event.properties.get(self._name)
        if value is None:
            return
        if type(value) is not str:
            value = identity(value)
        if (keys := self._keys.get(value)) is None:
            keys = self._keys[value] = []
        if keys and keys[-1] > key:
            insort(keys, key)
        else:
            keys.append(key)
        if len(keys) >= self._size and keys[-self._size] > self.reached:
            self.reached = keys[-self._size]


class Latest:
    """The different values of a property: ``keys`` holds, for each, that of the last event that had it, in order."""

    __slots__ = ("_last", "_name", "keys")

    def __init__(self, name: str) -> None:
        self._name = name
        self._last: dict[Hashable, Key] = {}
        self.keys: list[Key] = []

    def add(self, event: HistoryEvent, key: Key) -> None:
        value = event.properties.get(self._name)
        if value is None:
            return
        if type(value) is not str:
            value = identity(value)
        keys = self.keys
        before = self._last.get(value)
        if before is not None:
            if key < before:
                return
            if keys[-1] == before:
                keys.pop()
            else:
                del keys[bisect_left(keys, before)]
        self._last[value] = key
        if keys and keys[-1] > key:
            insort(keys, key)
        else:
            keys.append(key)


Amount = int | Decimal

_EXACT = Context(prec=2000)
"""More digits than the sum of any floats can have: 0.1 + 0.2 is 0.3 here, as on the invoice."""


def amount_of(value: Any) -> Amount | None:
    """A number as it was written; none for anything else."""
    if type(value) is int:
        return value
    return Decimal(repr(value)) if type(value) is float and isfinite(value) else None


def plus(one: Amount, other: Amount) -> Amount:
    if type(one) is int and type(other) is int:
        return one + other
    return _EXACT.add(Decimal(one), Decimal(other))


def minus(one: Amount, other: Amount) -> Amount:
    if type(one) is int and type(other) is int:
        return one - other
    return _EXACT.subtract(Decimal(one), Decimal(other))


def number(amount: Amount) -> int | float:
    """As tests compare it."""
    return amount if type(amount) is int else float(amount)


class Amounts:
    """A property added up. ``sums[i]`` is the sum of the first ``i`` of the events that have it as a number."""

    __slots__ = ("_amounts", "_name", "keys", "sums")

    def __init__(self, name: str) -> None:
        self._name = name
        self._amounts: list[Amount] = []
        self.keys: list[Key] = []
        self.sums: list[Amount] = [0]

    def add(self, event: HistoryEvent, key: Key) -> None:
        amount = amount_of(event.properties.get(self._name))
        if amount is None:
            return
        index = len(self.keys) if not self.keys or self.keys[-1] < key else bisect_left(self.keys, key)
        self.keys.insert(index, key)
        self._amounts.insert(index, amount)
        del self.sums[index + 1 :]
        for following in self._amounts[index:]:
            self.sums.append(plus(self.sums[-1], following))

    def after(self, index: int) -> int | float:
        """The sum of all but the first ``index``."""
        return number(minus(self.sums[-1], self.sums[index]))


class LargestGroup:
    """The largest of the groups of ``events`` (oldest first) that share a property; of equals, the one that grew last."""

    def __init__(self, name: str, events: Sequence[HistoryEvent]) -> None:
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
