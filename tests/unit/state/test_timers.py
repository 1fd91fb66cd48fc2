from services.state.timers import Timers


def test_timers_come_in_the_order_they_are_due() -> None:
    timers = Timers()
    for person, due in (("c", 3), ("a", 1), ("b", 2)):
        timers.arm(person, due)
    assert timers.next_due() == 1
    assert timers.pop(now=2, limit=10) == [("a", 1), ("b", 2)]
    assert timers.next_due() == 3
    assert len(timers) == 1


def test_arming_again_replaces() -> None:
    timers = Timers()
    timers.arm("a", 1)
    timers.arm("a", 5)
    assert timers.pop(now=4, limit=10) == []
    assert timers.pop(now=5, limit=10) == [("a", 5)]
    assert timers.next_due() is None


def test_a_disarmed_timer_never_comes() -> None:
    timers = Timers()
    timers.arm("a", 1)
    timers.disarm("a")
    timers.disarm("nobody")
    assert "a" not in timers
    assert timers.pop(now=9, limit=10) == []


def test_no_more_than_the_limit_at_once() -> None:
    timers = Timers()
    for number in range(5):
        timers.arm(str(number), number)
    assert len(timers.pop(now=9, limit=3)) == 3
    assert len(timers.pop(now=9, limit=3)) == 2
