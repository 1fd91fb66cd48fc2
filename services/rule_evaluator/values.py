"""Values of properties and attributes, and the tests they can be put to.

A comparison of unlike types is false, so ``ne`` and ``not_in`` are true; a boolean is not a number. What is missing, or
null, passes only ``exists: false``.
"""

from collections.abc import Callable, Hashable
from operator import ge, gt, le, lt
from typing import Any, TypeAlias

from msgspec import Struct

Scalar: TypeAlias = str | int | float | bool
Comparison: TypeAlias = Callable[[Any, Any], bool]
Passes: TypeAlias = Callable[[Any], bool]

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


def _ordered(compare: Comparison) -> Callable[[Any], Passes]:
    """Compiled for the kind of the operand, since prices and totals are looked at for every event."""

    def compile_for(operand: Any) -> Passes:
        if type(operand) in _NUMBERS:
            return lambda value: (type(value) is float or type(value) is int) and compare(value, operand)
        return lambda value: type(value) is type(operand) and compare(value, operand)

    return compile_for


COMPARISONS: dict[str, Callable[[Any], Passes]] = {
    "eq": lambda operand: lambda value: _eq(value, operand),
    "ne": lambda operand: lambda value: not _eq(value, operand),
    "gt": _ordered(gt),
    "gte": _ordered(ge),
    "lt": _ordered(lt),
    "lte": _ordered(le),
    "in": lambda operands: lambda value: _in(value, operands),
    "not_in": lambda operands: lambda value: not _in(value, operands),
    "contains": lambda operand: lambda value: _contains(value, operand),
    "starts_with": lambda operand: lambda value: isinstance(value, str) and value.startswith(operand),
    "exists": lambda wanted: lambda _: bool(wanted),
}
"""Each takes the operand written in the rule and answers a test of a value that is there."""


class Clause(Struct, frozen=True):
    comparison: str
    operand: Any


class ValueTest(Struct, frozen=True):
    """Clauses that must all hold."""

    clauses: tuple[Clause, ...]

    def compile(self) -> Callable[[Any], bool]:
        """The test as a function of the value; none stands for one that is missing."""
        tests = [COMPARISONS[clause.comparison](clause.operand) for clause in self.clauses]
        absent = all(clause == Clause("exists", False) for clause in self.clauses)

        if len(tests) == 1:
            (only,) = tests
            return lambda value: only(value) if value is not None else absent

        def passes(value: Any) -> bool:
            if value is None:
                return absent
            for test in tests:  # noqa: SIM110 - all() over a generator takes twice as long here
                if not test(value):
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
