"""Back-tests without any server: rules from a file, events from a file."""

import mmap
from array import array
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import msgspec
from msgspec import Struct

from services.cli.failure import Failure
from services.cli.output import read
from services.rule_evaluator.document import Rule, parse_document
from services.rule_evaluator.replay import Firing, Replay, live_from_the_beginning
from services.throttle import document as policies
from services.throttle.forecast import forecast
from services.throttle.policy import Policy
from services.tracker.flaws import Flaw
from services.tracker.lines import Line, read_line
from services.tracker.timestamps import parse_instant
from shared import identity, markup
from shared.clock import Instant
from shared.policies import ForecastFiring
from shared.rules import PlayedFiring

TOLD = 10
"""Flaws that are told at most."""
STEP = 20_000
"""Lines after which progress is shown."""

Progress = Callable[[int, int], None]
"""Told how many lines of how many were played."""


class _Head(Struct):
    """As little of a line as says whose it is and when it came."""

    user_id: str | None = None
    anonymous_id: str | None = None
    timestamp: str | int | float | None = None
    received_at: str | int | float | None = None


class Outcome(NamedTuple):
    firings: list[PlayedFiring]
    events: int
    people: int


_BOM = b"\xef\xbb\xbf"
_decode_head = msgspec.json.Decoder(_Head).decode


def read_rules(path: Path) -> list[Rule]:
    """One rule, a list of rules, or several YAML documents. Raises ``Failure`` with every error."""
    rules: list[Rule] = []
    errors = []
    try:
        documents = markup.load_all(read(path))
    except markup.MarkupError as error:
        raise Failure(f"{path}: {error}", code=2) from None
    for number, text in enumerate(documents, 1):
        rule, wrong, _ = parse_document(text)
        place = f"{path}" if len(documents) == 1 else f"{path}: rule {number}"
        errors += [f"{place}: {error}" for error in wrong]
        if rule is not None:
            rules.append(rule)
    if errors or not rules:
        raise Failure("\n".join(errors) or f"{path}: holds no rule", code=2)
    return distinct(rules, str(path))


def distinct(rules: list[Rule], where: str) -> list[Rule]:
    if len({rule.id for rule in rules}) < len(rules):
        raise Failure(f"{where}: two rules have the same id", code=2)
    return rules


def read_policy(path: Path) -> Policy:
    try:
        return policies.read(read(path))
    except policies.PolicyError as error:
        raise Failure(f"{path}: {error}", code=2) from None


