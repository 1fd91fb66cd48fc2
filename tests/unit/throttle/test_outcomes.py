"""What the throttle learns from outcomes."""

import pytest

from services.throttle.outcomes import ends_sending, gives_back
from shared.errors import InvalidMessage
from shared.messages import EmailAction, Terms, Trigger, outcome

TRIGGER = Trigger("t1", "ada", "win-back", 1, 0, Terms(EmailAction("win-back")))


@pytest.mark.parametrize(
    ("name", "properties", "reason"),
    [
        ("email_bounced", {"kind": "hard"}, "hard bounce"),
        ("email_bounced", {"kind": "soft"}, None),
        ("email_bounced", {}, None),
        ("email_complained", {}, "complaint"),
        ("email_unsubscribed", {}, "unsubscribed"),
        ("email_sent", {}, None),
    ],
)
def test_what_ends_all_sending(name: str, properties: dict[str, str], reason: str | None) -> None:
    assert ends_sending(outcome(name, TRIGGER, 1, **properties)) == reason


@pytest.mark.parametrize(
    ("name", "stage", "trigger"),
    [
        ("trigger_suppressed", "verify", "t1"),
        ("trigger_suppressed", "throttle", None),
        ("email_failed", "smtp", "t1"),
        ("email_expired", "mailer", "t1"),
        ("email_expired", "throttle", None),
        ("email_sent", "", None),
        ("email_uncertain", "smtp", None),
        ("trigger_held_out", "throttle", None),
    ],
)
def test_what_gives_a_place_in_the_caps_back(name: str, stage: str, trigger: str | None) -> None:
    assert gives_back(outcome(name, TRIGGER, 1, stage=stage)) == trigger


def test_an_outcome_of_no_trigger_is_put_aside() -> None:
    event = outcome("email_failed", TRIGGER, 1)
    event.properties["trigger_id"] = 7
    with pytest.raises(InvalidMessage, match="names no trigger"):
        gives_back(event)
