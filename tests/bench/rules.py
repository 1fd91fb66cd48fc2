"""``advance`` on one core, beside expression libraries that are given everything but the final comparison.

Steps are events of simulated shoppers who have a hundred events behind them. The libraries know no time and no history: what
a rule counted and measured is handed to them ready made, in numbers, so that only the comparison is left.
"""

import itertools
import time
from collections.abc import Callable, Iterator
from random import Random
from typing import Any, NamedTuple

import celpy
import json_logic
import msgspec
import rule_engine

from services.rule_evaluator.advance import advance
from services.rule_evaluator.document import parse_document
from services.rule_evaluator.plan import Plan
from services.rule_evaluator.rules import LiveRule
from services.rule_evaluator.wire import EvaluateOnWire
from services.simulate.shoppers import play
from services.tracker.lines import read_line
from shared import markup
from shared.clock import DAY, SECOND
from shared.durations import parse_duration
from shared.messages import Case, Evaluate, Evaluated, HistoryEvent, Person, RuleState, Step
from tests.support.stack import ROOT

TYPICAL = (
    *("browse-abandonment", "cart-abandonment", "checkout-abandonment", "first-visit", "high-value-interest"),
    *("post-purchase", "price-sensitive", "replenishment", "vip", "win-back"),
)
HISTORY = 100
STEPS = 100
SHOPPERS = 40
ROUNDS = 7
START = 1_760_000_000 * SECOND

_decode_request = msgspec.msgpack.Decoder(EvaluateOnWire).decode


class Shopper(NamedTuple):
    """``states``: what is remembered after ``history``."""

    person: Person
    states: dict[str, RuleState]
    steps: list[Step]


def documents() -> list[dict[str, Any]]:
    return [markup.load((ROOT / f"examples/rules/{name}.yaml").read_text(encoding="utf-8")) for name in TYPICAL]


