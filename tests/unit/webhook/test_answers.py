"""What an attempt came to, and when the next is made."""

import pytest

from services.webhook.answers import LONGEST_WAIT, Answer, due_again, patience, printable, retry_after
from services.webhook.settings import Settings
from shared.clock import DAY, HOUR, MINUTE, SECOND

NOW = 1_769_851_800 * SECOND
DELAYS = Settings(nats_url="", database_url="").delays
FAILED = Answer(0, 500)


@pytest.mark.parametrize(
    ("statuses", "verdict"),
    [
        ((200, 201, 204, 299), "taken"),
        ((410,), "gone"),
        ((0, 408, 425, 429, 500, 502, 503, 504, 599), "troubled"),
        ((100, 300, 301, 302, 307, 400, 401, 403, 404, 409, 422), "refused"),
    ],
)
def test_verdicts(statuses: tuple[int, ...], verdict: str) -> None:
    assert {Answer(0, status).verdict for status in statuses} == {verdict}


def test_it_is_tried_for_three_days_and_a_little_longer_by_chance() -> None:
    now, waits = NOW, []
    for attempt in range(1, len(DELAYS) + 1):
        due = due_again("t1", attempt, now, DELAYS, FAILED)
        assert due is not None
        waits.append(due - now)
        now = due
    assert waits[0] < 6 * SECOND
    assert all(delay <= wait <= delay * 11 // 10 for delay, wait in zip(DELAYS, waits, strict=True))
    assert due_again("t1", len(DELAYS) + 1, now, DELAYS, FAILED) is None
    assert 3 * DAY < now - NOW < patience(DELAYS)


def test_those_that_failed_together_do_not_come_back_together() -> None:
    dues = {due_again(f"t{n}", 2, NOW, DELAYS, FAILED) for n in range(100)}
    assert len(dues) == 100


def test_it_is_not_tried_before_the_endpoint_wants_it() -> None:
    assert (due_again("t1", 1, NOW, DELAYS, Answer(0, 503, retry_after=HOUR)) or 0) >= NOW + HOUR
    assert (due_again("t1", 3, NOW, DELAYS, Answer(0, 503, retry_after=SECOND)) or 0) >= NOW + 30 * MINUTE


@pytest.mark.parametrize(
    ("status", "header", "wait"),
    [
        (429, "120", 120 * SECOND),
        (503, " 7 ", 7 * SECOND),
        (503, "Sat, 31 Jan 2026 09:31:00 GMT", MINUTE),
        (503, "Sat, 31 Jan 2026 08:00:00 GMT", 0),
        (503, "Sat, 31 Jan 2026 09:31:00 -0000", MINUTE),
        (429, "999999999999999", LONGEST_WAIT),
        (429, "Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
        (429, "soon", 0),
        (429, "-5", 0),
        (429, "١٢", 12 * SECOND),
        (429, "", 0),
        (429, None, 0),
        (500, "120", 0),
    ],
)
def test_retry_after(status: int, header: str | None, wait: int) -> None:
    assert retry_after(status, header, NOW) == wait


def test_what_a_stranger_said_is_one_short_line() -> None:
    assert printable("a\r\nb\x00\x1b[31mc" + "d" * 500) == "a b [31mc" + "d" * 291
