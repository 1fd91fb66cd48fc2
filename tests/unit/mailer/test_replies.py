"""What an answer of the SMTP server means, and when to try again."""

import pytest

from services.mailer.replies import (
    Accepted,
    Deferred,
    Lost,
    Refused,
    Reply,
    Stage,
    Uncertain,
    decide_reply,
    delay_s,
    scope,
    too_much,
)

BEFORE_CONTENT: list[Stage] = ["mail", "rcpt", "data"]


def test_the_server_says_go_on() -> None:
    assert decide_reply("mail", Reply(250, "OK")) is None
    assert decide_reply("rcpt", Reply(251, "will forward")) is None
    assert decide_reply("data", Reply(354, "go ahead")) is None


def test_the_content_is_accepted() -> None:
    assert decide_reply("content", Reply(250, "queued as 7F3A")) == Accepted("content: 250 queued as 7F3A")


@pytest.mark.parametrize("stage", [*BEFORE_CONTENT, "content"])
def test_4xx_is_deferred_at_every_stage(stage: Stage) -> None:
    assert decide_reply(stage, Reply(451, "try later")) == Deferred(stage, f"{stage}: 451 try later", 451)


@pytest.mark.parametrize("stage", ["mail", "data", "content"])
def test_5xx_is_refused_at_every_stage(stage: Stage) -> None:
    assert decide_reply(stage, Reply(554, "no")) == Refused(stage, f"{stage}: 554 no", 554)


@pytest.mark.parametrize("stage", BEFORE_CONTENT)
@pytest.mark.parametrize("answer", [Lost("timed out"), Reply(-1, "gibberish"), Reply(199)])
def test_silence_and_nonsense_before_the_content_can_be_repeated(stage: Stage, answer: Reply | Lost) -> None:
    assert isinstance(decide_reply(stage, answer), Deferred)


@pytest.mark.parametrize("answer", [Lost("timed out"), Lost("Connection lost"), Reply(-1, "gibberish"), Reply(354)])
def test_silence_and_nonsense_after_the_content_is_uncertain(answer: Reply | Lost) -> None:
    assert isinstance(decide_reply("content", answer), Uncertain)


def test_a_go_ahead_to_the_wrong_command_is_no_go_ahead() -> None:
    assert isinstance(decide_reply("data", Reply(250)), Deferred)
    assert isinstance(decide_reply("mail", Reply(354)), Deferred)


@pytest.mark.parametrize(
    ("code", "text", "bounce"),
    [
        (550, "no such user", "hard"),
        (550, "5.1.1 no such user", "hard"),
        (550, "5.2.1 mailbox disabled", "hard"),
        (552, "mailbox full", "soft"),
        (552, "5.2.2 mailbox full", "soft"),
        (554, "5.4.4 no route", "soft"),
        (550, "5.7.1 relaying denied", "blocked"),
    ],
)
def test_a_refused_recipient_bounces(code: int, text: str, bounce: str) -> None:
    result = decide_reply("rcpt", Reply(code, text))
    assert isinstance(result, Refused)
    assert result.bounce == bounce


class TestBackOff:
    def test_it_doubles_up_to_the_longest(self) -> None:
        for attempt, full in ((1, 2), (2, 4), (3, 8), (9, 512), (10, 900), (1000, 900)):
            assert full / 2 <= delay_s(attempt, "t1", 2, 900) <= full

    def test_the_same_attempt_always_waits_as_long(self) -> None:
        assert delay_s(3, "t1", 2, 900) == delay_s(3, "t1", 2, 900)

    def test_mails_deferred_together_come_back_spread_out(self) -> None:
        waits = [delay_s(1, f"t{n}", 2, 900) for n in range(1000)]
        assert min(waits) < 1.1
        assert max(waits) > 1.9
        assert 1.45 < sum(waits) / len(waits) < 1.55


@pytest.mark.parametrize(
    ("stage", "code", "text", "whose"),
    [
        ("mail", 451, "4.3.0 later", "relay"),
        ("mail", None, "Connection lost", "relay"),
        ("rcpt", None, "Connection lost", "domain"),
        ("claim", None, "it took too long", "mail"),
        ("rcpt", 450, "4.2.1 the mailbox is busy", "mail"),
        ("rcpt", 452, "4.2.2 the mailbox is full", "mail"),
        ("rcpt", 451, "4.7.1 Greylisting in action, please come back later", "mail"),
        ("rcpt", 450, "4.2.0 <x@y.test>: Recipient address rejected: Greylisted", "mail"),
        ("rcpt", 421, "4.7.28 unusual rate of mails", "too much"),
        ("content", 421, "4.7.0 try again later", "too much"),
        ("data", 451, "messages temporarily deferred due to user complaints", "too much"),
        ("rcpt", 450, "4.7.1 policy", "too much"),
        ("rcpt", 451, "4.3.0 local error", "domain"),
        ("content", 451, "local error", "domain"),
    ],
)
def test_whose_matter_a_deferral_is(stage: Stage, code: int | None, text: str, whose: str) -> None:
    deferred = Deferred(stage, f"{stage}: {code or ''} {text}", code)
    assert ("too much" if too_much(deferred) else scope(deferred)) == whose


@pytest.mark.parametrize("answer", [Reply(530, "5.7.0 authentication required"), Reply(503, "send EHLO first")])
def test_a_server_that_does_not_know_us_spoils_no_mail(answer: Reply) -> None:
    result = decide_reply("mail", answer)
    assert isinstance(result, Deferred)
    assert scope(result) == "relay"
    assert isinstance(decide_reply("rcpt", answer), Refused)
