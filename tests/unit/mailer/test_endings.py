"""How a send ends, as facts."""

from typing import Any

import pytest

from services.mailer.endings import after_reply, failed, last_chance, of_repeated, overdue, sent, suppressed, too_late
from services.mailer.replies import Accepted, Deferred, Refused, Uncertain
from shared.clock import DAY, MINUTE, SECOND
from shared.messages import EmailAction, Stamps, Terms, Trigger
from shared.outcomes import TAKEN_BACK

AT = 1_760_000_000 * SECOND
STAMPS = Stamps(due=AT, committed=AT + 2_000, decided=AT + 5_000, verified=AT + 9_000, accepted=AT + 12_500)


def trigger(expires: int | None = None, **more: Any) -> Trigger:
    return Trigger("t1", "ada", "win-back", 3, AT, Terms(EmailAction("win-back")), expires=expires, **more)


def test_sent_tells_the_template_the_message_and_every_stage() -> None:
    ending = sent(trigger(), STAMPS, "<t1@example.test>", trial=False, template_version=7, reply="content: 250 OK")
    (event,) = ending.facts
    assert (ending.status, event.name, event.id, event.timestamp) == (
        "sent",
        "email_sent",
        "beckon:t1.email_sent",
        AT + 12_500,
    )
    assert event.properties == {
        "trigger_id": "t1",
        "rule": "win-back",
        "version": 3,
        "template": "win-back",
        "template_version": 7,
        "message_id": "<t1@example.test>",
        "timer": False,
        "latency_ms": 12.5,
        "due": AT,
        "committed": AT + 2_000,
        "decided": AT + 5_000,
        "verified": AT + 9_000,
        "accepted": AT + 12_500,
    }


def test_a_repeated_mail_that_was_not_sent_now_may_have_been_before() -> None:
    """The firing is not taken back: somebody may have got the mail."""
    refused = after_reply(Refused("rcpt", "rcpt: 550 no", 550, "hard"), trigger(), STAMPS, "<t1@x.test>", trial=False)
    ending = of_repeated(refused, trigger(), AT)
    assert ending.bounce == "hard"
    assert (ending.status, [fact.name for fact in ending.facts]) == ("uncertain", ["email_uncertain", "email_bounced"])
    assert ending.reason == "it may have been sent; once more: rcpt: 550 no"
    assert ending.facts[0].name not in TAKEN_BACK
    again = of_repeated(sent(trigger(), STAMPS, "<t1@x.test>", trial=False), trigger(), AT)
    assert (again.status, again.facts[0].properties["repeated"]) == ("sent", True)


def test_a_trial_is_told_as_one_and_bounces_for_nobody() -> None:
    assert sent(trigger(), STAMPS, "<t1@example.test>", trial=True).facts[0].properties["trial"] is True
    refused = Refused("rcpt", "rcpt: 550 no", 550, "hard")
    assert len(after_reply(refused, trigger(), STAMPS, "<t1@example.test>", trial=True).facts) == 1


@pytest.mark.parametrize(
    ("result", "names"),
    [
        (Accepted("content: 250 OK"), ["email_sent"]),
        (Refused("content", "content: 554 spam", 554), ["email_failed"]),
        (Refused("rcpt", "rcpt: 550 no", 550, "hard"), ["email_failed", "email_bounced"]),
        (Uncertain("content: timed out"), ["email_uncertain"]),
    ],
)
def test_every_answer_has_its_facts(result: Accepted | Refused | Uncertain, names: list[str]) -> None:
    ending = after_reply(result, trigger(), STAMPS, "<t1@example.test>", trial=False)
    assert [event.name for event in ending.facts] == names
    if len(names) == 2:
        assert ending.facts[1].properties["kind"] == "hard"


def test_a_send_is_overdue_after_its_expiry_not_at_it() -> None:
    send = trigger(expires=AT + MINUTE)
    assert last_chance(send) == AT + MINUTE
    assert overdue(send, AT + MINUTE, "") is None
    ending = overdue(send, AT + MINUTE + 1, "rcpt: 451 greylisted")
    assert ending is not None
    assert ending.facts[0].name == "email_expired"
    assert ending.reason == "not sent by 2025-10-09T08:54:20Z; put off last because of rcpt: 451 greylisted"


def test_a_send_without_expiry_fails_after_a_day() -> None:
    assert overdue(trigger(), AT + DAY, "") is None
    ending = overdue(trigger(), AT + DAY + 1, "mail: 421 busy")
    assert ending is not None
    assert (ending.status, ending.facts[0].name) == ("failed", "email_failed")
    assert ending.reason == "not accepted within 24 h; put off last because of mail: 421 busy"


def test_what_came_to_nothing_says_where_and_why() -> None:
    for ending in (
        suppressed(trigger(), AT, "verify", "no longer true"),
        failed(trigger(), AT, "compose", "line 3"),
        too_late(Deferred("data", "data: 451 busy", 451), trigger(), AT),
    ):
        (event,) = ending.facts
        assert event.name in TAKEN_BACK
        assert event.properties["stage"] in ("verify", "compose", "smtp")
        assert event.properties["reason"] == ending.reason
