"""An endpoint that does not answer gets less to do, and is tried again."""

from services.webhook.circuit import FAILURES, SHUT_FIRST, SHUT_LONGEST, Circuit, after, room
from shared.clock import HOUR, SECOND


def troubled(circuit: Circuit, now: int, times: int = 1) -> Circuit:
    for _ in range(times):
        circuit = after(circuit, "troubled", now)
    return circuit


def test_a_whole_circuit_has_all_its_places() -> None:
    assert [room(Circuit(), busy, 8, HOUR) for busy in (0, 3, 8, 9)] == [8, 5, 0, 0]
    assert room(troubled(Circuit(), HOUR, FAILURES - 1), 0, 8, HOUR) == 8


def test_failures_in_a_row_shut_it_and_then_one_call_at_a_time_is_tried() -> None:
    circuit = troubled(Circuit(), HOUR, FAILURES)
    assert [room(circuit, 0, 8, HOUR + wait) for wait in (0, SHUT_FIRST - 1, SHUT_FIRST)] == [0, 0, 1]
    assert room(circuit, 1, 8, HOUR + SHUT_FIRST) == 0


def test_what_was_under_way_when_it_shut_says_nothing_new() -> None:
    circuit = troubled(Circuit(), HOUR, FAILURES)
    assert troubled(circuit, HOUR + SECOND, 3) == circuit


def test_it_shuts_for_longer_each_time_up_to_a_bound() -> None:
    circuit, now, waits = troubled(Circuit(), HOUR, FAILURES), HOUR, []
    for _ in range(8):
        waits.append(circuit.shut_until - now)
        now = circuit.shut_until
        circuit = troubled(circuit, now)
    assert waits == [min(SHUT_FIRST * 2**n, SHUT_LONGEST) for n in range(8)]
    assert waits[-1] == SHUT_LONGEST


def test_an_answer_makes_it_whole() -> None:
    broken = troubled(Circuit(), HOUR, FAILURES)
    assert after(broken, "taken", HOUR + SHUT_FIRST) == Circuit()
    assert after(broken, "refused", HOUR + SHUT_FIRST) == Circuit(), "a 404 comes from one that is well"


def test_whoever_says_when_to_come_back_is_left_alone_until_then() -> None:
    circuit = after(Circuit(), "troubled", HOUR, retry_after=30 * SECOND)
    assert (room(circuit, 0, 8, HOUR + 29 * SECOND), room(circuit, 0, 8, HOUR + 30 * SECOND)) == (0, 8)
    longer = after(circuit, "troubled", HOUR + SECOND, retry_after=60 * SECOND)
    assert longer == Circuit(1, HOUR + 61 * SECOND)
