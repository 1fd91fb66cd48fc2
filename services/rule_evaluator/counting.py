"""Conditions that count events in a window: ``event`` with all its options, and ``sequence``. Pure.

Most rules ask for *at least so many* since some moment. That is one comparison. Every other test counts, and foresees the
next count at which it turns.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple, TypeAlias

from msgspec import Struct

from services.rule_evaluator.code import FALSE, Code, Look, Truth, calling
from services.rule_evaluator.conditions import need
from services.rule_evaluator.tallies import NO_KEY, Amounts, CountTest, Groups, LargestGroup, Latest
from services.rule_evaluator.view import N_BITS, NEVER, Key, Selector, Series, Slots, View, last_key_at, timestamp_of
from shared.clock import Duration, Instant
from shared.messages import HistoryEvent, Need

NAMED = 20
"""So many events of each condition are kept at least, to be named as reasons."""

_LAST_KEY: Key = last_key_at(NEVER)


Kind: TypeAlias = Literal["same", "distinct", "sum"]


class Measure(NamedTuple):
    """What is counted instead of the events: those of the largest group that shares a property (``same``), the different
    values of a property (``distinct``), or the property added up (``sum``)."""

    kind: Kind
    name: str


class EventCount(Struct, frozen=True, eq=False):
    """Enough events in a window: after ``t - within``, and after the last of ``since`` (with none ever it is empty)."""

    events: Selector
    count: CountTest
    within: Duration | None = None
    since: Selector | None = None
    measure: Measure | None = None

    def code(self, slots: Slots) -> Code:
        slot = slots.number(self.events)
        since = slots.number(self.since) if self.since is not None else None
        least = self.count.least
        if least is None or (self.measure is not None and self.measure.kind == "sum"):
            return calling(_counting(slot, since, self.within, _counter(self.count, self.measure)))
        if least <= 0:
            return Code("", "True", "neither")
        return _at_least(slot, since, self.within, least, self.measure)

    def _after(self, view: View, t: Instant) -> Key:
        """The window holds what has a greater key."""
        after = NO_KEY if self.within is None else last_key_at(t - self.within)
        if self.since is None:
            return after
        anchors = view.of(self.since).keys
        return max(after, anchors[-1]) if anchors else _LAST_KEY

    def counted(self, view: View, t: Instant) -> int | float:
        """What the test is put to. For explanations."""
        return _count(self.measure, view.of(self.events), self._after(view, t))

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        """What was counted, if the condition is to be true, and since when."""
        if self.since is not None:
            yield from view.of(self.since).events[-1:]
        if wanted:
            events = view.of(self.events).between(self._after(view, t), _LAST_KEY)
            same = self.measure is not None and self.measure.kind == "same"
            yield from LargestGroup(self.measure.name, events).members() if same and self.measure else events

    def selectors(self) -> Iterator[Selector]:
        yield self.events
        if self.since is not None:
            yield self.since

    def needs(self) -> Iterator[Need]:
        name = self.measure.name if self.measure is not None else ""
        last = max(NAMED, self.count.matter + 1) if self.measure is None else None
        yield need(self.events, last=last, horizon=self.within, name=name)
        if self.since is not None:
            yield need(self.since, last=1)


# --- At least so many -------------------------------------------------------------------------------------------------


def _at_least(slot: int, since: int | None, within: Duration | None, least: int, measure: Measure | None) -> Code:
    """It holds as long as the window begins before the event ``k``: the n-th last, or what else must not be older."""
    constants: dict[str, Any] = {}
    if measure is None:
        setup, there, k = "", f"len({{keys{slot}}}) >= {least}", f"{{keys{slot}}}[-{least}]"
    else:
        setup, there, k = _reached(slot, least, measure, constants), "k >= 0", "k"
    if since is not None:
        there += f" and {{keys{since}}} and {k} > {{keys{since}}}[-1]"
    if within is None:
        return Code(setup, there, "neither", constants)
    c = f"c = ({k} >> {N_BITS}) + {within} if {there} else 0"
    return Code(f"{setup}; {c}" if setup else c, "c > t", "true", constants)


def _reached(slot: int, least: int, measure: Measure, constants: dict[str, Any]) -> str:
    """Sets ``k``; -1 if it never was reached."""
    name = measure.name
    if measure.kind == "same":
        constants["name"] = f"same {least} {name}"
        constants["make"] = lambda series: series.tally(constants["name"], lambda: Groups(name, least))
        return f"k = ({{of{slot}}}.tallies.get({{name}}) or {{make}}({{of{slot}}})).reached"
    constants["name"] = _distinct(name)
    constants["make"] = lambda series: series.tally(constants["name"], lambda: Latest(name))
    keys = f"d = ({{of{slot}}}.tallies.get({{name}}) or {{make}}({{of{slot}}})).keys"
    return f"{keys}; k = d[-{least}] if len(d) >= {least} else {NO_KEY}"


def _distinct(name: str) -> str:
    return f"distinct {name}"


# --- Any other test ---------------------------------------------------------------------------------------------------

_Counter: TypeAlias = Callable[[Series, Key, "Duration | None"], Truth]
"""The truth for the events after a key, and, in a sliding window, when it changes as they drop out."""


def _counting(slot: int, since: int | None, within: Duration | None, counter: _Counter) -> Look:
    def look(view: View, t: Instant) -> Truth:
        after = NO_KEY if within is None else last_key_at(t - within)
        if since is not None:
            anchors = (view.series[since] or view.fill(since)).keys
            if not anchors:
                after = _LAST_KEY
            elif anchors[-1] > after:
                after = anchors[-1]
        return counter(view.series[slot] or view.fill(slot), after, within)

    return look


def _counter(test: CountTest, measure: Measure | None) -> _Counter:
    if measure is not None and measure.kind == "sum":
        return _sum_counter(test, measure)
    if measure is not None and measure.kind == "same":
        return _group_counter(test, measure.name)

    def count(series: Series, after: Key, within: Duration | None) -> Truth:
        keys = (
            series.keys if measure is None else series.tally(_distinct(measure.name), lambda: Latest(measure.name)).keys
        )
        found = len(keys) - bisect_right(keys, after)
        holds = test.passes(found)
        if within is not None and (turning := test.turns_below(found)) >= 0:
            return holds, timestamp_of(keys[-turning - 1]) + within
        return holds, NEVER

    return count


def _group_counter(test: CountTest, name: str) -> _Counter:
    def count(series: Series, after: Key, within: Duration | None) -> Truth:
        group = LargestGroup(name, series.between(after, _LAST_KEY))
        holds = test.passes(group.size)
        if within is not None and (turning := test.turns_below(group.size)) >= 0:
            return holds, group.shrinks_to(turning) + within
        return holds, NEVER

    return count


def _sum_counter(test: CountTest, measure: Measure) -> _Counter:
    def count(series: Series, after: Key, within: Duration | None) -> Truth:
        amounts = series.tally(f"sum {measure.name}", lambda: Amounts(measure.name))
        first = bisect_right(amounts.keys, after)
        holds = test.passes(amounts.after(first))
        if within is not None:
            for index in range(first, len(amounts.keys)):
                if test.passes(amounts.after(index + 1)) is not holds:
                    return holds, timestamp_of(amounts.keys[index]) + within
        return holds, NEVER

    return count


def _count(measure: Measure | None, series: Series, after: Key) -> int | float:
    events = series.between(after, _LAST_KEY)
    if measure is None:
        return len(events)
    if measure.kind == "same":
        return LargestGroup(measure.name, events).size
    if measure.kind == "distinct":
        keys = series.tally(_distinct(measure.name), lambda: Latest(measure.name)).keys
        return len(keys) - bisect_right(keys, after)
    amounts = series.tally(f"sum {measure.name}", lambda: Amounts(measure.name))
    return amounts.after(bisect_right(amounts.keys, after))


# --- In order ---------------------------------------------------------------------------------------------------------


class Sequence(Struct, frozen=True, eq=False):
    """Events after ``t - within`` contain the steps in that order, each step an event of its own."""

    steps: tuple[Selector, ...]
    within: Duration

    def code(self, slots: Slots) -> Code:
        numbers = tuple(slots.number(step) for step in reversed(self.steps))
        within = self.within

        def look(view: View, t: Instant) -> Truth:
            """Going back from the last step takes the match that begins as late as possible."""
            key = _LAST_KEY
            for slot in numbers:
                keys = (view.series[slot] or view.fill(slot)).keys
                index = bisect_left(keys, key)
                if not index:
                    return FALSE
                key = keys[index - 1]
            change = timestamp_of(key) + within
            return (True, change) if change > t else FALSE

        return calling(look)

    def because(self, view: View, t: Instant, *, wanted: bool) -> Iterator[HistoryEvent]:
        """The match that begins as late as possible, or as much of one as there is from its first step on."""
        yield from self.matched(view, t)[0] if wanted else ()

    def matched(self, view: View, t: Instant) -> tuple[list[HistoryEvent], int]:
        """The events of the latest match in the window, if any; else those of the longest beginning. And how many steps."""
        after = last_key_at(t - self.within)
        for length in range(len(self.steps), 0, -1):
            events: list[HistoryEvent] = []
            key = _LAST_KEY
            for step in reversed(self.steps[:length]):
                series = view.of(step)
                index = bisect_left(series.keys, key)
                if not index or series.keys[index - 1] <= after:
                    break
                key = series.keys[index - 1]
                events.append(series.events[index - 1])
            if len(events) == length:
                return events[::-1], length
        return [], 0

    def selectors(self) -> Iterator[Selector]:
        yield from self.steps

    def needs(self) -> Iterator[Need]:
        for step in self.steps:
            yield need(step, horizon=self.within)
