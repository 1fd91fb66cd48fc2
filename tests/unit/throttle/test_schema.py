"""The JSON Schema of a policy: what the parser takes it takes, and what editors should mark it refuses."""

import json
from typing import Any

import msgspec
import pytest
from jsonschema import Draft202012Validator
from typer.testing import CliRunner

from services.cli.policy import app
from services.throttle.document import PolicyError, read
from services.throttle.policies import DEFAULT_DOCUMENT
from services.throttle.schema import policy_schema
from shared import markup
from tests.support.stack import ROOT

SCHEMA = policy_schema()
VALIDATOR = Draft202012Validator(SCHEMA)

HOURS = {"from": "21:00", "to": "08:00"}
CAP = {"max": 1, "per": "24h", "scope": "rule"}


def policy(**more: Any) -> dict[str, Any]:
    return {"caps": [], **more}


def parser_takes(document: Any) -> bool:
    try:
        read(msgspec.json.encode(document).decode())
    except PolicyError:
        return False
    return True


def test_it_is_a_schema_of_draft_2020_12() -> None:
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    Draft202012Validator.check_schema(SCHEMA)


TAKEN = [
    policy(),
    policy(caps=[CAP, {"max": 5, "per": "1d12h", "scope": "all"}, {"max": 5, "per": "366d", "scope": "category"}]),
    policy(quiet_hours=HOURS),
    policy(quiet_hours={**HOURS, "then": "drop", "except": ["transactional"], "timezone": "profile.home.zone"}),
    policy(quiet_hours={"from": "00:00", "to": "23:59", "default_timezone": "Europe/Berlin"}),
    policy(windows=[]),
    policy(
        windows=[HOURS, {**HOURS, "days": "mon-fri"}, {**HOURS, "days": ["sat", "sun-mon"], "categories": ["a_b-c"]}]
    ),
    policy(windows=[{"from": "00:00", "to": "24:00"}]),
    policy(spacing="4h"),
    policy(spacing={"least": "4h"}),
    policy(spacing={"least": "4h", "scope": "category", "then": "drop"}),
    policy(settle="0s"),
    policy(settle="10m", timezone="profile.tz", default_timezone="Asia/Tokyo"),
    markup.load(DEFAULT_DOCUMENT),
    markup.load((ROOT / "examples/policy.yaml").read_text(encoding="utf-8")),
]


@pytest.mark.parametrize("document", TAKEN)
def test_it_takes_what_the_parser_takes(document: Any) -> None:
    assert parser_takes(document)
    VALIDATOR.validate(document)


REFUSED = [
    [],
    {},
    policy(cap=[]),
    policy(caps={}),
    policy(caps=[7]),
    *(policy(caps=[{key: value for key, value in CAP.items() if key != gone}]) for gone in CAP),
    policy(caps=[{**CAP, "max": 0}]),
    policy(caps=[{**CAP, "max": "1"}]),
    policy(caps=[{**CAP, "max": True}]),
    policy(caps=[{**CAP, "per": 24}]),
    policy(caps=[{**CAP, "per": "24x"}]),
    policy(caps=[{**CAP, "per": ""}]),
    policy(caps=[{**CAP, "scope": "person"}]),
    policy(caps=[{**CAP, "extra": 1}]),
    policy(quiet_hours="night"),
    policy(quiet_hours={"from": "21:00"}),
    policy(quiet_hours={**HOURS, "to": "8:00"}),
    policy(quiet_hours={**HOURS, "to": "24:01"}),
    policy(quiet_hours={**HOURS, "to": 480}),
    policy(quiet_hours={**HOURS, "then": "wait"}),
    policy(quiet_hours={**HOURS, "except": "nudge"}),
    policy(quiet_hours={**HOURS, "except": []}),
    policy(quiet_hours={**HOURS, "except": ["a b"]}),
    policy(quiet_hours={**HOURS, "days": ["mon"]}),
    policy(windows={}),
    policy(windows=[7]),
    policy(windows=[{"from": "09:00"}]),
    policy(windows=[{**HOURS, "days": ["montag"]}]),
    policy(windows=[{**HOURS, "days": []}]),
    policy(windows=[{**HOURS, "days": "mon-"}]),
    policy(windows=[{**HOURS, "categories": [1]}]),
    policy(spacing=4),
    policy(spacing={"scope": "all"}),
    policy(spacing={"least": "4h", "scope": "rule"}),
    policy(settle=2),
    policy(settle="1.5h"),
    policy(timezone=1),
]


@pytest.mark.parametrize("document", REFUSED)
def test_it_refuses_what_the_parser_refuses(document: Any) -> None:
    assert not parser_takes(document)
    assert not VALIDATOR.is_valid(document)


def test_the_schema_that_editors_read_is_the_current_one() -> None:
    """After a change: ``beckon policy schema > docs/policy.schema.json``."""
    said = CliRunner().invoke(app, ["schema"]).stdout
    assert json.loads(said) == json.loads(json.dumps(SCHEMA))
    assert (ROOT / "docs/policy.schema.json").read_text(encoding="utf-8") == said
