"""Random rules and random histories. Driven by anything with the interface of ``random.Random``: by Hypothesis, which finds
and shrinks, and by seeds, which are fast."""

from random import Random
from typing import Any, NamedTuple

import msgspec

from services.rule_evaluator.document import parse_document
from services.rule_evaluator.rules import LiveRule
from shared.clock import SECOND, Instant
from shared.messages import Event

UNTIL = 100 * SECOND
TAKE_BACK = "trigger_suppressed"
DEEPEST = 4

VALUES = [1, 1.0, 2, 3.5, 0.1, -2, True, False, "1", "ab", "b", ["ab", 1], {"x": 1}, None]
NAMES = ["a", "a", "a", "b", "b", "c", "identify", "email_opened", "email_sent", TAKE_BACK]
SCALARS = [1, 2, 3.5, True, "1", "ab", "b"]
ORDERED = [1, 2, 3.5, "ab", "b"]
SINCE = ["a", "b", "c", "activity"]
PROPERTIES = ["p", "q"]


class Come(NamedTuple):
    """``event`` arrives at ``arrived``, ``twice`` maybe."""

    event: Event
    arrived: Instant
    twice: bool = False


class Sign(NamedTuple):
    """At this instant ``visitor`` turns out to be ``ada``."""

    arrived: Instant


class World(NamedTuple):
    """``rules`` with their documents. ``happenings`` are in order of arrival; events are ``ada``'s or ``visitor``'s."""

    rules: list[tuple[dict[str, Any], LiveRule]]
    happenings: list[Come | Sign]


def world(r: Random) -> World:
    rules = [_live(_rule(r, number), r.randint(0, 20) if r.random() < 0.7 else 0) for number in range(r.randint(1, 2))]
    return World(rules, _happenings(r))


def _live(document: dict[str, Any], since_s: int) -> tuple[dict[str, Any], LiveRule]:
    reading = parse_document(msgspec.json.encode(document).decode())
    assert reading.rule is not None, reading.errors
    return document, LiveRule(reading.rule, 1, 1, since_s * SECOND)


# --- What happens -----------------------------------------------------------------------------------------------------


def _happenings(r: Random) -> list[Come | Sign]:
    """Many at once, late, dated a little ahead, or twice."""
    found: list[Come | Sign] = []
    arrived = 0
    count = r.randint(0, 12)
    signs_in = r.randint(1, count + 1) if r.random() < 0.4 else 0
    for number in range(1, count + 1):
        arrived += r.choice([0, 1, 1, 2, 3, 7])
        if number == signs_in:
            found.append(Sign(arrived * SECOND))
        visitor = signs_in and r.random() < 0.5
        late = r.choice([0, 0, 0, 0, -1, -4, -12, 1, 3])
        timestamp = max(0, arrived + late) * SECOND
        properties = {name: r.choice(VALUES) for name in PROPERTIES if r.random() < 0.5}
        event = Event(
            id=f"e{number}",
            person="visitor" if visitor else "ada",
            name=r.choice(NAMES),
            timestamp=timestamp,
            received=arrived * SECOND,
            properties=properties,
            trusted=r.random() < 0.5,
        )
        found.append(Come(event, arrived * SECOND, twice=r.random() < 0.1))
    if signs_in > count:
        found.append(Sign(arrived * SECOND))
    return found


# --- Rules ------------------------------------------------------------------------------------------------------------


def _rule(r: Random, number: int) -> dict[str, Any]:
    document: dict[str, Any] = {
        "id": f"rule-{number}",
        "status": "live",
        "when": _when(r, DEEPEST),
        "action": {"email": {"template": "t"}},
    }
    if r.random() < 0.5:
        document["reentry"] = _duration(r) if r.random() < 0.7 else "never"
    return document


def _when(r: Random, depth: int) -> dict[str, Any]:
    kind = r.random()
    if depth > 0 and kind < 0.55:
        head = r.choice(["all", "any", "not"])
        if head == "not":
            return {"not": _when(r, depth - 1)}
        return {head: [_when(r, depth - 1) for _ in range(r.randint(1, 3))]}
    if kind < 0.78:
        return _event(r)
    if kind < 0.9:
        return _maybe(r, {"elapsed": _duration(r), "since": r.choice(SINCE)}, where=_where)
    if kind < 0.95:
        steps = [_maybe(r, {"event": r.choice(["a", "b", "c"])}, where=_where) for _ in range(r.randint(1, 3))]
        return {"sequence": steps, "within": _duration(r)}
    test = _test(r)
    return {"profile": r.choice(["p", "q", "q.x"]), **(test if isinstance(test, dict) else {"eq": test})}


def _event(r: Random) -> dict[str, Any]:
    condition = {"event": r.choice(["a", "a", "b", "c", "email_opened"])}
    condition = _maybe(r, condition, where=_where, count=_count, within=_duration, since=lambda r: r.choice(SINCE))
    if r.random() < 0.4:
        condition[r.choice(["same", "distinct", "sum"])] = r.choice(PROPERTIES)
    return condition


def _maybe(r: Random, condition: dict[str, Any], **options: Any) -> dict[str, Any]:
    return condition | {name: make(r) for name, make in options.items() if r.random() < 0.4}


def _duration(r: Random) -> str:
    return f"{r.randint(1, 12)}s"


def _where(r: Random) -> dict[str, Any]:
    return {"$trusted": r.random() < 0.5} if r.random() < 0.2 else {r.choice(PROPERTIES): _test(r)}


def _test(r: Random) -> Any:
    if r.random() < 0.4:
        return r.choice(SCALARS)
    return dict(_comparison(r) for _ in range(r.randint(1, 2)))


def _comparison(r: Random) -> tuple[str, Any]:
    name = r.choice(
        ["eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in", "contains", "starts_with", "exists", "exists"]
    )
    match name:
        case "eq" | "ne" | "contains":
            return name, r.choice(SCALARS)
        case "in" | "not_in":
            return name, [r.choice(SCALARS) for _ in range(r.randint(1, 2))]
        case "starts_with":
            return name, r.choice(["a", "b"])
        case "exists":
            return name, r.random() < 0.5
    return name, r.choice(ORDERED)


def _count(r: Random) -> Any:
    if r.random() < 0.5:
        return {"gte": r.choice([0, 1, 2, 2, 3, 1.5, -1])}
    if r.random() < 0.3:
        return r.randint(0, 3)
    if r.random() < 0.3:
        return {r.choice(["in", "not_in"]): [r.randint(0, 3) for _ in range(r.randint(1, 2))]}
    return {r.choice(["gte", "gt", "lt", "lte", "eq", "ne"]): r.choice([0, 1, 2, 3, 2.5]) for _ in range(2)}
