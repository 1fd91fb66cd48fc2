"""What goes with what: sessions, decay, scores. Given visits, expect pairs; given pairs, expect products."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mailer.catalogue.recommend import (
    HALF_LIFE,
    LANDMARK,
    SESSION_GAP,
    SESSION_ITEMS,
    SHRINKAGE,
    Session,
    gain,
    join,
    recommended,
    scored,
    similarity,
)
from shared.clock import DAY, MINUTE

NOW = LANDMARK + 300 * DAY


def visit(
    *products: str, session: Session | None = None, at: int = NOW
) -> tuple[Session, list[str], set[frozenset[str]]]:
    """The session after the products were looked at one after the other, what was new to it, and the pairs they made."""
    new: list[str] = []
    pairs: list[frozenset[str]] = []
    for product in products:
        joined = join(session, [product], at)
        session, new = joined.session, [*new, *joined.new]
        pairs += map(frozenset, joined.pairs)
    assert session is not None
    assert len(pairs) == len(set(pairs)), "each pair once"
    return session, new, set(pairs)


def test_each_pair_of_a_session_counts_once_however_often_it_is_seen() -> None:
    session, new, pairs = visit("a", "b", "a", "c", "b")
    assert session.items == ("b", "c", "a")
    assert new == ["a", "b", "c"]
    assert pairs == {frozenset("ab"), frozenset("ac"), frozenset("bc")}


@pytest.mark.parametrize("away", [SESSION_GAP + 1, -SESSION_GAP - 1])
def test_a_new_session_begins_after_half_an_hour_and_for_what_is_told_much_later(away: int) -> None:
    session, _, _ = visit("a")
    assert join(session, ["b"], NOW + away) == (Session(("b",), NOW + away), ("b",), ())
    assert join(session, ["b"], NOW + 30 * MINUTE).pairs == (("b", "a"),)


def test_what_is_listed_together_goes_together() -> None:
    assert set(map(frozenset, join(None, ["a", "b", "c"], NOW).pairs)) == {
        frozenset("ab"),
        frozenset("ac"),
        frozenset("bc"),
    }


def test_a_session_remembers_its_latest_products() -> None:
    session, _, pairs = visit(*"abcdefghijklmnopqrstuvwxyz")
    assert session.items == tuple("zyxwvutsrqponmlkjihgfedcba"[:SESSION_ITEMS])
    assert frozenset("az") not in pairs


def test_a_session_counts_half_as_much_after_each_half_life() -> None:
    assert gain(NOW) / gain(NOW + HALF_LIFE) == pytest.approx(0.5)
    assert gain(LANDMARK) == 1
    assert gain(LANDMARK + 10**6 * DAY) < float("inf"), "nor is any instant too late"
    assert gain(0) > 0


def test_what_everybody_looks_at_goes_with_nothing_in_particular() -> None:
    counts = gain(NOW)
    rare = similarity(20 * counts, 25 * counts, 25 * counts, NOW)
    popular = similarity(20 * counts, 25 * counts, 2500 * counts, NOW)
    assert rare > 5 * popular


def test_a_pair_that_was_hardly_seen_is_held_back() -> None:
    counts = gain(NOW)
    assert similarity(counts * SHRINKAGE, counts, counts, NOW) == pytest.approx(0.5)
    assert similarity(50 * counts, 50 * counts, 50 * counts, NOW) > 0.95
    assert similarity(50 * counts, 50 * counts, 50 * counts, NOW + 12 * HALF_LIFE) < 0.02, "a year ago is hardly"


def test_the_latest_products_count_most_and_what_goes_with_several_is_better() -> None:
    neighbours = {"a": [("x", 0.4), ("z", 0.3)], "b": [("y", 0.4), ("z", 0.3)]}
    scores = scored(neighbours, ["a", "b", "unknown"])
    assert sorted(scores, key=lambda product: -scores[product]) == ["z", "x", "y"]


def test_popular_products_of_the_categories_then_of_all_fill_up() -> None:
    popular = {"cups": ["c1", "c2"], "": ["p1", "c1", "p2"]}
    assert recommended({"x": 0.1, "y": 0.2}, ["cups", "none"], popular, set()) == ["y", "x", "c1", "c2", "p1", "p2"]
    assert recommended({"x": 0.1}, [], popular, {"x", "p1"}) == ["c1", "p2"]
    assert recommended({}, [], {}, set()) == []


@given(
    scores=st.dictionaries(st.sampled_from("abcdefgh"), st.floats(0, 1)),
    popular=st.dictionaries(st.sampled_from(["", "k"]), st.lists(st.sampled_from("abcdefgh"))),
    refused=st.sets(st.sampled_from("abcdefgh")),
)
def test_never_more_than_six_none_twice_and_none_that_is_refused(
    scores: dict[str, float], popular: dict[str, list[str]], refused: set[str]
) -> None:
    found = recommended(scores, ["k"], popular, refused)
    assert len(found) == len(set(found)) <= 6
    assert not refused & set(found)
    assert set(found) >= (set(scores) - refused) or len(found) == 6


@given(st.lists(st.tuples(st.sampled_from("abcdefghijklmnop"), st.integers(0, 90)), max_size=40))
def test_pairs_are_the_same_however_events_come_in_parts(steps: list[tuple[str, int]]) -> None:
    """A session is all that is remembered between two events."""
    at, session, pairs = NOW, None, []
    for product, minutes in steps:
        at += minutes * MINUTE
        joined = join(session, [product], at)
        session = Session(tuple(joined.session.items), joined.session.at)
        pairs += joined.pairs
        assert len(session.items) == len(set(session.items)) <= SESSION_ITEMS
    assert all(one != other for one, other in pairs)
