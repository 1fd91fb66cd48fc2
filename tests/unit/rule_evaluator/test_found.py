"""Counterexamples that the property tests found, told as histories. Each was wrong once."""

from services.state.memory import Memory, Remembered
from shared.clock import SECOND
from shared.messages import Event, Interest
from tests.property.worlds import Service
from tests.unit.rule_evaluator.shopper import Shopper, rule


def event(name: str, n: int, timestamp_s: int, arrived_s: int) -> tuple[Event, int]:
    return Event(f"e{n}", "ada", name, timestamp_s * SECOND, arrived_s * SECOND), arrived_s * SECOND


def test_what_is_dated_ahead_does_not_hide_the_last_one_from_the_evaluator() -> None:
    """Seed 662: the one event kept for ``elapsed`` was the one that had not happened yet."""
    service = Service([rule({"elapsed": "2s", "since": "activity"})], recent=0)
    for happening in (event("a", 1, 4, 3), event("a", 2, 7, 4), event("b", 3, 9, 9)):
        service.turn("ada", [happening])
    assert [fire.at // SECOND for fire in service.fires] == [6, 9]


def test_a_rule_that_begins_keeps_the_change_it_found_for_its_first_look() -> None:
    """Seed 71: the change found at the beginning was not waited for, if the first look found the same."""
    ada = Shopper(rule({"elapsed": "5s", "since": "a"}, live_since=3 * SECOND))
    ada.does("a", at=1 * SECOND)
    ada.does("b", at=4 * SECOND)
    ada.waits(100 * SECOND)
    assert ada.fired == [6 * SECOND]


def test_an_evaluator_that_learns_of_a_rule_late_is_sent_what_was_the_last_one_then() -> None:
    """Of a rule that counts the last event only, the one before it was not sent, though the rule had begun before."""
    history = [Remembered(n, f"e{n}", "a", n * SECOND, n * SECOND, b"\x80") for n in (1, 50)]  # type: ignore[arg-type]
    needs = [*rule({"elapsed": "30s", "since": "a"}).rule.when.needs()]
    assert len(Memory(Interest(1, 1, needs)).needed(history, 55 * SECOND)) == 2
