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
from services.rule_evaluator.view import IDENTIFY, NEVER, Selector, View, order, timestamp
from shared.clock import Duration, Instant
from shared.messages import HistoryEvent


class Truth(NamedTuple):
    holds: bool
    change: Instant


class Condition(Protocol):
    def evaluate(self, view: View, t: Instant) -> Truth: ...

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        """The events that make the truth at ``t`` what it is, which is ``wanted``, in any order, maybe repeated."""

    def concerns(self, name: str) -> bool:
        """Whether an event of this name can change the truth when it arrives."""


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
                    return Truth(holds, NEVER)
                decided = True
                latest = max(latest, change)
            elif change < earliest:
                earliest = change
        return Truth(self.decisive, latest) if decided else Truth(not self.decisive, earliest)

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        for condition in self.conditions:
            if condition.evaluate(view, t).holds is wanted:
                yield from condition.because(view, t, wanted=wanted)

    def concerns(self, name: str) -> bool:
        return any(condition.concerns(name) for condition in self.conditions)


class Not(Struct, frozen=True, eq=False):
    condition: Condition

    def evaluate(self, view: View, t: Instant) -> Truth:
        holds, change = self.condition.evaluate(view, t)
        return Truth(not holds, change)

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        return self.condition.because(view, t, wanted=not wanted)

    def concerns(self, name: str) -> bool:
        return self.condition.concerns(name)


class _Window(NamedTuple):
    """``events[start:end]`` are counted. ``change``: when an event that is dated ahead, or an anchor, comes into it."""

    events: list[HistoryEvent]
    start: int
    end: int
    anchor: HistoryEvent | None
    change: Instant


class EventCount(Struct, frozen=True, eq=False):
    """Enough events in a window. ``same``: of the largest group that shares this property."""

    events: Selector
    count: CountTest
    within: Duration | None = None
    since: Selector | None = None
    same: str | None = None

    def evaluate(self, view: View, t: Instant) -> Truth:
        window = self._window(view, t)
        events, start, end, _, change = window
        if self.same is None:
            count = end - start
            holds = self.count.passes(count)
            if self.within is not None and (turning := self.count.turns_below(count)) >= 0:
                change = min(change, events[end - turning - 1].timestamp + self.within)
            return Truth(holds, change)
        group = LargestGroup(self.same, events[start:end])
        holds = self.count.passes(group.size)
        if self.within is not None and (turning := self.count.turns_below(group.size)) >= 0:
            change = min(change, group.shrinks_to(turning) + self.within)
        return Truth(holds, change)

    def _window(self, view: View, t: Instant) -> _Window:
        """Events after the anchor, and after t - within, up to and including t."""
        events, end, change = view.at(self.events, t)
        start, anchor = 0, None
        if self.since is not None:
            anchors, known, later = view.at(self.since, t)
            change = min(change, later)
            if not known:
                return _Window(events, end, end, None, change)
            anchor = anchors[known - 1]
            start = bisect_right(events, order(anchor), hi=end, key=order)
        if self.within is not None and start < end:
            start = bisect_right(events, t - self.within, lo=start, hi=end, key=timestamp)
        return _Window(events, start, end, anchor, change)

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        """What was counted, if the condition is to be true, and since when."""
        events, start, end, anchor, _ = self._window(view, t)
        if anchor is not None:
            yield anchor
        if wanted:
            counted = events[start:end]
            yield from counted if self.same is None else LargestGroup(self.same, counted).members()

    def concerns(self, name: str) -> bool:
        return self.events.concerns(name) or (self.since is not None and self.since.concerns(name))


class Elapsed(Struct, frozen=True, eq=False):
    """At least ``duration`` has passed since the last of these events, and there was one."""

    duration: Duration
    since: Selector

    def evaluate(self, view: View, t: Instant) -> Truth:
        events, known, change = view.at(self.since, t)
        if not known:
            return Truth(False, change)
        due = events[known - 1].timestamp + self.duration
        return Truth(True, change) if due <= t else Truth(False, min(due, change))

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        events, known, _ = view.at(self.since, t)
        yield from events[:known][-1:]

    def concerns(self, name: str) -> bool:
        return self.since.concerns(name)


class ProfileTest(Struct, frozen=True, eq=False):
    """The attribute, by its name or by a dotted path, passes a test."""

    attribute: str
    passes: Callable[[Any], bool]

    def evaluate(self, view: View, t: Instant) -> Truth:
        return Truth(self.passes(dotted(view.profile, self.attribute)), NEVER)

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        return iter(())

    def concerns(self, name: str) -> bool:
        return name == IDENTIFY
