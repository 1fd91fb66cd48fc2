"""The rules' semantics, read off the documentation and interpreted in the most naive way: the independent judge.

Nothing is compiled, indexed or foreseen: ``when`` is evaluated over plain lists at every instant at which anything could
change. Instants are whole seconds times ``SECOND``; documents are plain mappings, as they come out of YAML.
"""

import re
from collections.abc import Iterator, Mapping
from fractions import Fraction
from typing import Any, NamedTuple

SECOND = 1_000_000
OUTCOMES_THAT_ARE_NOT_ACTIVITY = {
    "email_sent",
    "email_failed",
    "email_expired",
    "email_uncertain",
    "email_bounced",
    "email_complained",
    "email_unsubscribed",
    "email_resubscribed",
    "email_opened_by_machine",
    "email_clicked_by_machine",
    "trigger_suppressed",
    "trigger_held_out",
    "webhook_sent",
    "webhook_failed",
    "webhook_expired",
}
CAME_TO_NOTHING = {"trigger_suppressed", "email_failed", "email_expired", "webhook_failed", "webhook_expired"}


class Happening(NamedTuple):
    """An event as it arrived; ``n`` is its place in the order of arrival."""

    n: int
    name: str
    timestamp: int
    arrived: int
    properties: Mapping[str, Any]
    trusted: bool


class Firing(NamedTuple):
    person: str
    rule: str
    at: int


def seconds(text: str) -> int:
    units = {"d": 86400, "h": 3600, "m": 60, "s": 1}
    return sum(int(count) * units[unit] for count, unit in re.findall(r"(\d+)([dhms])", text)) * SECOND


# --- Tests ------------------------------------------------------------------------------------------------------------


def kind(value: Any) -> str:
    if isinstance(value, bool):
        return "boolean"
    return "number" if isinstance(value, int | float) else type(value).__name__


def equal(one: Any, other: Any) -> bool:
    return kind(one) == kind(other) and one == other


def passes(test: Any, value: Any) -> bool:
    """``value`` is none where the property is missing."""
    if not isinstance(test, Mapping):
        test = {"eq": test}
    if value is None:
        return dict(test) == {"exists": False}
    return all(comparison_holds(name, operand, value) for name, operand in test.items())


def comparison_holds(name: str, operand: Any, value: Any) -> bool:
    alike = kind(value) == kind(operand)
    match name:
        case "eq":
            return equal(value, operand)
        case "ne":
            return not equal(value, operand)
        case "gt":
            return alike and value > operand
        case "gte":
            return alike and value >= operand
        case "lt":
            return alike and value < operand
        case "lte":
            return alike and value <= operand
        case "in":
            return any(equal(value, one) for one in operand)
        case "not_in":
            return not any(equal(value, one) for one in operand)
        case "contains" if isinstance(value, str):
            return isinstance(operand, str) and operand in value
        case "contains":
            return isinstance(value, list) and any(equal(one, operand) for one in value)
        case "starts_with":
            return isinstance(value, str) and isinstance(operand, str) and value.startswith(operand)
        case "exists":
            return bool(operand)
    raise AssertionError(name)


# --- Conditions -------------------------------------------------------------------------------------------------------


def true_at(when: Mapping[str, Any], events: list[Happening], profile: Mapping[str, Any], t: int) -> bool:
    """``events``: all that have arrived. Those dated after ``t`` have not happened yet."""
    happened = sorted((e for e in events if e.timestamp <= t), key=lambda e: (e.timestamp, e.n))
    return holds(when, happened, profile, t)


def holds(when: Mapping[str, Any], happened: list[Happening], profile: Mapping[str, Any], t: int) -> bool:
    if "all" in when:
        return all(holds(part, happened, profile, t) for part in when["all"])
    if "any" in when:
        return any(holds(part, happened, profile, t) for part in when["any"])
    if "not" in when:
        return not holds(when["not"], happened, profile, t)
    if "profile" in when:
        test = {name: operand for name, operand in when.items() if name != "profile"}
        return passes(test, inside(profile, when["profile"]))
    if "elapsed" in when:
        last = [e for e in named(happened, when["since"]) if where_holds(when.get("where", {}), e)][-1:]
        return bool(last) and t - last[0].timestamp >= seconds(when["elapsed"])
    if "sequence" in when:
        window = [e for e in happened if e.timestamp > t - seconds(when["within"])]
        return in_order(when["sequence"], window)
    return passes(when.get("count", {"gte": 1}), measured(when, window_of(when, happened, t)))


def window_of(when: Mapping[str, Any], happened: list[Happening], t: int) -> list[Happening]:
    window = [e for e in happened if e.name == when["event"] and where_holds(when.get("where", {}), e)]
    if "within" in when:
        window = [e for e in window if e.timestamp > t - seconds(when["within"])]
    if "since" in when:
        anchors = named(happened, when["since"])
        window = [e for e in window if anchors and happened.index(e) > happened.index(anchors[-1])]
    return window