def variants(count: int) -> Plan:
    """The typical rules, again and again with other durations and prices, so that nothing is shared that would not be."""
    rules = []
    for number, document in zip(range(count), itertools.cycle(documents()), strict=False):
        varied = _varied(document, number // len(TYPICAL)) | {"id": f"rule-{number}"}
        reading = parse_document(msgspec.json.encode(varied).decode())
        assert reading.rule is not None, reading.errors
        rules.append(LiveRule(reading.rule, 1, 1, 0))
    return Plan(rules)


def _varied(value: Any, by: int, key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _varied(inner, by, name) for name, inner in value.items()}
    if isinstance(value, list):
        return [_varied(inner, by) for inner in value]
    if key in ("within", "elapsed"):
        return f"{parse_duration(value) // SECOND + 60 * by}s"
    return value + by if key == "gte" and value >= 100 else value


def shoppers(plan: Plan) -> list[Shopper]:
    """The most eager of some hundred people."""
    events: dict[str, list[HistoryEvent]] = {}
    for number, (at, event) in enumerate(play(1, 1500, START, 120 * DAY)):
        read = read_line(msgspec.json.encode(event), number).event
        kept = events.setdefault(read.person, [])
        n = len(kept) + 1
        kept.append(HistoryEvent(n, read.id, read.name, read.timestamp, at, read.properties, read.trusted))
    eager = [kept for kept in events.values() if len(kept) >= HISTORY + STEPS][:SHOPPERS]
    return [_shopper(plan, kept) for kept in eager]


def _shopper(plan: Plan, events: list[HistoryEvent]) -> Shopper:
    before = events[:HISTORY]
    states = advance(plan, Case(Person("x"), {}, [Step(event.arrived, event) for event in before])).rules
    history = sorted(before, key=lambda event: (event.timestamp, event.n))
    steps = [Step(event.arrived, event) for event in events[HISTORY : HISTORY + STEPS]]
    return Shopper(Person("x", {"email": "x@example.test", "country": "AT"}, history, HISTORY), states, steps)


def steps_per_s(plan: Plan, people: list[Shopper]) -> float:
    """Of ``advance`` alone, a hundred steps a call."""
    return _best(
        lambda: [advance(plan, Case(one.person, dict(one.states), one.steps)) for one in people],
        sum(len(one.steps) for one in people),
    )


def cases_per_s(plan: Plan, people: list[Shopper]) -> float:
    """As the service does it for an event that comes alone: decode a case, one step, encode the verdict."""
    encode = msgspec.msgpack.Encoder().encode
    requests = [encode(Evaluate([Case(one.person, one.states, one.steps[:1])])) for one in people]

    def work() -> None:
        for request in requests:
            (case,) = _decode_request(request).cases
            encode(Evaluated([advance(plan, case.as_case())]))

    return _best(work, len(people))


def _best(work: Callable[[], object], units: int) -> float:
    """By processor time, the best of some rounds: what else the machine does counts as little as it can."""
    spent = []
    for _ in range(ROUNDS):
        began = time.process_time()
        work()
        spent.append(time.process_time() - began)
    return units / min(spent)


# --- The libraries ----------------------------------------------------------------------------------------------------


def leaves(when: dict[str, Any], names: Iterator[str]) -> Any:
    """The condition as a tree of comparisons: ("and" | "or", parts), ("not", part) or (variable, at least)."""
    if "all" in when or "any" in when:
        head = "all" if "all" in when else "any"
        return ("and" if head == "all" else "or", [leaves(part, names) for part in when[head]])
    if "not" in when:
        return ("not", leaves(when["not"], names))
    count = when.get("count", {"gte": 1})
    return (next(names), int(count["gte"]) if isinstance(count, dict) and "gte" in count else 1)


def infix(tree: Any, words: dict[str, str]) -> str:
    head, rest = tree
    if head in ("and", "or"):
        return "(" + f" {words[head]} ".join(infix(part, words) for part in rest) + ")"
    return f"{words['not']}({infix(rest, words)})" if head == "not" else f"{head} >= {rest}"


def json_form(tree: Any) -> dict[str, Any]:
    head, rest = tree
    if head in ("and", "or"):
        return {head: [json_form(part) for part in rest]}
    return {"!": [json_form(rest)]} if head == "not" else {">=": [{"var": head}, rest]}


def libraries(rules: int) -> dict[str, float]:
    """Steps a second, a step being the final comparison of all rules."""
    trees = [leaves(document["when"], (f"v{n}" for n in itertools.count())) for document in documents()]
    trees = list(itertools.islice(itertools.cycle(trees), rules))
    chance = Random(1)
    facts = [{f"v{n}": chance.randint(0, 3) for n in range(12)} for _ in range(20)]
    return {
        "cel-python": _cel(trees, facts),
        "json-logic-qubit": _json_logic(trees, facts),
        "rule-engine": _rule_engine(trees, facts),
    }


def _cel(trees: list[Any], facts: list[dict[str, int]]) -> float:
    environment = celpy.Environment()
    words = {"and": "&&", "or": "||", "not": "!"}
    programs = [environment.program(environment.compile(infix(tree, words))) for tree in trees]
    given = [{name: celpy.celtypes.IntType(value) for name, value in fact.items()} for fact in facts]
    return _best(lambda: [program.evaluate(fact) for fact in given for program in programs], len(facts))


def _json_logic(trees: list[Any], facts: list[dict[str, int]]) -> float:
    forms = [json_form(tree) for tree in trees]
    return _best(lambda: [json_logic.jsonLogic(form, fact) for fact in facts for form in forms], len(facts))


def _rule_engine(trees: list[Any], facts: list[dict[str, int]]) -> float:
    words = {"and": "and", "or": "or", "not": "not "}
    rules = [rule_engine.Rule(infix(tree, words)) for tree in trees]
    return _best(lambda: [rule.matches(fact) for fact in facts for rule in rules], len(facts))


def measure() -> dict[str, float]:
    found: dict[str, float] = {}
    for count in (10, 100):
        plan = variants(count)
        people = shoppers(plan)
        found[f"advance_{count}_rules_steps_per_s"] = round(steps_per_s(plan, people))
        found[f"wire_{count}_rules_cases_per_s"] = round(cases_per_s(plan, people))
        for name, rate in libraries(count).items():
            found[f"{name}_{count}_rules_comparisons_only_steps_per_s"] = round(rate)
    return found
