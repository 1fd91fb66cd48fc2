"""How webhooks end, and which of them end their trigger."""

import pytest

from services.webhook import endings
from shared.clock import DAY, HOUR, SECOND
from shared.messages import EmailAction, Stamps, Terms, Trigger, WebhookAction
from shared.outcomes import TAKEN_BACK, beside_mail

AT = 1_769_851_800 * SECOND
HOOK = WebhookAction("https://crm.example.test", "crm")
ALONE = Trigger("t1", "ada", "cart", 3, AT, Terms(None, webhook=HOOK))
BESIDE = Trigger("t1", "ada", "cart", 3, AT, Terms(EmailAction("t"), webhook=HOOK))


def test_what_was_taken_says_when_each_stage_was_done() -> None:
    stamps = Stamps(due=AT, committed=AT + 1, decided=AT + 2, verified=AT + 3, accepted=AT + SECOND)
    ending = endings.sent(ALONE, stamps, "e1", 2, trial=False)
    told = ending.fact.properties
    assert (ending.status, ending.fact.name, told["latency_ms"], told["attempts"]) == ("sent", "webhook_sent", 1000, 2)
    assert ("trial" in told, told["verified"]) == (False, AT + 3)


@pytest.mark.parametrize("begun", [False, True])
def test_without_a_mail_it_ends_the_trigger_and_with_one_it_does_not(begun: bool) -> None:
    alone = endings.too_late(ALONE, AT + DAY, "HTTP 500", begun=begun)
    beside = endings.too_late(BESIDE, AT + DAY, "HTTP 500", begun=begun)
    name = "webhook_failed" if begun else "webhook_expired"
    assert alone.fact.name == beside.fact.name == name
    assert name in TAKEN_BACK
    assert alone.fact.id == f"beckon:t1.{name}"
    assert beside.fact.id == f"beckon:t1.webhook.{name}", "none that the mail's could be taken for"
    assert (beside_mail(alone.fact), beside_mail(beside.fact)) == (False, True)


@pytest.mark.parametrize(
    ("expires", "reason"),
    [
        (AT + HOUR, "not tried by 2026-01-31T10:30:00Z: the endpoint is disabled"),
        (None, "not tried by 2026-02-01T09:30:00Z: the endpoint is disabled"),
    ],
)
def test_what_was_not_begun_in_time_expires(expires: int | None, reason: str) -> None:
    trigger = Trigger("t1", "ada", "cart", 3, AT, Terms(None, webhook=HOOK), expires=expires)
    ending = endings.too_late(trigger, AT + 2 * DAY, "the endpoint is disabled", begun=False)
    assert (ending.status, ending.reason) == ("expired", reason)
