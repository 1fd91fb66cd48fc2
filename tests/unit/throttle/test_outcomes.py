"""What the throttle learns from outcomes."""

import pytest

from services.throttle.decide import EVERYTHING
from services.throttle.outcomes import Choice, choice, ends_sending, gives_back
from shared.errors import InvalidMessage
from shared.messages import EmailAction, Terms, Trigger
from shared.outcomes import outcome

TRIGGER = Trigger("t1", "ada", "win-back", 1, 0, Terms(EmailAction("win-back")))


@pytest.mark.parametrize(
    ("name", "properties", "reason"),
    [
        ("email_bounced", {"kind": "hard"}, None),
        ("email_complained", {}, "complaint"),
        ("email_unsubscribed", {}, None),
        ("email_sent", {}, None),
    ],
)
def test_what_ends_all_sending(name: str, properties: dict[str, str], reason: str | None) -> None:
    assert ends_sending(outcome(name, TRIGGER, 1, **properties)) == reason


@pytest.mark.parametrize(
    ("name", "properties", "chosen"),
    [
        ("email_unsubscribed", {}, Choice(EVERYTHING, wanted=False)),
        ("email_unsubscribed", {"scope": "all", "category": "nudge"}, Choice(EVERYTHING, wanted=False)),
        ("email_unsubscribed", {"scope": "category", "category": "nudge"}, Choice("nudge", wanted=False)),
        ("email_resubscribed", {"scope": "category", "category": "nudge"}, Choice("nudge", wanted=True)),
        ("email_resubscribed", {"scope": "all"}, Choice(EVERYTHING, wanted=True)),
        ("email_opened", {"category": "nudge"}, None),
    ],
)
def test_what_people_choose(name: str, properties: dict[str, str], chosen: Choice | None) -> None:
    assert choice(outcome(name, TRIGGER, 1, **properties)) == chosen


def test_a_choice_about_no_category_is_put_aside() -> None:
    with pytest.raises(InvalidMessage, match="names none"):
        choice(outcome("email_unsubscribed", TRIGGER, 1, scope="category"))


@pytest.mark.parametrize(
    ("name", "stage", "trigger"),
    [
        ("trigger_suppressed", "verify", "t1"),
        ("trigger_suppressed", "throttle", None),
        ("email_failed", "smtp", "t1"),
        ("email_expired", "mailer", "t1"),
        ("email_expired", "throttle", None),
        ("webhook_failed", "webhook", "t1"),
        ("webhook_expired", "webhook", "t1"),
        ("webhook_sent", "", None),
        ("email_sent", "", None),
        ("email_uncertain", "smtp", None),
        ("trigger_held_out", "throttle", None),
    ],
)
def test_what_gives_a_place_in_the_caps_back(name: str, stage: str, trigger: str | None) -> None:
    assert gives_back(outcome(name, TRIGGER, 1, stage=stage)) == trigger


def test_a_webhook_beside_a_mail_gives_nothing_back() -> None:
    """The mail may have been sent; its own outcome says whether the firing came to nothing."""
    assert gives_back(outcome("webhook_failed", TRIGGER, 1, stage="webhook", beside_mail=True)) is None


def test_an_outcome_of_no_trigger_is_put_aside() -> None:
    event = outcome("email_failed", TRIGGER, 1)
    event.properties["trigger_id"] = 7
    with pytest.raises(InvalidMessage, match="names no trigger"):
        gives_back(event)