def measured(when: Mapping[str, Any], window: list[Happening]) -> Any:
    if "same" in when:
        values = values_of(when["same"], window)
        return max((sum(equal(one, other) for other in values) for one in values), default=0)
    if "distinct" in when:
        different: list[Any] = []
        for value in values_of(when["distinct"], window):
            if not any(equal(value, other) for other in different):
                different.append(value)
        return len(different)
    if "sum" in when:
        numbers = [value for value in values_of(when["sum"], window) if kind(value) == "number"]
        total = sum((Fraction(repr(number)) for number in numbers), Fraction(0))
        return int(total) if all(isinstance(number, int) for number in numbers) else float(total)
    return len(window)


def values_of(name: str, window: list[Happening]) -> list[Any]:
    return [e.properties[name] for e in window if e.properties.get(name) is not None]


def in_order(steps: list[Mapping[str, Any]], window: list[Happening]) -> bool:
    """Whether the steps can be found in this order, trying every event for each."""
    if not steps:
        return True
    first, *others = steps
    return any(
        e.name == first["event"] and where_holds(first.get("where", {}), e) and in_order(others, window[place + 1 :])
        for place, e in enumerate(window)
    )


def inside(profile: Any, path: str) -> Any:
    if path in profile:
        return profile[path]
    for name in path.split("."):
        profile = profile.get(name) if isinstance(profile, dict) else None
    return profile


def named(events: list[Happening], name: str) -> list[Happening]:
    if name == "activity":
        return [e for e in events if e.name not in OUTCOMES_THAT_ARE_NOT_ACTIVITY | {"identify", "alias"}]
    return [e for e in events if e.name == name]


def where_holds(where: Mapping[str, Any], event: Happening) -> bool:
    values = {**event.properties, "$trusted": event.trusted}
    return all(passes(test, values.get(name)) for name, test in where.items())


def durations(when: Any) -> Iterator[int]:
    """Every duration that stands anywhere in a condition."""
    if isinstance(when, list):
        for part in when:
            yield from durations(part)
    elif isinstance(when, Mapping):
        for key, value in when.items():
            if key in ("within", "elapsed"):
                yield seconds(value)
            else:
                yield from durations(value)


# --- Firing -----------------------------------------------------------------------------------------------------------


class Life:
    """What one rule makes of one person. Tell it what arrives, in order; ``fired`` grows."""

    def __init__(self, person: str, rule: Mapping[str, Any], live_since: int) -> None:
        self._person = person
        self.fired: list[Firing] = []
        self.counting: list[Firing] = []
        self._rule = rule
        self._live_since = live_since
        self._offsets = [0, *durations(rule["when"])]
        self._arrived: list[Happening] = []
        self._profile: dict[str, Any] = {}
        self._held = False
        self._began = False
        self._now = -1

    def pass_to(self, t: int) -> None:
        """Look at every instant at which anything could change."""
        moments = {e.timestamp + offset for e in self._arrived for offset in self._offsets}
        if t > self._live_since and not self._began:
            self._look(self._live_since)
            self._began = True
            self._now = max(self._now, self._live_since)
        for moment in sorted(m for m in moments if self._now < m <= t):
            self._look(moment)
        self._now = t

    def arrive(self, event: Happening, came_to_nothing: Firing | None = None) -> None:
        """``came_to_nothing``: the firing that the event takes back."""
        self.pass_to(event.arrived)
        self._arrived.append(event)
        if event.name == "identify":
            merged = {**self._profile, **event.properties}
            self._profile = {name: value for name, value in merged.items() if value is not None}
        if event.name in CAME_TO_NOTHING:
            self.counting = [firing for firing in self.counting if firing != came_to_nothing]
        self._look(event.arrived)

    def join(self, other: "Life", brought: list[Happening], t: int) -> None:
        """``other``, as far as it has come, turned out to be the same person and brings these events, numbered on. What
        held for either goes on to hold; what was fired for either was fired."""
        self.pass_to(t)
        self._arrived += brought
        self._profile = {**other._profile, **self._profile}
        self.counting = sorted([*self.counting, *other.counting], key=lambda firing: firing.at)
        self._held = self._held or (self._began and other._held)
        self._look(t)

    def _look(self, t: int) -> None:
        true = true_at(self._rule["when"], self._arrived, self._profile, t)
        if true and not self._held and self._began and self._may_fire(t):
            self.fired.append(Firing(self._person, self._rule["id"], t))
            self.counting.append(self.fired[-1])
        self._held = true

    def _may_fire(self, t: int) -> bool:
        reentry = self._rule.get("reentry")
        if reentry is None or not self.counting:
            return True
        return reentry != "never" and t - self.counting[-1].at >= seconds(reentry)
