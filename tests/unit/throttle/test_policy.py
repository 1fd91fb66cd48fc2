"""Which triggers are sent: given what was sent to a person before, expect the decision and its reason."""

from typing import Any

import pytest
from msgspec import structs

from services.throttle.policy import (
    DEFAULT,
    EVERYTHING,
    Cap,
    Decision,
    Policy,
    Sent,
    Standing,
    decide,
    effects,
    held_out,
    text,
)
from shared.clock import DAY, HOUR, MINUTE, SECOND
from shared.messages import EmailAction, Event, SendEmail, SendWebhook, Stamps, Terms, Trigger, WebhookAction

NOW = 1_760_000_000 * SECOND


def fired(rule: str = "cart-abandonment", category: str = "nudge", holdout: float = 0.0, **more: Any) -> Trigger:
    terms = Terms(EmailAction("cart-reminder"), category=category, holdout=holdout)
    return Trigger(
        "t1", "ada", rule, 1, NOW - SECOND, terms, stamps=Stamps(due=NOW - SECOND, committed=NOW - 5), **more
    )


def sent(*ago: int, rule: str = "cart-abandonment", category: str = "nudge") -> list[Sent]:
    return [Sent(rule, category, NOW - each) for each in ago]


def test_the_first_trigger_is_sent() -> None:
    assert decide(fired(), Standing(), DEFAULT, NOW) == Decision("send", NOW)


def test_a_second_one_of_the_same_rule_within_a_day_is_not() -> None:
    decision = decide(fired(), Standing(sent(23 * HOUR)), DEFAULT, NOW)
    assert decision == Decision("suppressed", NOW, "cap: 1 per 24h for rule cart-abandonment")


def test_a_third_one_of_any_rule_within_a_day_is_not() -> None:
    earlier = sent(HOUR, rule="win-back") + sent(2 * HOUR, rule="high-value-interest")
    assert decide(fired(), Standing(earlier), DEFAULT, NOW).reason == "cap: 2 per 24h overall"
    assert decide(fired(), Standing(earlier[:1]), DEFAULT, NOW).outcome == "send"


def test_a_category_counts_its_own_sends_only() -> None:
    policy = Policy((Cap(2, 7 * DAY, "category"),))
    nudges = sent(DAY, 2 * DAY, rule="win-back")
    assert decide(fired(), Standing(nudges), policy, NOW).reason == "cap: 2 per 7d for category nudge"
    assert decide(fired(category="news"), Standing(nudges), policy, NOW).outcome == "send"


@pytest.mark.parametrize(
    ("ago", "outcome"),
    [(DAY + 1, "send"), (DAY, "send"), (DAY - 1, "suppressed"), (0, "suppressed"), (-SECOND, "suppressed")],
)
def test_a_window_is_open_at_its_old_end_and_counts_what_a_faster_clock_decided(ago: int, outcome: str) -> None:
    assert decide(fired(), Standing(sent(ago)), DEFAULT, NOW).outcome == outcome


def test_the_first_exhausted_cap_of_the_policy_names_the_reason() -> None:
    policy = Policy((Cap(5, DAY, "all"), Cap(1, 2 * HOUR + 30 * MINUTE, "rule"), Cap(1, DAY, "all")))
    reason = decide(fired(), Standing(sent(HOUR)), policy, NOW).reason
    assert reason == "cap: 1 per 2h30m for rule cart-abandonment"


def test_without_caps_everything_is_sent() -> None:
    assert decide(fired(), Standing(sent(*range(100))), Policy(()), NOW).outcome == "send"


def test_nothing_is_sent_to_somebody_on_the_suppression_list() -> None:
    decision = decide(fired(holdout=1.0), Standing(suppressed="complaint"), DEFAULT, NOW)
    assert decision == Decision("suppressed", NOW, "suppressed: complaint")


def test_what_expired_is_not_sent_and_takes_no_place_in_a_cap() -> None:
    decision = decide(fired(expires=NOW - 90 * SECOND), Standing(suppressed="complaint"), DEFAULT, NOW)
    assert decision == Decision("expired", NOW, "expired 1m30s before it was decided")
    assert decide(fired(expires=NOW), Standing(), DEFAULT, NOW).outcome == "send"


def test_a_policy_looks_back_as_far_as_its_longest_cap() -> None:
    assert Policy((Cap(1, DAY, "rule"), Cap(5, 7 * DAY, "all"))).horizon == 7 * DAY
    assert Policy(()).horizon == 0