class EventFile:
    """A file of events, read in place. People who may turn out to be one are kept together; each such group is played by
    itself, so memory holds one group's events and two numbers for each line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._data = _mapped(path)
        self.lines = 0
        self.last: Instant = 0
        """When the last event came."""
        self._starts = array("Q")
        self._groups: dict[str, array[int]] = {}
        self._index()

    def groups(self) -> Iterator[list[Line]]:
        """Each group's events in the order of their arrival. Raises ``Failure`` naming what cannot be read."""
        flaws: list[tuple[int, str]] = []
        for numbers in self._groups.values():
            lines = []
            for number in sorted(numbers):  # received at the same instant: the first in the file came first
                try:
                    lines.append(read_line(self._line(number), number + 1))
                except Flaw as flaw:
                    flaws.append((number, f"{self._path}:{number + 1}: {flaw.reason}"))
            self._raise(flaws, at_once=False)
            lines.sort(key=lambda line: line.received)
            yield lines
        self._raise(flaws, at_once=True)

    def _raise(self, flaws: list[tuple[int, str]], *, at_once: bool) -> None:
        if len(flaws) >= TOLD or (flaws and at_once):
            raise Failure("\n".join(text for _, text in sorted(flaws)[:TOLD]), code=2)

    def _line(self, number: int) -> bytes:
        end = self._data.find(b"\n", self._starts[number])
        return self._data[self._starts[number] : end if end >= 0 else len(self._data)]

    def _index(self) -> None:
        """Find where lines begin, and who may be who."""
        root = _Roots()
        people: dict[str, array[int]] = {}
        position, size = len(_BOM) if self._data[:3] == _BOM else 0, len(self._data)
        while position < size:
            end = self._data.find(b"\n", position)
            end = end if end >= 0 else size
            number = len(self._starts)
            self._starts.append(position)
            line = self._data[position:end]
            position = end + 1
            if line.strip():
                self.lines += 1
                people.setdefault(self._person(line, root), array("Q")).append(number)
        for person, numbers in people.items():
            self._groups.setdefault(root.of(person), array("Q")).extend(numbers)

    def _person(self, line: bytes, root: "_Roots") -> str:
        """Whose line it is. One that cannot be read is nobody's, and is told when it is its turn."""
        try:
            head = _decode_head(line)
            came = head.received_at if head.received_at is not None else head.timestamp
            self.last = max(self.last, parse_instant("received_at", came) if came is not None else 0)
        except (Flaw, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
        person = head.user_id or head.anonymous_id or ""
        if head.user_id and (head.anonymous_id or b"alias" in line.lower()):
            try:
                event = read_line(line, 0).event
            except Flaw:
                return person
            if (tie := identity.tie(event, person)) is not None:
                root.join(tie.previous, tie.person)
        return person


def _mapped(path: Path) -> mmap.mmap | bytes:
    """A file in place; what cannot be mapped, a pipe or nothing at all, is read."""
    try:
        with path.open("rb") as file:
            try:
                return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            except (ValueError, OSError):
                return file.read()
    except OSError as error:
        raise Failure(f"{path}: {error.strerror}", code=2) from None


class _Roots:
    def __init__(self) -> None:
        self._parent: dict[str, str] = {}

    def of(self, key: str) -> str:
        while (parent := self._parent.get(key, key)) != key:
            self._parent[key] = self._parent.get(parent, parent)
            key = parent
        return key

    def join(self, one: str, other: str) -> None:
        self._parent[self.of(one)] = self.of(other)


def backtest(
    rules: list[Rule], events: EventFile, until: Instant | None, policy: Policy | None, progress: Progress
) -> Outcome:
    """All firings in order, up to ``until`` (default: the last event)."""
    plan = live_from_the_beginning(rules)
    end = until if until is not None else events.last
    found: list[tuple[Firing, str, str]] = []
    played = shown = people = events_played = 0
    for lines in events.groups():
        replay = Replay(plan)
        firings: list[Firing] = []
        for event, received in lines:
            if received > end:
                break
            events_played += 1
            firings += replay.take(event, received)
        firings += replay.finish(end)
        people += replay.people
        found += _decided([firing for firing in firings if firing.fire.at <= end], policy)
        played += len(lines)
        if played - shown >= STEP:
            shown = played
            progress(played, events.lines)
    progress(events.lines, events.lines)
    found.sort(key=lambda item: (item[0].fire.at, item[0].person, item[0].fire.rule))
    return Outcome([_told(*item) for item in found], events_played, people)


def _decided(firings: list[Firing], policy: Policy | None) -> list[tuple[Firing, str, str]]:
    """What a policy says of a group's firings: caps are a person's own."""
    firings.sort(key=lambda firing: firing.fire.at)
    if policy is None:
        return [(firing, "", "") for firing in firings]
    asked = [ForecastFiring(f.person, f.fire.rule, f.fire.at, f.fire.terms) for f in firings]
    decisions = forecast(policy, asked)
    return [(f, decision.outcome, decision.reason) for f, decision in zip(firings, decisions, strict=True)]


def _told(firing: Firing, verdict: str, reason: str) -> PlayedFiring:
    because = [(event.id, event.name, event.timestamp) for event in firing.because]
    return PlayedFiring(firing.person, firing.fire.rule, firing.fire.at, because, verdict, reason)
