from services.state.clock import DatabaseClock
from shared.clock import SECOND, Lapse


class Machine:
    def __init__(self) -> None:
        self.wall = 1_700_000_000 * SECOND
        self.mono = 0

    def now(self) -> int:
        return self.wall

    def monotonic(self) -> int:
        return self.mono

    def advance(self, by: int) -> None:
        self.wall += by
        self.mono += by


def test_it_follows_the_databases_clock_as_far_as_the_round_trip_can_tell() -> None:
    machine = Machine()
    clock = DatabaseClock(machine=machine, monotonic=machine.monotonic)
    asked = machine.mono
    machine.advance(2000)
    clock.observe(machine.wall - 1000 + 5 * SECOND, asked, machine.mono)
    assert clock.now() == machine.wall + 5 * SECOND - 1000


def test_a_slow_answer_corrects_nothing_it_cannot_know() -> None:
    machine = Machine()
    clock = DatabaseClock(machine=machine, monotonic=machine.monotonic)
    asked = machine.mono
    machine.advance(2 * SECOND)
    clock.observe(machine.wall, asked, machine.mono)
    assert clock.now() == machine.wall


def test_it_never_goes_back() -> None:
    machine = Machine()
    clock = DatabaseClock(machine=machine, monotonic=machine.monotonic)
    before = clock.now()
    clock.observe(machine.wall - 10 * SECOND, machine.mono, machine.mono)
    assert clock.now() == before
    machine.advance(11 * SECOND)
    assert clock.now() == before + SECOND


def test_a_step_of_the_machines_clock_changes_nothing() -> None:
    machine = Machine()
    clock = DatabaseClock(machine=machine, monotonic=machine.monotonic)
    before = clock.now()
    machine.wall += 3600 * SECOND
    machine.mono += SECOND
    assert clock.now() == before + SECOND


def test_in_a_time_lapse_it_runs_faster_from_the_start_on() -> None:
    machine = Machine()
    clock = DatabaseClock(Lapse(machine.wall, 600), machine, machine.monotonic)
    before = clock.now()
    machine.advance(2 * SECOND)
    assert clock.now() - before == 1200 * SECOND
    assert Lapse(1000, 600).instant(995) == 995
    assert Lapse().instant(12345) == 12345
