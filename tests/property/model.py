"""The rules' semantics, read off the documentation and interpreted in the most naive way.

Nothing is compiled, indexed or foreseen: ``when`` is evaluated over plain lists at every instant at which anything could
change. Instants are whole seconds times ``SECOND``; documents are plain mappings, as they come out of YAML.
"""

import re
from collections.abc import Iterator, Mapping
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
    "trigger_suppressed",
    "trigger_held_out",
    "webhook_sent",
}
CAME_TO_NOTHING = {"trigger_suppressed", "email_failed", "email_expired"}


class Happening(NamedTuple):
    """An event as it arrived; ``n`` is its place in the order of arrival."""

    n: int
    name: str
    timestamp: int
    arrived: int
    properties: Mapping[str, Any]
    trusted: bool


class Firing(NamedTuple):
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
    if "all" in when:
        return all(true_at(part, events, profile, t) for part in when["all"])
    if "any" in when:
        return any(true_at(part, events, profile, t) for part in when["any"])
    if "not" in when:
        return not true_at(when["not"], events, profile, t)
    if "profile" in when:
        test = {name: operand for name, operand in when.items() if name != "profile"}
        return passes(test, profile.get(when["profile"]))
    happened = sorted((e for e in events if e.timestamp <= t), key=lambda e: (e.timestamp, e.n))
    if "elapsed" in when:
        last = [e for e in named(happened, when["since"]) if where_holds(when.get("where", {}), e)][-1:]
        return bool(last) and t - last[0].timestamp >= seconds(when["elapsed"])
    return counted(when, happened, t)


def counted(when: Mapping[str, Any], happened: list[Happening], t: int) -> bool:
    window = [e for e in happened if e.name == when["event"] and where_holds(when.get("where", {}), e)]
    if "within" in when:
        window = [e for e in window if e.timestamp > t - seconds(when["within"])]
    if "since" in when:
        anchors = named(happened, when["since"])
        window = [e for e in window if anchors and happened.index(e) > happened.index(anchors[-1])]
    count = len(window)
    if "same" in when:
        values = [e.properties[when["same"]] for e in window if e.properties.get(when["same"]) is not None]
        count = max((sum(equal(one, other) for other in values) for one in values), default=0)
    return passes(when.get("count", {"gte": 1}), count)


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


def firings(
    rule: Mapping[str, Any], live_since: int, events: list[Happening], until: int, triggers: Mapping[str, Firing]
) -> list[Firing]:
    """Every firing of one rule for a person with these events, in order of arrival, up to and including ``until``.

    ``triggers``: the firings that outcomes may name.
    """
    when = rule["when"]
    moments = {e.timestamp + duration for e in events for duration in [0, *durations(when)]}
    moments |= {e.arrived for e in events} | {live_since, until}
    arrived: list[Happening] = []
    profile: dict[str, Any] = {}
    fired: list[Firing] = []
    counting: list[Firing] = []
    held = False

    def look(t: int) -> None:
        nonlocal held
        holds = true_at(when, arrived, profile, t)
        if holds and not held and t > live_since and may_fire(rule, counting, t):
            fired.append(Firing(rule["id"], t))
            counting.append(fired[-1])
        held = holds

    for t in sorted(moment for moment in moments if moment <= until):
        if t > live_since:
            look(t)
        for event in (e for e in events if e.arrived == t):
            arrived.append(event)
            if event.name == "identify":
                profile = {k: v for k, v in {**profile, **event.properties}.items() if v is not None}
            if event.name in CAME_TO_NOTHING:
                counting[:] = [firing for firing in counting if firing != triggers.get(event.properties["trigger_id"])]
            if t > live_since:
                look(t)
        if t == live_since:
            look(t)
    return fired


def may_fire(rule: Mapping[str, Any], counting: list[Firing], t: int) -> bool:
    if "reentry" not in rule or not counting:
        return True
    return rule["reentry"] != "never" and t - counting[-1].at >= seconds(rule["reentry"])
