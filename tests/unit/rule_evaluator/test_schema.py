"""The JSON Schema of a rule document: what the parser takes it takes, and what editors should mark it refuses."""

import json
from collections.abc import Iterator
from random import Random
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator

from services.rule_evaluator.document import KEYS, STATUSES, parse_document
from services.rule_evaluator.heads import HEADS
from services.rule_evaluator.schema import rule_schema
from services.rule_evaluator.values import COMPARISONS
from shared import markup
from tests.property import cases
from tests.support.stack import ROOT

SCHEMA = rule_schema()
VALIDATOR = Draft202012Validator(SCHEMA)
EXAMPLES = sorted((ROOT / "examples/rules").glob("*.yaml"))
WORLDS = 300


def rule(**more: Any) -> dict[str, Any]:
    return {"id": "r", "when": {"event": "a"}, "action": {"email": {"template": "t"}}, **more}


def when(condition: Any) -> dict[str, Any]:
    return rule(when=condition)


def parser_takes(document: Any) -> bool:
    return parse_document(msgspec.json.encode(document).decode()).rule is not None


# --- The schema itself ------------------------------------------------------------------------------------------------


def test_it_is_a_schema_of_draft_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMA)


def test_it_can_be_written_as_json() -> None:
    assert msgspec.json.decode(msgspec.json.encode(SCHEMA)) == SCHEMA


def references(schema: Any) -> Iterator[str]:
    if isinstance(schema, list):
        for part in schema:
            yield from references(part)
    elif isinstance(schema, dict):
        if isinstance(target := schema.get("$ref"), str):
            yield target
        for part in schema.values():
            yield from references(part)


def test_every_reference_leads_somewhere_and_every_definition_is_used() -> None:
    assert set(references(SCHEMA)) == {f"#/$defs/{name}" for name in SCHEMA["$defs"]}


# --- Nothing is missing -----------------------------------------------------------------------------------------------


def test_every_key_of_a_document_is_there() -> None:
    assert tuple(SCHEMA["properties"]) == KEYS
    assert SCHEMA["properties"]["status"]["enum"] == list(STATUSES)


def test_every_head_is_there_with_all_its_options() -> None:
    heads = SCHEMA["$defs"]["condition"]["oneOf"]
    assert [tuple(head["properties"]) for head in heads] == [(name, *head.options) for name, head in HEADS.items()]
    assert [head["required"][0] for head in heads] == list(HEADS)


def test_every_comparison_is_there() -> None:
    (_, written) = SCHEMA["$defs"]["test"]["anyOf"]
    assert tuple(written["properties"]) == tuple(COMPARISONS)


# --- What the parser takes --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_it_takes_every_shipped_rule(path: Any) -> None:
    VALIDATOR.validate(markup.load(path.read_text(encoding="utf-8")))


def test_there_are_shipped_rules() -> None:
    assert len(EXAMPLES) >= 12


WHOLE = rule(
    name="A name",
    status="test",
    reentry="never",
    expires="2h30m",
    verify=False,
    holdout="2.5%",
    throttle={"category": "nudge", "priority": -1000},
    action={"email": {"template": "cart-reminder", "coupon": "winback-10"}},
)

HOOK = {"url": "https://crm.example.com/hooks?a=1", "secret": "crm"}

TAKEN = [
    rule(),
    rule(action={"webhook": HOOK}),
    rule(action={"email": {"template": "t"}, "webhook": HOOK}),
    WHOLE,
    rule(holdout=0),
    rule(holdout="100%"),
    rule(reentry="0s"),
    when({"event": "Order Completed"}),
    when({"event": "x" * 64}),
    when({"event": "a", "count": 2}),
    when({"event": "a", "count": {"gte": 1.5, "not_in": [3, 4]}}),
    when({"event": "a", "where": {"$trusted": True, "p": "x", "q": {"exists": False}}}),
    when({"event": "a", "where": {"p": {"in": ["a", 1, True], "starts_with": "x", "contains": 1, "ne": 2}}}),
    when({"event": "a", "where": {}}),
    when({"event": "a", "since": "activity", "within": "3650d", "distinct": "p"}),
    when({"elapsed": "0s", "since": "activity", "where": {"p": {"gte": "a"}}}),
    when({"sequence": [{"event": "a"}, {"event": "b", "where": {"p": 1}}], "within": "1s"}),
    when({"profile": "a.b", "gte": 1, "lt": 2}),
    when({"profile": "a", "exists": False}),
    when({"any": [{"all": [{"not": {"event": "a"}}]}]}),
]


@pytest.mark.parametrize("document", TAKEN)
def test_it_takes_what_the_parser_takes(document: Any) -> None:
    assert parser_takes(document)
    VALIDATOR.validate(document)


@pytest.mark.parametrize("share", ["5%", "0.5%", ".5%", "5.%", "1e1%", "5_0%", "+5%", " 5%", "5 %", "0x5%"])
def test_it_takes_the_same_shares_as_the_parser(share: str) -> None:
    assert VALIDATOR.is_valid(rule(holdout=share)) == parser_takes(rule(holdout=share))


