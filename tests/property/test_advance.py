"""``advance`` against a brute-force model, and against itself with the steps cut up in other ways."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from services.rule_evaluator.advance import advance
from services.rule_evaluator.document import parse_document
from services.rule_evaluator.rules import LiveRule
from services.rule_evaluator.wire import EvaluateOnWire
from shared import profile
from shared.clock import SECOND, Instant
from shared.messages import Case, Evaluate, Evaluated, Fire, HistoryEvent, Person, RuleState, Step, Verdict
from tests.property import model

UNTIL = 100 * SECOND
TAKE_BACK = "trigger_suppressed"

# --- What happens -----------------------------------------------------------------------------------------------------

VALUES = st.sampled_from([1, 1.0, 2, 3.5, True, False, "1", "ab", "b", ["ab", 1], None])
NAMES = st.sampled_from(["a", "a", "a", "b", "b", "c", "identify", "email_opened", "email_sent", TAKE_BACK])


@st.composite
def happenings(draw: st.DrawFn) -> list[HistoryEvent]:
    """Events in order of arrival, many at once, late, or dated a little ahead."""
    events = []
    arrived = 0
    for n in range(1, draw(st.integers(0, 12)) + 1):
        arrived += draw(st.sampled_from([0, 1, 1, 2, 3, 7]))
        timestamp = max(0, arrived + draw(st.sampled_from([0, 0, 0, 0, -1, -4, -12, 1, 3])))
        properties = draw(st.dictionaries(st.sampled_from(["p", "q"]), VALUES, max_size=2))
        events.append(
            HistoryEvent(n, f"e{n}", draw(NAMES), timestamp * SECOND, arrived * SECOND, properties, draw(st.booleans()))
        )
    return events


# --- Rules ------------------------------------------------------------------------------------------------------------

DURATIONS = st.integers(1, 12).map(lambda count: f"{count}s")
SCALARS = st.sampled_from([1, 2, 3.5, True, "1", "ab", "b"])
ORDERED = st.sampled_from([1, 2, 3.5, "ab", "b"])
TESTS = st.one_of(
    SCALARS,
    st.fixed_dictionaries(
        {},
        optional={
            "eq": SCALARS,
            "ne": SCALARS,
            "gt": ORDERED,
            "gte": ORDERED,
            "lt": ORDERED,
            "lte": ORDERED,
            "in": st.lists(SCALARS, min_size=1, max_size=2),
            "not_in": st.lists(SCALARS, min_size=1, max_size=2),
            "contains": SCALARS,
            "starts_with": st.sampled_from(["a", "b"]),
            "exists": st.booleans(),
        },
    ).filter(lambda test: 1 <= len(test) <= 2),
)
NUMBERS = st.integers(0, 3)
COUNTS = st.one_of(
    NUMBERS,
    st.dictionaries(st.sampled_from(["gte", "gte", "gt", "lt", "lte", "eq", "ne"]), NUMBERS, min_size=1, max_size=2),
    st.fixed_dictionaries({"in": st.lists(NUMBERS, min_size=1, max_size=2)}),
)
WHERE = st.one_of(
    st.dictionaries(st.sampled_from(["p", "q"]), TESTS, min_size=1, max_size=1),
    st.fixed_dictionaries({"$trusted": st.booleans()}),
)
SINCE = st.sampled_from(["a", "b", "c", "activity"])
EVENT = st.fixed_dictionaries(
    {"event": st.sampled_from(["a", "b", "c", "email_opened"])},
    optional={
        "where": WHERE,
        "count": COUNTS,
        "within": DURATIONS,
        "since": SINCE,
        "same": st.sampled_from(["p", "q"]),
    },
)
ELAPSED = st.fixed_dictionaries({"elapsed": DURATIONS, "since": SINCE}, optional={"where": WHERE})
PROFILE = TESTS.map(lambda test: {"profile": "p", **(test if isinstance(test, dict) else {"eq": test})})
WHEN = st.recursive(
    st.one_of(EVENT, EVENT, ELAPSED, ELAPSED, PROFILE),
    lambda inner: st.one_of(
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"all": parts}),
        st.lists(inner, min_size=1, max_size=3).map(lambda parts: {"any": parts}),
        inner.map(lambda part: {"not": part}),
    ),
    max_leaves=5,
)
RULE = st.fixed_dictionaries({"when": WHEN}, optional={"reentry": st.one_of(DURATIONS, st.just("never"))})
RULES = st.lists(st.tuples(RULE, st.integers(0, 20)), min_size=1, max_size=2)


def written(rules: Sequence[tuple[dict[str, Any], int]]) -> list[tuple[dict[str, Any], LiveRule]]:
    """The documents, and the rules compiled from them, live since so many seconds."""
    result = []
    for number, (rule, since) in enumerate(rules):
        document = {"id": f"rule-{number}", "status": "live", "action": {"email": {"template": "t"}}, **rule}
        reading = parse_document(msgspec.json.encode(document).decode())
        assert reading.rule is not None, reading.errors
        result.append((document, LiveRule(reading.rule, 1, 1, since * SECOND)))
    return result


# --- The rest of the world --------------------------------------------------------------------------------------------

_decode_request = msgspec.msgpack.Decoder(EvaluateOnWire).decode
_decode_reply = msgspec.msgpack.Decoder(Evaluated).decode


class Shopper:
    """Remembers what the state service remembers, and forgets everything else between two batches."""

    def __init__(self) -> None:
        self.person = Person("someone")
        self.states: dict[str, RuleState] = {}
        self.fires: list[Fire] = []
        self.wake: Instant | None = None

    def go_through(self, rules: Sequence[LiveRule], steps: list[Step]) -> Verdict:
        request = msgspec.msgpack.encode(Evaluate([Case(self.person, self.states, steps)]))
        (case,) = _decode_request(request).cases
        verdict = advance(rules, case.as_case())
        (verdict,) = _decode_reply(msgspec.msgpack.encode(Evaluated([verdict]))).verdicts
        events = [step.event for step in steps if step.event is not None]
        for event in events:
            if event.name == "identify":
                self.person.profile = profile.merge(self.person.profile, event.properties)
        history = sorted([*self.person.history, *events], key=lambda event: (event.timestamp, event.n))
        count = max([self.person.count, *(event.n for event in events)])
        self.person = Person("someone", self.person.profile, history, count)
        self.states = verdict.rules
        self.fires += verdict.fires
        self.wake = verdict.wake
        return verdict


def told(rules: Sequence[LiveRule], events: list[HistoryEvent]) -> tuple[list[Step], list[Fire]]:
    """The steps one by one up to the end, and what fired. An outcome that takes back names the latest firing."""
    shopper = Shopper()
    steps = []
    for event in events:
        if event.name == TAKE_BACK:
            last = shopper.fires[-1].trigger if shopper.fires else "none"
            event = msgspec.structs.replace(event, properties={**event.properties, "trigger_id": last})
        steps.append(Step(event.arrived, event))
        shopper.go_through(rules, steps[-1:])
    steps.append(Step(UNTIL))
    shopper.go_through(rules, steps[-1:])
    return steps, shopper.fires


def summary(fires: Sequence[Fire]) -> list[tuple[str, Instant, str, list[int], bool]]:
    return sorted((fire.rule, fire.at, fire.trigger, fire.because, fire.timer) for fire in fires)


quick = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@quick
@given(RULES, happenings())
def test_fires_when_the_documentation_says_so(
    rules: list[tuple[dict[str, Any], int]], events: list[HistoryEvent]
) -> None:
    compiled = written(rules)
    steps, fires = told([rule for _, rule in compiled], events)
    triggers = {fire.trigger: model.Firing(fire.rule, fire.at) for fire in fires}
    assert len(triggers) == len(fires)
    seen = [
        model.Happening(e.n, e.name, e.timestamp, e.arrived, e.properties, e.trusted)
        for e in (step.event for step in steps)
        if e is not None
    ]
    expected = [
        firing
        for document, rule in compiled
        for firing in model.firings(document, rule.live_since, seen, UNTIL, triggers)
    ]
    assert sorted(triggers.values()) == sorted(expected)


@quick
@given(RULES, happenings(), st.data())
def test_neither_batches_nor_restarts_nor_extra_timers_matter(
    rules: list[tuple[dict[str, Any], int]], events: list[HistoryEvent], data: st.DataObject
) -> None:
    live = [rule for _, rule in written(rules)]
    steps, one_by_one = told(live, events)
    shopper = Shopper()
    batch: list[Step] = []
    for step in steps:
        if batch and data.draw(st.booleans(), label="cut"):
            shopper.go_through(live, batch)
            batch = []
            if shopper.wake is not None and shopper.wake < step.at and data.draw(st.booleans(), label="timer"):
                batch.append(Step(shopper.wake))
        batch.append(step)
    shopper.go_through(live, batch)
    assert summary(shopper.fires) == summary(one_by_one)


@quick
@given(RULES, happenings(), st.data())
def test_a_replica_that_does_not_know_a_rule_yet_delays_it_and_changes_nothing(
    rules: list[tuple[dict[str, Any], int]], events: list[HistoryEvent], data: st.DataObject
) -> None:
    """Except for the profile, of which no history is kept."""
    live = [rule for _, rule in written(rules)]
    steps, one_by_one = told(live, [event for event in events if event.name != "identify"])
    shopper = Shopper()
    for step in steps[:-1]:
        known = [rule for rule in live if data.draw(st.booleans(), label=f"knows {rule.rule.id}")]
        shopper.go_through(known, [step])
    shopper.go_through(live, steps[-1:])
    assert summary(shopper.fires) == summary(one_by_one)


@quick
@given(RULES, happenings())
def test_wakes_move_forward_and_end(rules: list[tuple[dict[str, Any], int]], events: list[HistoryEvent]) -> None:
    live = [rule for _, rule in written(rules)]
    shopper = Shopper()
    shopper.go_through(live, [Step(event.arrived, event) for event in events])
    at = events[-1].arrived if events else -1
    looks = 0
    while shopper.wake is not None:
        assert shopper.wake > at
        at = shopper.wake
        shopper.go_through(live, [Step(at)])
        looks += 1
        assert looks < 500
