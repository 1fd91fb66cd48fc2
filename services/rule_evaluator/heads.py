"""From the conditions written in a document to conditions that can be evaluated. Pure.

A condition is a mapping with one head. ``HEADS`` is the table of them: a further head is a further line.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import msgspec

from services.rule_evaluator.conditions import Combination, Condition, Elapsed, Not, ProfileTest
from services.rule_evaluator.counting import EventCount, Kind, Measure, Sequence
from services.rule_evaluator.tallies import CountTest
from services.rule_evaluator.values import COMPARISONS, Clause, ValueTest
from services.rule_evaluator.view import Selector, Where
from shared.clock import SECOND
from shared.places import Place, shown, suggestion

DEEPEST = 100
"""Levels of nesting: enough for every purpose, and far from what the interpreter can recurse into."""

ACTIVITY = "activity"
_LIST = "[{event: added_to_cart, within: 24h}, …]"
_NAME = r"[^\x00-\x1f\x7f]{1,128}"
_STEPS = "[{event: product_viewed}, {event: added_to_cart}]"
KINDS: tuple[Kind, ...] = ("same", "distinct", "sum")
_AT_LEAST_ONE = ValueTest((Clause("gte", 1),))


class Head(NamedTuple):
    """``parse`` takes the place of the whole condition; ``options`` may stand beside the head."""

    parse: Callable[[Place], Condition | None]
    options: tuple[str, ...] = ()


def parse_condition(place: Place) -> Condition | None:
    """None if anything in it is wrong, which is then noted in ``place.errors``."""
    if not place.is_mapping("{event: added_to_cart, within: 24h}"):
        return None
    if place.depth > DEEPEST:
        place.wrong(f"nested deeper than {DEEPEST} levels")
        return None
    heads = [key for key in place.value if key in HEADS]
    if not heads:
        _no_head(place)
        return None
    if len(heads) > 1:
        place.wrong(f"has {len(heads)} conditions in one, {' and '.join(heads)}: make them a list under all or any")
        return None
    head = HEADS[heads[0]]
    errors = len(place.errors)
    place.only((heads[0], *head.options))
    condition = head.parse(place)
    return condition if len(place.errors) == errors else None


def _no_head(place: Place) -> None:
    known = f"known conditions are {', '.join(HEADS)}"
    key = next(iter(place.value), None)
    if key is None:
        place.wrong(f"is empty, {known}")
        return
    hint = suggestion(key, HEADS)
    place.child(key).wrong(f"is not a condition, {hint} ({known})" if "?" in hint else f"is not a condition, {known}")


def _combination(head: str, *, decisive: bool) -> Head:
    def parse(place: Place) -> Condition | None:
        conditions = [parse_condition(item) for item in place.child(head).items(_LIST)]
        return Combination(decisive, tuple(condition for condition in conditions if condition is not None))

    return Head(parse)


def _not(place: Place) -> Condition | None:
    condition = parse_condition(place.child("not"))
    return Not(condition) if condition is not None else None


def _event(place: Place) -> Condition | None:
    name = place.child("event").event_name()
    where = _where(place)
    count = parse_test(child, NUMERIC) if (child := place.given("count")) else _AT_LEAST_ONE
    within = child.duration(least=SECOND) if (child := place.given("within")) else None
    since = _since(child) if (child := place.given("since")) else None
    measure = _measure(place)
    if name is None or count is None:
        return None
    return EventCount(Selector(name, where), CountTest(count), within, since, measure)


def _measure(place: Place) -> Measure | None:
    given: list[tuple[Kind, Place]] = [(kind, child) for kind in KINDS if (child := place.given(kind))]
    if len(given) > 1:
        place.wrong(f"has {' and '.join(kind for kind, _ in given)}: only one of them can be counted")
    for kind, child in given:
        if (name := child.text(_NAME, "the name of a property")) is not None:
            return Measure(kind, name)
    return None


def _sequence(place: Place) -> Condition | None:
    steps = [_step(item) for item in place.child("sequence").items(_STEPS)]
    within = child.duration(least=SECOND) if (child := place.required("within", "within: 24h")) else None
    if within is None or not steps or None in steps:
        return None
    return Sequence(tuple(step for step in steps if step is not None), within)


def _step(place: Place) -> Selector | None:
    if not place.is_mapping("{event: product_viewed}"):
        return None
    place.only(("event", "where"))
    name = child.event_name() if (child := place.required("event", "event: product_viewed")) else None
    where = _where(place)
    return Selector(name, where) if name is not None else None


def _elapsed(place: Place) -> Condition | None:
    duration = place.child("elapsed").duration()
    since = place.required("since", "{elapsed: 30m, since: added_to_cart}")
    where = _where(place)
    selector = _since(since, where) if since is not None else None
    return Elapsed(duration, selector) if duration is not None and selector is not None else None


def _profile(place: Place) -> Condition | None:
    attribute = place.child("profile").text(_NAME, "the name of an attribute")
    written = {key: value for key, value in place.value.items() if key in COMPARISONS}
    if not written:
        place.wrong("has no test, add one such as in: [DE, AT] or exists: true")
    test = _clauses(place, written, tuple(COMPARISONS))
    return ProfileTest(attribute, test.compile()) if attribute is not None and test is not None else None


HEADS: Mapping[str, Head] = {
    "all": _combination("all", decisive=False),
    "any": _combination("any", decisive=True),
    "not": Head(_not),
    "event": Head(_event, ("where", "count", "within", "since", *KINDS)),
    "elapsed": Head(_elapsed, ("since", "where")),
    "sequence": Head(_sequence, ("within",)),
    "profile": Head(_profile, tuple(COMPARISONS)),
}


def _since(place: Place, where: Where = Where()) -> Selector | None:  # noqa: B008 - frozen
    if place.value == ACTIVITY:
        return Selector(None, where)
    name = place.event_name()
    return Selector(name, where) if name is not None else None


def _where(place: Place) -> Where:
    where = place.given("where")
    if where is None or not where.is_mapping("{price: {gte: 500}}"):
        return Where()
    tests = {name: parse_test(where.child(name)) for name in where.value}
    text = msgspec.json.encode(where.value, order="deterministic").decode() if tests else ""
    return Where(text, tuple((name, test.compile()) for name, test in tests.items() if test is not None))


# --- Tests ------------------------------------------------------------------------------------------------------------

NUMERIC = ("eq", "ne", "gt", "gte", "lt", "lte", "in", "not_in")
"""The comparisons that make sense for a count, with numbers only."""


def parse_test(place: Place, known: tuple[str, ...] = tuple(COMPARISONS)) -> ValueTest | None:
    """A scalar, which means equals, or a mapping of comparisons."""
    written = place.value if isinstance(place.value, Mapping) else None
    if written is None:
        operand = _operand(place, "eq", numbers=known is NUMERIC)
        return ValueTest((Clause("eq", operand),)) if operand is not None else None
    if not written:
        place.wrong(f"is an empty test, known are {', '.join(known)}")
        return None
    place.only(known)
    return _clauses(place, written, known)


def _clauses(place: Place, written: Mapping[str, Any], known: tuple[str, ...]) -> ValueTest | None:
    errors = len(place.errors)
    clauses = [
        Clause(name, _operand(place.child(name), name, numbers=known is NUMERIC)) for name in written if name in known
    ]
    return ValueTest(tuple(clauses)) if len(place.errors) == errors else None


def _operand(place: Place, comparison: str, *, numbers: bool) -> Any:
    match comparison:
        case "in" | "not_in":
            return tuple(_scalar(item, numbers=numbers) for item in place.items("[DE, AT]"))
        case "exists":
            return place.boolean()
        case "starts_with":
            return place.text(r"(?s).+", "a text")
        case "gt" | "gte" | "lt" | "lte" if isinstance(place.value, bool):
            place.wrong(f"{shown(place.value)} has no order, compare with a number or a text")
            return None
        case _:
            return _scalar(place, numbers=numbers)


def _scalar(place: Place, *, numbers: bool) -> Any:
    value = place.value
    if isinstance(value, list):
        place.wrong(f"a list cannot be compared with, try in: {_flow(value)}")
    elif value is None:
        place.wrong("nothing cannot be compared with, try exists: false")
    elif isinstance(value, Mapping):
        place.wrong("a mapping cannot be compared with")
    elif numbers and type(value) not in (int, float):
        place.wrong(f"{shown(value)} is not a number")
    else:
        return value
    return None


def _flow(values: list[Any]) -> str:
    simple = all(isinstance(value, str | int | float) for value in values) and len(values) <= 5
    return f"[{', '.join(map(str, values))}]" if simple and values else "[…]"
