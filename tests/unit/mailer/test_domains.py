"""How mails for one domain wait, and nobody else's."""

from collections import Counter

import pytest

from services.mailer.domains import MOST_IDLE, Domains, Wait
from services.mailer.replies import Accepted, Deferred, Refused

TAKEN = Accepted("content: 250 OK")
SLOW_DOWN = Deferred("rcpt", "rcpt: 421 4.7.28 too many mails", 421)
BUSY = Deferred("rcpt", "rcpt: 451 4.3.0 not now", 451)
GREYLISTED = Deferred("rcpt", "rcpt: 451 4.7.1 greylisted, come back", 451)
FREE = Wait(0)


def domains(concurrency: int = 2) -> Domains:
    return Domains(concurrency, first_s=2, longest_s=900)


def once(domains: Domains, result: object, now: float, domain: str = "gmail.test") -> bool:
    domains.began(domain, now)
    rests = domains.answered(domain, result, now)  # type: ignore[arg-type]
    domains.ended(domain, 0.1)
    return rests


def test_as_many_as_may_be_are_in_hand_and_the_others_are_told_when_to_come() -> None:
    found = domains(2)
    for _ in range(2):
        assert found.wait("gmail.test", 0) == FREE
        found.began("gmail.test", 0)
    waits = [found.wait("gmail.test", 0) for _ in range(4)]
    assert [wait.why for wait in waits] == ["busy"] * 4
    assert [wait.seconds for wait in waits] == pytest.approx([0.13, 0.26, 0.39, 0.52]), "one after the other"
    assert found.wait("other.test", 0) == FREE
    found.ended("gmail.test", 0.5)
    assert found.wait("gmail.test", 0.1) == FREE


def test_a_domain_that_has_shown_to_be_quick_holds_nobody_up() -> None:
    found = domains(2)
    for _ in range(10):
        once(found, TAKEN, 0)
    for _ in range(16):
        assert found.wait("gmail.test", 0) == FREE
        found.began("gmail.test", 0)
    for _ in range(5):
        found.ended("gmail.test", 2)
    assert found.wait("gmail.test", 0).why == "busy", "until it is slow"


def test_who_waits_is_told_to_come_as_fast_as_the_domain_takes_mails() -> None:
    found = domains(1)
    for _ in range(50):
        found.began("slow.test", 0)
        found.ended("slow.test", 4.0)
    found.began("slow.test", 0)
    waits = [found.wait("slow.test", 0).seconds for _ in range(100)]
    assert waits[1] - waits[0] == pytest.approx(4, rel=0.05)
    assert max(waits) <= 30, "and never to come too late"
    assert max(Counter(map(round, waits)).values()) < 30, "nor all at once"


def test_a_domain_that_asks_for_fewer_mails_rests_at_once_and_longer_each_time() -> None:
    found, now, rests = domains(), 0.0, []
    for _ in range(12):
        assert once(found, SLOW_DOWN, now)
        wait = found.wait("gmail.test", now)
        assert wait.why == "resting"
        rests.append(wait.seconds)
        now += wait.seconds
        assert found.wait("gmail.test", now) == FREE
        assert found.wait("other.test", now) == FREE
    assert 1 <= rests[0] <= 2.1
    assert all(after > before for before, after in zip(rests[:6], rests[2:8], strict=True))
    assert 450 <= rests[-1] <= 901


def test_after_a_rest_one_mail_goes_and_then_all_if_it_is_taken() -> None:
    found = domains()
    once(found, SLOW_DOWN, 0)
    found.began("gmail.test", 10)
    assert found.wait("gmail.test", 10.5).why == "resting"
    found.answered("gmail.test", TAKEN, 10.6)
    found.ended("gmail.test", 0.6)
    assert found.wait("gmail.test", 10.6) == FREE


def test_any_deferral_counts_after_a_few_in_a_row() -> None:
    found = domains()
    assert [once(found, BUSY, 0) for _ in range(3)] == [False, False, True]
    found = domains()
    refused = Refused("rcpt", "rcpt: 550 5.1.1 no", 550, "hard")
    assert not any(once(found, result, 0) for result in (BUSY, BUSY, TAKEN, BUSY, BUSY, refused, BUSY, BUSY))


def test_greylisting_and_full_mailboxes_are_matters_of_one_mail() -> None:
    found = domains()
    full = Deferred("rcpt", "rcpt: 452 4.2.2 mailbox full", 452)
    lost = Deferred("mail", "mail: Connection lost")
    assert not any(once(found, result, 0) for result in [GREYLISTED] * 10 + [full] * 10 + [lost] * 10)


def test_domains_of_which_nothing_is_in_hand_are_forgotten() -> None:
    found = domains()
    once(found, SLOW_DOWN, 0, "resting.test")
    found.began("busy.test", 0)
    for n in range(MOST_IDLE):
        once(found, TAKEN, 0, f"{n}.test")
    assert len(found) < 10
    assert found.wait("resting.test", 0).why == "resting"
