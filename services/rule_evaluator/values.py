"""Values of properties and attributes, and the tests they can be put to.

A comparison of unlike types is false, so ``ne`` and ``not_in`` are true; a boolean is not a number. What is missing, or
null, passes only ``exists: false``.
"""

from collections.abc import Callable, Hashable
from typing import Any, TypeAlias

from msgspec import Struct

Scalar: TypeAlias = str | int | float | bool
Comparison: TypeAlias = Callable[[Any, Any], bool]

_NUMBERS = (int, float)


def identity(value: Any) -> Hashable:
    """Equal for equal values of like types, and for no others: ``1`` and ``1.0``, but not ``1`` and ``true``."""
    if isinstance(value, bool):
        return ("boolean", value)
    if isinstance(value, list):
        return ("list", tuple(identity(item) for item in value))
    if isinstance(value, dict):
        return ("object", frozenset((key, identity(item)) for key, item in value.items()))
    return value  # type: ignore[no-any-return] # texts, numbers and null


def _alike(value: Any, operand: Scalar) -> bool:
    kind, wanted = type(value), type(operand)
    return kind is wanted or (kind in _NUMBERS and wanted in _NUMBERS)


def _eq(value: Any, operand: Scalar) -> bool:
    return _alike(value, operand) and bool(value == operand)


def _in(value: Any, operands: tuple[Scalar, ...]) -> bool:
    return any(_eq(value, operand) for operand in operands)


def _contains(value: Any, operand: Scalar) -> bool:
    if isinstance(value, str):
        return isinstance(operand, str) and operand in value
    return isinstance(value, list) and any(_eq(item, operand) for item in value)


COMPARISONS: dict[str, Comparison] = {
    "eq": _eq,
    "ne": lambda value, operand: not _eq(value, operand),
    "gt": lambda value, operand: _alike(value, operand) and value > operand,
    "gte": lambda value, operand: _alike(value, operand) and value >= operand,
    "lt": lambda value, operand: _alike(value, operand) and value < operand,
    "lte": lambda value, operand: _alike(value, operand) and value <= operand,
    "in": _in,
    "not_in": lambda value, operands: not _in(value, operands),
    "contains": _contains,
    "starts_with": lambda value, operand: isinstance(value, str) and value.startswith(operand),
    "exists": lambda _, wanted: wanted,
}
"""Each takes a value that is there and the operand written in the rule."""


class Clause(Struct, frozen=True):
    comparison: str
    operand: Any


class ValueTest(Struct, frozen=True):
    """Clauses that must all hold."""

    clauses: tuple[Clause, ...]

    def compile(self) -> Callable[[Any], bool]:
        """The test as a function of the value; none stands for one that is missing."""
        pairs = [(COMPARISONS[clause.comparison], clause.operand) for clause in self.clauses]
        absent = all(clause == Clause("exists", False) for clause in self.clauses)

        if len(pairs) == 1:
            (only, operand), *_ = pairs
            return lambda value: only(value, operand) if value is not None else absent

        def passes(value: Any) -> bool:
            if value is None:
                return absent
            for compare, operand in pairs:  # noqa: SIM110 - all() over a generator takes twice as long here
                if not compare(value, operand):
                    return False
            return True

        return passes


def dotted(attributes: dict[str, Any], path: str) -> Any:
    """The attribute of exactly this name, else what the dotted path leads to, else none."""
    if path in attributes:
        return attributes[path]
    found: Any = attributes
    for name in path.split("."):
        if not isinstance(found, dict):
            return None
        found = found.get(name)
    return found
