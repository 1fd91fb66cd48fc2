"""What is known about a person at some moment, arranged for the questions that conditions ask. Pure."""

from bisect import bisect_right, insort
from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from shared.clock import Instant
from shared.messages import OUTCOMES, HistoryEvent, Properties

NEVER: Instant = 2**63 - 1
"""Later than any instant."""

IDENTIFY = "identify"
NOT_ACTIVITY = (OUTCOMES - {"email_opened", "email_clicked"}) | {IDENTIFY, "alias"}
"""Events that a person did not cause."""

Where = tuple[tuple[str, Callable[[Any], bool]], ...]
TRUSTED = "$trusted"
"""In ``where``: not a property, but whether the event came with a secret key or a signed token."""


def order(event: HistoryEvent) -> tuple[Instant, int]:
    return event.timestamp, event.n


def timestamp(event: HistoryEvent) -> Instant:
    return event.timestamp


class Selector(Struct, frozen=True, eq=False):
    """Which events a condition looks at: those called ``name`` (any activity, if none) whose properties pass ``where``."""

    name: str | None
    where: Where = ()

    def concerns(self, name: str) -> bool:
        return name == self.name if self.name is not None else name not in NOT_ACTIVITY

    def accepts(self, event: HistoryEvent) -> bool:
        for name, passes in self.where:
            if not passes(event.trusted if name == TRUSTED else event.properties.get(name)):
                return False
        return True


Visible = tuple[list[HistoryEvent], int, Instant]
"""Events, how many of them have happened, and when the next of the others will have."""


class View:
    """The events that have arrived, by selector, each list ordered by (timestamp, n), and the profile.

    Lists are made when they are first asked for and then kept up to date, because most steps ask for few of them.
    """

    def __init__(self, profile: Properties, history: Iterable[HistoryEvent]) -> None:
        self.profile = profile
        self._events = list(history)
        self._named: dict[str, list[HistoryEvent]] = {}
        self._selected: dict[Selector, list[HistoryEvent]] = {}
        for event in self._events:
            if event.name in self._named:
                self._named[event.name].append(event)
            else:
                self._named[event.name] = [event]

    def add(self, event: HistoryEvent) -> None:
        _insert(self._events, event)
        _insert(self._named.setdefault(event.name, []), event)
        for selector, selected in self._selected.items():
            if selector.concerns(event.name) and selector.accepts(event):
                _insert(selected, event)

    def named(self, name: str) -> list[HistoryEvent]:
        return self._named.get(name, [])

    def at(self, selector: Selector, t: Instant) -> Visible:
        """The selected events, and how many of them have happened by ``t``: one may be dated a little ahead."""
        events = self._select(selector)
        if not events or events[-1].timestamp <= t:
            return events, len(events), NEVER
        known = bisect_right(events, t, key=timestamp)
        return events, known, events[known].timestamp

    def _select(self, selector: Selector) -> list[HistoryEvent]:
        name = selector.name
        if name is not None and not selector.where:
            return self._named.get(name, [])
        selected = self._selected.get(selector)
        if selected is None:
            if name is not None:
                selected = self._named.get(name, [])
            else:
                selected = [event for event in self._events if event.name not in NOT_ACTIVITY]
            if selector.where:
                selected = [event for event in selected if selector.accepts(event)]
            self._selected[selector] = selected
        return selected


def _insert(events: list[HistoryEvent], event: HistoryEvent) -> None:
    if not events or order(events[-1]) < order(event):
        events.append(event)
    else:
        insort(events, event, key=order)
