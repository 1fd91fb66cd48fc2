"""What is known about a person at some moment, arranged for the questions that conditions ask. Pure.

Events are ordered by (timestamp, arrival). That pair is kept as one number, its *key*, because nearly every question about
a window is one comparison of keys: 30 ns, beside 150 for a pair and its event.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterable
from typing import Any, Protocol, TypeAlias, TypeVar

from msgspec import Struct

from shared.clock import Instant
from shared.messages import HistoryEvent, Properties
from shared.outcomes import NOT_ACTIVITY

NEVER: Instant = 2**63 - 1
"""Later than any instant."""

IDENTIFY = "identify"
TRUSTED = "$trusted"
"""In ``where``: not a property, but whether the event came with a secret key or a signed token."""

Key = int

N_BITS = 32
"""A key is a timestamp shifted by so many bits, plus ``n``."""
_LAST_N = 0xFFFFFFFF


def key_of(event: HistoryEvent) -> Key:
    return event.timestamp << N_BITS | event.n


def timestamp_of(key: Key) -> Instant:
    return key >> N_BITS


def last_key_at(t: Instant) -> Key:
    """The greatest key an event dated ``t`` can have: what happened after ``t`` has a greater one."""
    return t << N_BITS | _LAST_N


class Where(Struct, frozen=True):
    """Tests of properties that must all be passed. ``text`` is the same for equal ones, and all that is compared."""

    text: str = ""
    tests: tuple[tuple[str, Callable[[Any], bool]], ...] = ()

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Where) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def compile(self) -> "Passes | None":
        """As a function of the event; none if everything passes."""
        tests = self.tests
        if not tests:
            return None
        if len(tests) == 1 and tests[0][0] != TRUSTED:
            (only, passes) = tests[0]
            return lambda event: passes(event.properties.get(only))

        def all_pass(event: HistoryEvent) -> bool:
            for name, test in tests:  # noqa: SIM110 - all() over a generator takes twice as long here
                if not test(event.trusted if name == TRUSTED else event.properties.get(name)):
                    return False
            return True

        return all_pass


Passes: TypeAlias = Callable[[HistoryEvent], bool]


class Selector(Struct, frozen=True):
    """Which events a condition looks at: those called ``name`` (any activity, if none) whose properties pass ``where``."""

    name: str | None
    where: Where = Where()

    def concerns(self, name: str) -> bool:
        return name == self.name if self.name is not None else name not in NOT_ACTIVITY


class Tally(Protocol):
    """Something counted about a series, kept up to date event by event."""

    def add(self, event: HistoryEvent, key: Key) -> None: ...


T = TypeVar("T", bound=Tally)


class Series:
    """The events one selector accepts that have happened, in order. ``keys`` stand beside ``events``."""

    __slots__ = ("events", "keys", "tallies")

    def __init__(self) -> None:
        self.events: list[HistoryEvent] = []
        self.keys: list[Key] = []
        self.tallies: dict[str, Any] = {}

    def add(self, event: HistoryEvent, key: Key) -> None:
        keys = self.keys
        if not keys or keys[-1] < key:
            keys.append(key)
            self.events.append(event)
        else:  # it comes late
            index = bisect_right(keys, key)
            keys.insert(index, key)
            self.events.insert(index, event)
        if self.tallies:
            for tally in self.tallies.values():
                tally.add(event, key)

    def tally(self, name: str, make: Callable[[], T]) -> T:
        """The tally of that name, made from all events so far when it is first asked for."""
        tally: T | None = self.tallies.get(name)
        if tally is None:
            tally = self.tallies[name] = make()
            for event, key in zip(self.events, self.keys, strict=True):
                tally.add(event, key)
        return tally

    def between(self, after: Key, until: Key) -> list[HistoryEvent]:
        return self.events[bisect_right(self.keys, after) : bisect_right(self.keys, until)]


class Slots:
    """The selectors of a set of rules, numbered; those that say the same share a number."""

    def __init__(self) -> None:
        self.selectors: list[Selector] = []
        self.looks: dict[object, Any] = {}
        """What was compiled for views with these slots, by condition."""
        self._numbers: dict[Selector, int] = {}
        self._of_name: dict[str, tuple[tuple[int, Passes | None], ...]] = {}

    def number(self, selector: Selector) -> int:
        if (number := self._numbers.get(selector)) is None:
            number = self._numbers[selector] = len(self.selectors)
            self.selectors.append(selector)
            self._of_name.clear()
        return number

    def of_name(self, name: str) -> tuple[tuple[int, "Passes | None"], ...]:
        """The slots that an event of that name may belong to, and what it must pass to do so."""
        if (found := self._of_name.get(name)) is None:
            found = tuple(
                (number, selector.where.compile())
                for number, selector in enumerate(self.selectors)
                if selector.concerns(name)
            )
            if len(self._of_name) < 10_000:  # names come from outside
                self._of_name[name] = found
        return found


class View:
    """The events that have happened by some moment, by selector, and the profile.

    What is dated ahead is kept aside until its time comes (``mature``), so no condition ever sees it early. A series is
    made when it is first asked for and then kept up to date, because most steps ask for few of them.
    """

    __slots__ = ("_named", "ahead", "events", "profile", "series", "slots")

    def __init__(self, slots: Slots, profile: Properties, history: Iterable[HistoryEvent], at: Instant) -> None:
        """``history`` is ordered, and had all arrived by ``at``."""
        self.profile = profile
        self.events = list(history)
        self.ahead: list[HistoryEvent] = []
        while self.events and self.events[-1].timestamp > at:
            self.ahead.insert(0, self.events.pop())
        self.slots = slots
        self.series: list[Series | None] = [None] * len(slots.selectors)
        self._named: dict[str, list[HistoryEvent]] | None = None

    def add(self, event: HistoryEvent, at: Instant) -> tuple[int, ...]:
        """It has arrived at ``at``. Answers the slots that have one event more now."""
        if event.timestamp > at:
            self.ahead.insert(bisect_left(self.ahead, key_of(event), key=key_of), event)
            return ()
        return self._insert(event)

    def mature(self, t: Instant) -> tuple[int, ...]:
        """Let happen what is dated up to ``t``; answers the slots that are longer now."""
        longer: tuple[int, ...] = ()
        while self.ahead and self.ahead[0].timestamp <= t:
            longer += self._insert(self.ahead.pop(0))
        return longer

    def next_ahead(self) -> Instant:
        return self.ahead[0].timestamp if self.ahead else NEVER

    def fill(self, slot: int) -> Series:
        """The series of a slot that nobody has asked for yet."""
        series = self.series[slot] = Series()
        selector = self.slots.selectors[slot]
        passes = selector.where.compile()
        for event in self._candidates(selector):
            if passes is None or passes(event):
                series.events.append(event)
                series.keys.append(event.timestamp << N_BITS | event.n)
        return series

    def of(self, selector: Selector) -> Series:
        """By selector, for questions that are asked seldom."""
        slot = self.slots.number(selector)
        self.reserve()
        return self.series[slot] or self.fill(slot)

    def reserve(self) -> None:
        """Make room for selectors that were numbered since this was made."""
        if (more := len(self.slots.selectors) - len(self.series)) > 0:
            self.series += [None] * more

    def _candidates(self, selector: Selector) -> list[HistoryEvent]:
        if selector.name is None:
            return [event for event in self.events if event.name not in NOT_ACTIVITY]
        if self._named is None:
            self._named = {}
            for event in self.events:
                self._named.setdefault(event.name, []).append(event)
        return self._named.get(selector.name, [])

    def _insert(self, event: HistoryEvent) -> tuple[int, ...]:
        key = event.timestamp << N_BITS | event.n
        events = self.events
        if not events or events[-1].timestamp < event.timestamp:
            events.append(event)
        else:
            events.insert(bisect_left(events, key, key=key_of), event)
        self._named = None
        longer: tuple[int, ...] = ()
        for slot, passes in self.slots.of_name(event.name):
            if passes is None or passes(event):
                longer += (slot,)
                if (series := self.series[slot]) is not None:
                    series.add(event, key)
        return longer
