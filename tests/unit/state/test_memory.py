"""What of a history the rules need."""

from msgspec import Raw

from services.state.memory import Memory, Remembered
from shared.clock import HOUR, MINUTE
from shared.messages import Interest, Need

NOW = 1000 * HOUR


def history(*events: tuple[str, int]) -> list[Remembered]:
    """(name, instant), in order."""
    return [Remembered(n, f"e{n}", name, at, at, Raw(b"\x80")) for n, (name, at) in enumerate(events, 1)]


def kept(needs: list[Need], *events: tuple[str, int], margin: int = 0, since: int = NOW) -> list[int]:
    return [event.n for event in Memory(Interest(1, 1, needs), margin).needed(history(*events), since)]


def test_as_long_as_nothing_is_known_everything_is_needed() -> None:
    assert len(Memory().needed(history(("a", 1), ("b", 2)), NOW)) == 2
    assert Memory().concerns("anything")


def test_a_horizon_excludes_its_bound_as_a_window_does() -> None:
    needs = [Need("a", horizon=HOUR)]
    assert kept(needs, ("a", NOW - HOUR), ("a", NOW - HOUR + 1), ("b", NOW)) == [2]
    assert kept(needs, ("a", NOW - HOUR), ("a", NOW - HOUR + 1), margin=MINUTE) == [1, 2]


def test_the_last_so_many_are_enough() -> None:
    assert kept([Need("a", last=2)], ("a", 1), ("a", 2), ("b", 3), ("a", 4)) == [2, 4]
    assert kept([Need("a", last=0)], ("a", 1)) == []


def test_any_activity_is_what_the_person_did() -> None:
    needs = [Need(None, last=1)]
    assert kept(needs, ("a", 1), ("b", 2), ("email_sent", 3), ("identify", 4)) == [2]
    memory = Memory(Interest(1, 1, needs))
    assert memory.concerns("a")
    assert not memory.concerns("email_sent")


def test_what_is_dated_ahead_does_not_replace_the_last_one_yet() -> None:
    assert kept([Need("a", last=1)], ("a", NOW - 5), ("a", NOW + 5)) == [1, 2]


def test_what_came_lately_does_not_replace_it_for_a_rule_that_began_before() -> None:
    needs = [Need("a", last=1)]
    assert kept(needs, ("a", 1), ("a", NOW - HOUR), ("a", NOW - 5), margin=MINUTE) == [2, 3]


def test_needs_add_up() -> None:
    needs = [Need("a", last=1), Need("a", horizon=HOUR), Need("b")]
    assert kept(needs, ("a", 1), ("b", 2), ("a", NOW - 3 * HOUR), ("a", NOW - 5), ("a", NOW - 4)) == [2, 4, 5]