def test_it_takes_whatever_rule_a_random_world_holds() -> None:
    for seed in range(WORLDS):
        document, _ = cases.world(Random(seed)).rules[0]
        assert [error.message for error in VALIDATOR.iter_errors(document)] == [], f"seed {seed}: {document}"


# --- What the parser refuses ------------------------------------------------------------------------------------------

REFUSED = [
    [],
    "text",
    {},
    {"id": "r", "when": {"event": "a"}},
    {"id": "r", "action": {"email": {"template": "t"}}},
    {"when": {"event": "a"}, "action": {"email": {"template": "t"}}},
    rule(nmae="x"),
    rule(id="Cart"),
    rule(id=7),
    rule(id="x" * 65),
    rule(name=""),
    rule(name="x" * 201),
    rule(status="alive"),
    rule(status=True),
    rule(reentry="sometimes"),
    rule(reentry=30),
    rule(expires="30x"),
    rule(expires=""),
    rule(expires=[]),
    rule(verify="yes"),
    rule(holdout="5"),
    rule(holdout=5),
    rule(holdout="five%"),
    rule(throttle="nudge"),
    rule(throttle={"catgory": "nudge"}),
    rule(throttle={"priority": 1.5}),
    rule(throttle={"priority": 1001}),
    rule(throttle={"category": "a b"}),
    rule(action={}),
    rule(action={"sms": {}}),
    rule(action={"email": {"template": "t"}, "sms": {}}),
    rule(action={"email": {}}),
    rule(action={"email": "t"}),
    rule(action={"email": {"template": "a/b"}}),
    rule(action={"email": {"template": "t", "colour": "red"}}),
    rule(action={"webhook": {"url": HOOK["url"]}}),
    rule(action={"webhook": {**HOOK, "url": "ftp://crm.example.com"}}),
    rule(action={"webhook": {**HOOK, "url": "https://crm.example.com/a b"}}),
    rule(action={"webhook": {**HOOK, "secret": "whsec_a+b/c="}}),
    when({}),
    when([]),
    when({"evnt": "a"}),
    when({"event": 7}),
    when({"event": ""}),
    when({"event": "a/b"}),
    when({"event": "x" * 65}),
    when({"event": "a", "elapsed": "1h", "since": "a"}),
    when({"event": "a", "withn": "1h"}),
    when({"event": "a", "within": "1x"}),
    when({"event": "a", "within": 60}),
    when({"event": "a", "since": ["a"]}),
    when({"event": "a", "same": ""}),
    when({"event": "a", "same": "p", "sum": "q"}),
    when({"event": "a", "distinct": "p", "same": "q"}),
    when({"event": "a", "count": "2"}),
    when({"event": "a", "count": True}),
    when({"event": "a", "count": {}}),
    when({"event": "a", "count": {"contains": 1}}),
    when({"event": "a", "count": {"gte": "2"}}),
    when({"event": "a", "where": []}),
    when({"event": "a", "where": {"p": []}}),
    when({"event": "a", "where": {"p": {}}}),
    when({"event": "a", "where": {"p": {"eqq": 1}}}),
    when({"event": "a", "where": {"p": {"eq": [1]}}}),
    when({"event": "a", "where": {"p": {"in": 1}}}),
    when({"event": "a", "where": {"p": {"in": []}}}),
    when({"event": "a", "where": {"p": {"in": [[1]]}}}),
    when({"event": "a", "where": {"p": {"gt": True}}}),
    when({"event": "a", "where": {"p": {"exists": "no"}}}),
    when({"event": "a", "where": {"p": {"starts_with": ""}}}),
    when({"event": "a", "where": {"p": {"starts_with": 1}}}),
    when({"all": []}),
    when({"any": {"event": "a"}}),
    when({"all": [{"event": "a"}, {"evnt": "b"}]}),
    when({"not": [{"event": "a"}]}),
    when({"elapsed": "30m"}),
    when({"elapsed": "30x", "since": "a"}),
    when({"elapsed": "30m", "since": "a", "within": "1h"}),
    when({"sequence": [{"event": "a"}]}),
    when({"sequence": [], "within": "1h"}),
    when({"sequence": [{"event": "a", "within": "1h"}], "within": "1h"}),
    when({"sequence": [{"where": {}}], "within": "1h"}),
    when({"sequence": ["a"], "within": "1h"}),
    when({"profile": "country"}),
    when({"profile": "", "eq": 1}),
    when({"profile": "country", "is": "AT"}),
    when({"profile": "country", "gte": True}),
]


@pytest.mark.parametrize("document", REFUSED)
def test_it_refuses_what_the_parser_refuses(document: Any) -> None:
    assert not parser_takes(document)
    assert not VALIDATOR.is_valid(document)


def test_the_schema_that_editors_read_is_the_current_one() -> None:
    """After a change: ``beckon rules schema > docs/rule.schema.json``."""
    committed = json.loads((ROOT / "docs/rule.schema.json").read_text(encoding="utf-8"))
    assert committed == json.loads(json.dumps(rule_schema()))