class TestHoldOut:
    def test_the_same_person_is_held_out_of_the_same_rule_always(self) -> None:
        people = [f"person-{n}" for n in range(1000)]
        first = [held_out("win-back", person, 0.3) for person in people]
        assert first == [held_out("win-back", person, 0.3) for person in people]
        assert first != [held_out("cart-abandonment", person, 0.3) for person in people]

    @pytest.mark.parametrize("share", [0.01, 0.05, 0.5, 0.95])
    def test_the_share_is_met(self, share: float) -> None:
        count = 20_000
        held = sum(held_out("win-back", f"person-{n}", share) for n in range(count))
        assert abs(held / count - share) < 4 * (share * (1 - share) / count) ** 0.5

    def test_nobody_at_0_and_everybody_at_1(self) -> None:
        people = [f"person-{n}" for n in range(1000)]
        assert not any(held_out("win-back", person, 0.0) for person in people)
        assert all(held_out("win-back", person, 1.0) for person in people)

    def test_raising_the_share_lets_nobody_out(self) -> None:
        people = [f"person-{n}" for n in range(1000)]
        assert all(held_out("r", person, 0.2) for person in people if held_out("r", person, 0.1))

    def test_the_hash_never_changes(self) -> None:
        held = [n for n in range(40) if held_out("win-back", f"person-{n}", 0.1)]
        assert held == HELD_AT_A_TENTH

    def test_a_held_out_person_is_decided_as_such(self) -> None:
        decision = decide(fired(holdout=1.0), Standing(), DEFAULT, NOW)
        assert decision == Decision("held_out", NOW, "held out: 1 of all people, to measure lift")


HELD_AT_A_TENTH = [12, 14, 34, 36]
"""A change of this list would move people in and out of hold-outs that are running."""


CRM = WebhookAction("https://crm.example.test/hook", "crm")


class TestEffects:
    def test_a_send_carries_the_trigger_and_when_it_was_decided(self) -> None:
        (message,) = effects(fired(), Decision("send", NOW))
        assert isinstance(message, SendEmail)
        assert message.trigger.stamps == Stamps(due=NOW - SECOND, committed=NOW - 5, decided=NOW)
        assert message.trigger.id == "t1"

    @pytest.mark.parametrize(
        ("outcome", "name"),
        [("suppressed", "trigger_suppressed"), ("held_out", "trigger_held_out"), ("expired", "email_expired")],
    )
    def test_everything_else_is_an_event_with_the_reason(self, outcome: Any, name: str) -> None:
        (event,) = effects(fired(), Decision(outcome, NOW, "because"))
        assert isinstance(event, Event)
        assert (event.id, event.name, event.person, event.source) == (f"beckon:t1.{name}", name, "ada", "beckon")
        assert event.properties["stage"] == "throttle"
        assert event.properties["reason"] == "because"
        assert event.timestamp == NOW

    def test_a_repeat_publishes_the_same(self) -> None:
        decision = Decision("send", NOW)
        assert effects(fired(), decision) == effects(fired(), decision)

    @pytest.mark.parametrize(
        ("terms", "sends", "expired"),
        [
            (Terms(EmailAction("t")), [SendEmail], "email_expired"),
            (Terms(None, webhook=CRM), [SendWebhook], "webhook_expired"),
            (Terms(EmailAction("t"), webhook=CRM), [SendEmail, SendWebhook], "email_expired"),
        ],
    )
    def test_a_rule_sends_what_it_says_and_ends_once(self, terms: Terms, sends: list[type], expired: str) -> None:
        trigger = structs.replace(fired(), terms=terms)
        assert [type(message) for message in effects(trigger, Decision("send", NOW))] == sends
        (event,) = effects(trigger, Decision("expired", NOW))
        assert isinstance(event, Event)
        assert event.name == expired


@pytest.mark.parametrize(
    ("duration", "written"),
    [(DAY, "24h"), (7 * DAY, "7d"), (90 * MINUTE, "1h30m"), (45 * SECOND, "45s"), (36 * HOUR, "1d12h"), (999, "0s")],
)
def test_durations_are_written_as_people_do(duration: int, written: str) -> None:
    assert text(duration) == written


@pytest.mark.parametrize(
    ("unwanted", "reason"),
    [
        ((EVERYTHING,), "suppressed: unsubscribed"),
        (("nudge",), "suppressed: unsubscribed from category nudge"),
        (("news",), ""),
    ],
)
def test_what_a_person_does_not_want_is_not_sent(unwanted: tuple[str, ...], reason: str) -> None:
    decision = decide(fired(category="nudge"), Standing(unwanted=unwanted), DEFAULT, NOW)
    assert (decision.outcome, decision.reason) == ("suppressed" if reason else "send", reason)
