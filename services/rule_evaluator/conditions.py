"""Conditions, compiled: is it true at an instant, and until when can that not change by itself? Pure.

``evaluate(view, t)`` answers the truth at ``t`` and the earliest later instant at which the truth could be another one
with no further event. That instant may be too early (a look that finds nothing new) but is never too late (a timer
missed); it is always later than ``t``, and ``NEVER`` if only an event can change the truth.

A further head is a further class here (or in a file of its own) and a line in ``heads.HEADS``.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, Protocol

from msgspec import Struct

from services.rule_evaluator.tallies import CountTest, LargestGroup
from services.rule_evaluator.values import dotted
from services.rule_evaluator.view import IDENTIFY, NEVER, NOT_ACTIVITY, Selector, View, order, timestamp
from shared.clock import Duration, Instant
from shared.messages import HistoryEvent

Truth = tuple[bool, Instant]
"""Whether it holds, and when that may change. A plain tuple: made for each node at each look, it costs a tenth."""


class Condition(Protocol):
    def evaluate(self, view: View, t: Instant) -> Truth: ...

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        """The events that make the truth at ``t`` what it is, which is ``wanted``, in any order, maybe repeated."""

    def selectors(self) -> Iterator[Selector]:
        """The events whose arrival can change the truth; of those, only the names are looked at."""


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
    """``all``, in which one false condition is decisive, or ``any``, in which one true condition is.

    The whole stays as it is until every decisive condition has changed: the latest of their instants counts, and the
    other conditions do not matter. With none decisive, the first change of any may change the whole.
    """

    decisive: bool
    conditions: tuple[Condition, ...]

    def evaluate(self, view: View, t: Instant) -> Truth:
        decided = False
        latest, earliest = 0, NEVER
        for condition in self.conditions:
            holds, change = condition.evaluate(view, t)
            if holds is self.decisive:
                if change == NEVER:
                    return holds, NEVER
                decided = True
                if change > latest:
                    latest = change
            elif change < earliest:
                earliest = change
        return (self.decisive, latest) if decided else (not self.decisive, earliest)

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        for condition in self.conditions:
            if condition.evaluate(view, t)[0] is wanted:
                yield from condition.because(view, t, wanted=wanted)

    def selectors(self) -> Iterator[Selector]:
        for condition in self.conditions:
            yield from condition.selectors()


class Not(Struct, frozen=True, eq=False):
    condition: Condition

    def evaluate(self, view: View, t: Instant) -> Truth:
        holds, change = self.condition.evaluate(view, t)
        return not holds, change

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        return self.condition.because(view, t, wanted=not wanted)

    def selectors(self) -> Iterator[Selector]:
        return self.condition.selectors()


_Window = tuple[list[HistoryEvent], int, int, HistoryEvent | None, Instant]
"""``events``, ``start``, ``end``, ``anchor``, ``change``: ``events[start:end]`` are counted, after the anchor if there is one.
``change`` is when one dated ahead, or an anchor, comes in."""


class EventCount(Struct, frozen=True, eq=False):
    """Enough events in a window. ``same``: of the largest group that shares this property."""

    events: Selector
    count: CountTest
    within: Duration | None = None
    since: Selector | None = None
    same: str | None = None

    def evaluate(self, view: View, t: Instant) -> Truth:
        events, start, end, _, change = self._window(view, t)
        count = end - start
        if self.same is None or count < self.count.least:  # no group is larger than all of them
            holds = self.count.passes(count)
            if self.within is not None and (turning := self.count.turns_below(count)) >= 0:
                change = min(change, events[end - turning - 1].timestamp + self.within)
            return holds, change
        group = LargestGroup(self.same, events[start:end])
        holds = self.count.passes(group.size)
        if self.within is not None and (turning := self.count.turns_below(group.size)) >= 0:
            change = min(change, group.shrinks_to(turning) + self.within)
        return holds, change

    def _window(self, view: View, t: Instant) -> _Window:
        """Events after the anchor, and after t - within, up to and including t."""
        events, end, change = view.at(self.events, t)
        start, anchor = 0, None
        if self.since is not None:
            anchors, known, later = view.at(self.since, t)
            if later < change:
                change = later
            if not known:
                return events, end, end, None, change
            anchor = anchors[known - 1]
            start = bisect_right(events, order(anchor), hi=end, key=order)
        if self.within is not None and start < end:
            start = bisect_right(events, t - self.within, lo=start, hi=end, key=timestamp)
        return events, start, end, anchor, change

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        """What was counted, if the condition is to be true, and since when."""
        events, start, end, anchor, _ = self._window(view, t)
        if anchor is not None:
            yield anchor
        if wanted:
            counted = events[start:end]
            yield from counted if self.same is None else LargestGroup(self.same, counted).members()

    def selectors(self) -> Iterator[Selector]:
        yield self.events
        if self.since is not None:
            yield self.since


class Elapsed(Struct, frozen=True, eq=False):
    """At least ``duration`` has passed since the last of these events, and there was one."""

    duration: Duration
    since: Selector

    def evaluate(self, view: View, t: Instant) -> Truth:
        events, known, change = view.at(self.since, t)
        if not known:
            return False, change
        due = events[known - 1].timestamp + self.duration
        return (True, change) if due <= t else (False, min(due, change))

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        events, known, _ = view.at(self.since, t)
        yield from events[:known][-1:]

    def selectors(self) -> Iterator[Selector]:
        yield self.since


class ProfileTest(Struct, frozen=True, eq=False):
    """The attribute, by its name or by a dotted path, passes a test."""

    attribute: str
    passes: Callable[[Any], bool]

    def evaluate(self, view: View, t: Instant) -> Truth:
        return self.passes(dotted(view.profile, self.attribute)), NEVER

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        return iter(())

    def selectors(self) -> Iterator[Selector]:
        yield Selector(IDENTIFY)
