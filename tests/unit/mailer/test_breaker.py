"""When a relay is left alone, and when it is tried again."""

import pytest

from services.mailer.breaker import LONGEST_AWAY_S, LONGEST_STORM_S, STORM, Breaker
from services.mailer.replies import Accepted, Deferred, Refused, Result, Uncertain

TAKEN = Accepted("content: 250 OK")
UNKNOWN = Refused("rcpt", "rcpt: 550 5.1.1 no such user", 550, "hard")


def busy(stage: str = "rcpt", text: str = "451 4.3.2 busy", code: int | None = 451) -> Deferred:
    return Deferred(stage, f"{stage}: {text}", code)  # type: ignore[arg-type]


def connected() -> Breaker:
    breaker = Breaker()
    breaker.connected()
    return breaker


def put_off(breaker: Breaker, *results: Result, now: float = 0, domains: str = "abcdefgh") -> None:
    for result, domain in zip(results, domains, strict=False):
        breaker.connected()  # each over a connection of its own, as after a 421
        breaker.answered(result, domain, now)


def test_at_first_everybody_may_try_and_it_is_not_reachable() -> None:
    breaker = Breaker()
    breaker.attempt(0)
    assert breaker.wait_s(0) == 0
    assert not breaker.reachable


def test_a_server_that_is_away_is_tried_again_ever_later() -> None:
    breaker, now, waits = connected(), 0.0, []
    for _ in range(6):
        breaker.lost("refused", now)
        waits.append(breaker.wait_s(now))
        now += waits[-1]
        assert breaker.wait_s(now) == 0
    assert waits == [0.5, 1, 2, 4, LONGEST_AWAY_S, LONGEST_AWAY_S]
    assert not breaker.reachable
    breaker.attempt(now)
    assert breaker.wait_s(now) == 1, "one at a time"
    breaker.connected()
    assert (breaker.reason, breaker.wait_s(now)) == ("", 0)


@pytest.mark.parametrize(
    "results",
    [
        [busy()] * STORM,
        [busy("mail", "421 closing", 421)] * STORM,
        [busy("rcpt", "no answer", None)] * STORM,
        [Uncertain("content: Connection lost")],
    ],
    ids=["4xx for several domains", "4xx to MAIL", "time-outs", "silence after a content"],
)
def test_a_relay_that_takes_nothing_rests_until_a_mail_is_taken(results: list[Result]) -> None:
    breaker = connected()
    put_off(breaker, *results)
    assert breaker.wait_s(0) == 0.5
    assert breaker.reachable
    breaker.attempt(1)
    breaker.connected()
    assert breaker.wait_s(1) == 1, "a connection alone is no sign"
    breaker.answered(busy(), "a", 1.5)
    assert breaker.wait_s(1.5) == 1, "twice as long"
    for _ in range(10):
        breaker.answered(busy(), "a", 2)
    assert breaker.wait_s(2) == LONGEST_STORM_S
    breaker.answered(UNKNOWN, "b", 3)
    assert breaker.wait_s(3) == 0, "a refusal is an answer"


def test_what_concerns_one_domain_or_one_mail_is_not_the_relay_s() -> None:
    breaker = connected()
    put_off(breaker, *[busy()] * 20, domains="a" * 20)
    put_off(breaker, *[busy(text="450 4.7.1 greylisted")] * 8)
    put_off(breaker, *[busy(text="452 4.2.2 mailbox full", code=452)] * 8)
    assert breaker.wait_s(0) == 0


def test_one_that_is_taken_ends_the_row() -> None:
    breaker = connected()
    put_off(breaker, *[busy()] * (STORM - 1), TAKEN, *[busy()] * (STORM - 1))
    assert breaker.wait_s(0) == 0
