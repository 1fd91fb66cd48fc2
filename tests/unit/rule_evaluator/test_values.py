"""Every test at its boundaries, on every kind of value."""

from typing import Any

import pytest

from services.rule_evaluator.heads import parse_test
from services.rule_evaluator.values import dotted, identity
from shared.places import Place

MISSING = None


def passes(test: Any, value: Any) -> bool:
    errors: list[str] = []
    parsed = parse_test(Place(test, "test", errors))
    assert parsed is not None, errors
    return parsed.compile()(value)


@pytest.mark.parametrize(
    ("test", "passing", "failing"),
    [
        ("DE", ["DE"], ["de", "DEU", 1, True, ["DE"], MISSING]),
        (1, [1, 1.0], [2, True, "1", MISSING]),
        (True, [True], [False, 1, "true", MISSING]),
        ({"eq": 2.5}, [2.5], [2, "2.5", MISSING]),
        ({"ne": 1}, [2, 1.5, "1", True, [1], {"x": 1}], [1, 1.0, MISSING]),
        ({"ne": True}, [False, 1, "true"], [True, MISSING]),
        ({"gt": 5}, [6, 5.01], [5, 4, "6", True, [6], MISSING]),
        ({"gte": 5}, [5, 5.0, 6], [4.99, "5", MISSING]),
        ({"lt": 5}, [4, -1, 4.99], [5, "4", False, MISSING]),
        ({"lte": 5}, [5, 4], [5.01, "5", True, MISSING]),
        ({"gte": "b"}, ["b", "c", "ba"], ["a", "B", 5, MISSING]),
        ({"gte": "2026-01-31"}, ["2026-01-31", "2026-02-01"], ["2026-01-30", 20260201]),
        ({"in": ["DE", 1]}, ["DE", 1, 1.0], ["AT", True, "1", ["DE"], MISSING]),
        ({"not_in": ["DE", 1]}, ["AT", True, "1", ["DE"]], ["DE", 1, 1.0, MISSING]),
        ({"contains": "an"}, ["banana", "an", ["an", 1]], ["An", ["banana"], 5, {"an": 1}, MISSING]),
        ({"contains": 1}, [[1, 2], [1.0]], [[True], ["1"], "1", 1, MISSING]),
        ({"starts_with": "shoe"}, ["shoes", "shoe"], ["a shoe", "Shoe", ["shoe"], 5, MISSING]),
        ({"exists": True}, [0, "", False, []], [MISSING]),
        ({"exists": False}, [MISSING], [0, "", False, []]),
        ({"gte": 1, "lt": 5}, [1, 4.9], [0, 5, "2", MISSING]),
        ({"exists": False, "eq": 1}, [], [1, MISSING]),
        ({"exists": True, "starts_with": "a"}, ["ab"], ["b", MISSING]),
    ],
)
def test_tests(test: Any, passing: list[Any], failing: list[Any]) -> None:
    assert [value for value in passing if not passes(test, value)] == []
    assert [value for value in failing if passes(test, value)] == []


def test_values_of_one_group() -> None:
    assert identity(1) == identity(1.0) != identity(True)
    assert identity("1") != identity(1)
    assert identity([1, {"a": True}]) == identity([1.0, {"a": True}]) != identity([1, {"a": 1}])
    assert len({identity([1]), identity((1,)), identity({"a": [1]})}) == 3


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("country", "DE"),
        ("address.city", "Graz"),
        ("address.geo.lat", 47.1),
        ("plan.name", "literal wins"),
        ("plan.price", MISSING),
        ("address.zip", MISSING),
        ("country.code", MISSING),
        ("nothing", MISSING),
    ],
)
def test_dotted_paths(path: str, found: Any) -> None:
    profile = {
        "country": "DE",
        "address": {"city": "Graz", "geo": {"lat": 47.1}},
        "plan.name": "literal wins",
        "plan": {},
    }
    assert dotted(profile, path) == found
