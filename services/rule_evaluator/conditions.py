"""Conditions: is it true at an instant, and until when can that not change by itself? Pure.

A condition becomes a function, a *look* (``code``): ``look(view, t)`` answers the truth at ``t`` and the earliest later instant
at which the truth could be another one with no further event. That instant may be too early (a look that finds nothing new)
but is never too late (a timer missed); it is always later than ``t``, and ``NEVER`` if only an event can change the truth.

The heads that count events are in ``counting``. A further head is a further class and a line in ``heads.HEADS``.
"""

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from services.rule_evaluator.code import Code, Look, calling, look
from services.rule_evaluator.values import dotted
from services.rule_evaluator.view import IDENTIFY, N_BITS, Selector, Slots, View
from shared.clock import Duration, Instant
from shared.messages import HistoryEvent, Need
from shared.outcomes import NOT_ACTIVITY


class Condition(Protocol):
    def code(self, slots: Slots) -> Code:
        """The look, for views made with ``slots``."""

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        """The events that make the truth at ``t`` what it is, which is ``wanted``, in any order, maybe repeated."""

    def selectors(self) -> Iterator[Selector]:
        """The events whose arrival can change the truth; of those, only the names are looked at."""

    def needs(self) -> Iterator[Need]:
        """The events that must be remembered, for as long, so that the truth is known at any later instant."""


class Concerns(NamedTuple):
    """The names of the events that concern a condition, and whether any activity does."""

    names: frozenset[str]
    activity: bool

    def covers(self, name: str) -> bool:
        return name in self.names or (self.activity and name not in NOT_ACTIVITY)


def concerns_of(condition: Condition) -> Concerns:
    names = [selector.name for selector in condition.selectors()]
    return Concerns(frozenset(name for name in names if name is not None), None in names)


class Combination(Struct, frozen=True, eq=False):
    """``all``, in which one false condition is decisive, or ``any``, in which one true condition is."""

    decisive: bool
    conditions: tuple[Condition, ...]

    def code(self, slots: Slots) -> Code:
        parts = [condition.code(slots) for condition in self.conditions]
        return parts[0] if len(parts) == 1 else calling(look(parts, decisive=self.decisive))

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        for condition in self.conditions:  # where the whole is not decided, all parts are as it is
            if wanted is not self.decisive or holds_at(condition, view, t) is wanted:
                yield from condition.because(view, t, wanted=wanted)

    def selectors(self) -> Iterator[Selector]:
        for condition in self.conditions:
            yield from condition.selectors()

    def needs(self) -> Iterator[Need]:
        for condition in self.conditions:
            yield from condition.needs()


class Not(Struct, frozen=True, eq=False):
    condition: Condition

    def code(self, slots: Slots) -> Code:
        return self.condition.code(slots).negated()

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        return self.condition.because(view, t, wanted=not wanted)

    def selectors(self) -> Iterator[Selector]:
        return self.condition.selectors()

    def needs(self) -> Iterator[Need]:
        return self.condition.needs()


class Elapsed(Struct, frozen=True, eq=False):
    """At least ``duration`` has passed since the last of these events, and there was one."""

    duration: Duration
    since: Selector

    def code(self, slots: Slots) -> Code:
        keys = f"{{keys{slots.number(self.since)}}}"
        return Code(f"c = ({keys}[-1] >> {N_BITS}) + {self.duration} if {keys} else NEVER", "c <= t", "false")

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        yield from view.of(self.since).events[-1:]

    def selectors(self) -> Iterator[Selector]:
        yield self.since

    def needs(self) -> Iterator[Need]:
        yield need(self.since, last=1)


class ProfileTest(Struct, frozen=True, eq=False):
    """The attribute, by its name or by a dotted path, passes a test."""

    attribute: str
    passes: Callable[[Any], bool]

    def code(self, slots: Slots) -> Code:
        constants = {"passes": self.passes, "dotted": dotted, "attribute": self.attribute}
        return Code("", "{passes}({dotted}(view.profile, {attribute}))", "neither", constants)

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        return iter(())

    def selectors(self) -> Iterator[Selector]:
        yield Selector(IDENTIFY)

    def needs(self) -> Iterator[Need]:
        yield Need(IDENTIFY, last=0)


def holds_at(condition: Condition, view: View, t: Instant) -> bool:
    """For questions about a part of a rule, such as what made it true."""
    looks: dict[object, Look] = view.slots.looks
    if (one := looks.get(condition)) is None:
        one = looks[condition] = look([condition.code(view.slots)], decisive=True)
    view.reserve()
    return one(view, t)[0]


def need(selector: Selector, *, last: int | None = None, horizon: Duration | None = None, name: str = "") -> Need:
    """``last``: so many of the latest are enough, if it is not only those that pass a test. ``name``: a property."""
    names = {test for test, _ in selector.where.tests} | ({name} if name else set())
    return Need(selector.name, None if selector.where.tests else last, horizon, tuple(sorted(names)))
