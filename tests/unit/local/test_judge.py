"""What the demo calls met: the right mail, once, in time, showing the product; and nothing else."""

import pytest

from services.local.demo.evidence import Fired
from services.local.demo.judge import conservation, percentile, problems
from services.local.demo.scenarios import HASTY, MUG, SHOPPERS, Shopper, cart, reminder
from services.local.inbox.mailbox import Mail, Summary
from shared.clock import MILLISECOND, MINUTE, SECOND, Instant, rfc3339

FILLED = 1_760_000_000 * SECOND
DUE = FILLED + 30 * MINUTE
TIMES = {"added_to_cart": FILLED}
ADA = Shopper("Ada", "leaves a cart", ((cart(MUG),),), (reminder(MUG),))
SHOWN = "<img src='http://127.0.0.1:1/pictures/mug.png'> Stoneware mug €24.50"


def mail(received: Instant = DUE + 40 * MILLISECOND, html: str = SHOWN, trigger: str = "t1") -> Mail:
    summary = Summary(1, "", "", "", "", ["ada@example.com"], rfc3339(received), received, trigger)
    return Mail(summary, [], html, None)


def fired(due: Instant = DUE, outcome: str = "email_sent", reason: str = "", rule: str = "cart-abandonment") -> Fired:
    return Fired("t1", "ada", rule, due, outcome, reason)


def test_the_right_mail_in_time_is_no_problem() -> None:
    assert problems(ADA, TIMES, [mail()], [fired()]) == []


def test_nothing_expected_and_nothing_came() -> None:
    ben = Shopper("Ben", "buys", ((cart(MUG),),))
    assert problems(ben, TIMES, [], []) == []


@pytest.mark.parametrize(
    ("mails", "triggers", "problem"),
    [
        ([], [], "cart-abandonment did not fire"),
        ([], [fired(outcome="email_failed", reason="550 no")], "no mail of cart-abandonment: email_failed 550 no"),
        ([mail(DUE + SECOND)], [fired()], "the mail came 1000 ms after it was due"),
        ([mail(DUE - 1)], [fired()], "the mail came -0.001 ms after it was due"),
        ([mail()], [fired(due=DUE + MILLISECOND)], "cart-abandonment fired 1 ms after it was due"),
        ([mail(html="Stoneware mug €24.50")], [fired()], "the mail does not show /pictures/mug.png"),
        ([mail(html=SHOWN.replace("24.50", "2450"))], [fired()], "the mail does not show €24.50"),
        ([mail(), mail()], [fired()], "2 mails instead of 1"),
        ([mail()], [fired(), fired(rule="win-back")], "fired: cart-abandonment, win-back"),
    ],
)
def test_whatever_is_not_as_it_must_be_is_told(mails: list[Mail], triggers: list[Fired], problem: str) -> None:
    assert problem in problems(ADA, TIMES, mails, triggers)


def test_a_stopped_trigger_has_its_outcome_and_reason() -> None:
    stopped = fired(outcome="trigger_suppressed", reason="no longer true: when.all[1]")
    assert problems(HASTY, TIMES, [], [stopped]) == []
    assert problems(HASTY, TIMES, [], [fired(outcome="trigger_suppressed", reason="cap: 1 per 24h")]) == [
        "cart-abandonment ended as trigger_suppressed: cap: 1 per 24h"
    ]
    assert "cart-abandonment did not fire" in problems(HASTY, TIMES, [], [])


def test_conservation_counts_every_trigger_once() -> None:
    counts = conservation([fired(), fired(outcome="trigger_held_out"), fired(outcome=""), fired(outcome="unheard_of")])
    assert (counts["sent"], counts["held out"], counts["lost"], sum(counts.values())) == (1, 1, 2, 4)


@pytest.mark.parametrize(("share", "value"), [(0.5, 50), (0.99, 99), (0.01, 1)])
def test_percentiles_are_values_that_occurred(share: float, value: int) -> None:
    assert percentile(list(range(100, 0, -1)), share) == value


def test_shoppers_are_told_apart_by_name() -> None:
    names = [shopper.key for shopper in (HASTY, *SHOPPERS)]
    assert len(set(names)) == len(names)
