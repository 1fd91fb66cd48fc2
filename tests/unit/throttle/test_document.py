"""A policy as people write it, and what they are told when it is wrong."""

from pathlib import Path

import pytest

from services.throttle.document import PolicyError, read
from services.throttle.policies import DEFAULT_DOCUMENT
from services.throttle.policy import DEFAULT, Cap, Policy
from shared.clock import DAY, HOUR, MINUTE

EXAMPLE = Path(__file__).parents[3] / "examples" / "policy.yaml"


def errors_of(document: str) -> list[str]:
    with pytest.raises(PolicyError) as caught:
        read(document)
    return caught.value.errors


def test_the_example_is_read() -> None:
    policy = read(EXAMPLE.read_text())
    assert policy == Policy((Cap(1, DAY, "rule"), Cap(2, DAY, "all"), Cap(5, 7 * DAY, "category")))


def test_json_is_read_too() -> None:
    policy = read('{"caps": [{"max": 3, "per": "2h30m", "scope": "all"}]}')
    assert policy == Policy((Cap(3, 2 * HOUR + 30 * MINUTE, "all"),))


def test_no_caps_must_be_said() -> None:
    assert read("caps: []") == Policy(())
    assert errors_of("{}") == ["caps: expected a list; write `caps: []` for no caps at all"]


def test_the_default_as_shown_is_the_default() -> None:
    assert read(DEFAULT_DOCUMENT) == DEFAULT


def test_every_flaw_is_told_with_its_path() -> None:
    document = """
    caps:
      - {max: 0, per: 24h, scope: rule}
      - {max: 1, per: 30x, scope: rule}
      - {max: 1, per: 24h, scope: person, extra: 1}
      - 7
    cap: []
    """
    assert errors_of(document) == [
        "cap: unknown; a policy has `caps`, `quiet_hours`, `windows`, `spacing`, `settle`, `timezone` and `default_timezone`",
        "caps[0].max: 0 is not a whole number of at least 1",
        "caps[1].per: '30x' is not a duration, try 30m",
        "caps[2].extra: unknown; a cap has `max`, `per` and `scope`",
        "caps[2].scope: 'person' is not one of rule, all, category",
        "caps[3]: expected a mapping like {max: 1, per: 24h, scope: rule}",
    ]


@pytest.mark.parametrize("per", ["''", "24", "0s", "-1h", "999999d", "1.5h", "h", "[]", "9" * 40 + "d"])
def test_what_is_no_duration(per: str) -> None:
    (error,) = errors_of(f"caps: [{{max: 1, per: {per}, scope: all}}]")
    assert error.startswith("caps[0].per: ")


@pytest.mark.parametrize("most", ["true", "1.5", "'1'", "null"])
def test_what_is_no_number(most: str) -> None:
    (error,) = errors_of(f"caps: [{{max: {most}, per: 24h, scope: all}}]")
    assert error.startswith("caps[0].max: ")


@pytest.mark.parametrize("scope", ["[]", "{}", "null", "1"])
def test_what_is_no_scope(scope: str) -> None:
    (error,) = errors_of(f"caps: [{{max: 1, per: 24h, scope: {scope}}}]")
    assert error.startswith("caps[0].scope: ")


@pytest.mark.parametrize(
    "document", ["", "7", "[]", "caps: [", "{" * 5000, "x" * 100_000, "!!python/object:os.system {}"]
)
def test_what_is_no_policy_at_all(document: str) -> None:
    (error,) = errors_of(document)
    assert error.startswith("policy: ")
