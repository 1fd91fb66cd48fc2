"""Conditions as Python functions, written out and compiled once for each rule. Pure.

A rule is looked at a few times per event, and calling a function for each of its conditions costs more than the conditions
themselves. So those that are one comparison are written into one function together; the others are called from it. Written
texts hold numbers and names made here, never anything of a document.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, NamedTuple, TypeAlias

from services.rule_evaluator.view import NEVER, View
from shared.clock import Instant

Truth: TypeAlias = tuple[bool, Instant]
"""Whether it holds, and when that may change. A plain tuple: made for each node at each look, it costs a tenth."""

Look: TypeAlias = Callable[[View, Instant], Truth]

Blocked: TypeAlias = tuple[bool, Instant, int | None]
"""A truth, and the number of the part that is decisive until an event concerns it, if there is one."""

FALSE: Truth = (False, NEVER)


class Code(NamedTuple):
    """``setup`` computes ``c`` from the series at hand (``{keys3}``: the keys of slot 3; ``{a}``: a constant), ``holds`` is
    the truth. ``c`` is the instant at which that may change: while it is true, or while it is false, or in both cases;
    otherwise, and where it is ``NEVER``, only an event can change it."""

    setup: str
    holds: str
    until: Literal["true", "false", "both", "neither"]
    constants: Mapping[str, Any] = MappingProxyType({})

    def negated(self) -> "Code":
        other: dict[str, Any] = {"true": "false", "false": "true"}
        return self._replace(holds=f"not ({self.holds})", until=other.get(self.until, self.until))


def calling(look: Look) -> Code:
    """A condition that is a function of its own."""
    return Code("h, c = {look}(view, t)", "h", "both", {"look": look})


def write(parts: Sequence[Code], *, decisive: bool) -> Callable[[View, Instant], Blocked]:
    """``all`` of the parts, in which one false part is decisive, or ``any``, in which one true part is.

    The whole stays as it is until every decisive part has changed: the latest of their instants counts, and the other
    parts do not matter. With none decisive, the first change of any may change the whole.
    """
    whole: Callable[[View, Instant], Blocked] = _written(parts, decisive, ", {number}", ", None")
    return whole


def look(parts: Sequence[Code], *, decisive: bool) -> Look:
    """The same as a truth alone."""
    whole: Look = _written(parts, decisive, "", "")
    return whole


def _written(parts: Sequence[Code], decisive: bool, blocked: str, free: str) -> Any:
    """What costs little comes first: often it decides."""
    constants: dict[str, Any] = {"NEVER": NEVER}
    lines = ["def look(view, t):", "    latest, earliest, series, fill = 0, NEVER, view.series, view.fill"]
    loaded: set[str] = set()
    for number, part in sorted(enumerate(parts), key=lambda item: item[1].until == "both"):
        ends = f"return ({decisive}, NEVER{blocked.format(number=number)})"
        lines += [f"    {line}" for line in _part(number, part, decisive, ends, constants, loaded)]
    lines.append(f"    return ({decisive}, latest{free}) if latest else ({not decisive}, earliest{free})")
    exec(compile("\n".join(lines), "<rule>", "exec"), constants)  # noqa: S102 - every text is made here
    return constants["look"]


class _Names(dict[str, str]):
    """What stands in braces in a part's texts."""

    def __init__(self, number: int, constants: Mapping[str, Any]) -> None:
        super().__init__((name, f"{name}_{number}") for name in constants)
        self.slots: list[str] = []

    def __missing__(self, name: str) -> str:
        self.slots.append(name)
        return name


def _part(number: int, part: Code, decisive: bool, ends: str, constants: dict[str, Any], loaded: set[str]) -> list[str]:
    names = _Names(number, part.constants)
    constants |= {names[name]: value for name, value in part.constants.items()}
    setup, holds = part.setup.format_map(names), part.holds.format_map(names)
    lines = []
    for name in names.slots:
        if name not in loaded:
            slot = name.removeprefix("keys").removeprefix("of")
            keys = ".keys" if name.startswith("keys") else ""
            lines.append(f"{name} = (series[{slot}] or fill({slot})){keys}")
            loaded.add(name)
    if setup:
        lines.append(setup)
    keeps_true = part.until in ("true", "both")
    keeps_false = part.until in ("false", "both")
    known = keeps_true if decisive else keeps_false
    other = keeps_false if decisive else keeps_true
    lines.append(f"if {holds if decisive else f'not ({holds})'}:")
    if known:
        lines += [f"    if c == NEVER: {ends}", "    if c > latest: latest = c"]
    else:
        lines.append(f"    {ends}")
    if other:
        lines.append("elif c < earliest: earliest = c")
    return lines
