"""The conversation in which bounces come in, line by line."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mailer.dialogue import MAX_COMMANDS, MAX_FAULTS, MAX_RECIPIENTS, MAX_SIZE, Dialogue

OURS = "bounce+token@b.example"


def dialogue() -> Dialogue:
    return Dialogue("b.example", lambda address: address == OURS)


def say(to: Dialogue, *lines: str) -> list[str]:
    """What each is answered, without the words."""
    return [to.command(line.encode()).reply[:9].strip() for line in lines]


def test_a_bounce_is_taken() -> None:
    server = dialogue()
    assert server.greeting.startswith("220 b.example ")
    assert say(server, "EHLO mx.example", "MAIL FROM:<> SIZE=5000 BODY=8BITMIME", f"RCPT TO:<{OURS}>") == [
        "250-b.exa",
        "250 2.1.0",
        "250 2.1.5",
    ]
    assert server.command(b"DATA") == ("354 go on", "data")
    assert server.recipients == [OURS]
    assert server.taken("250 2.0.0 taken") == ("250 2.0.0 taken", "listen")
    assert server.recipients == []
    assert server.command(b"DATA").reply.startswith("503")
    assert server.command(b"quit").then == "close"


def test_tls_is_offered_once_and_begins_everything_anew() -> None:
    assert dialogue().command(b"STARTTLS").reply.startswith("500"), "it has no certificate"
    server = Dialogue("b.example", lambda address: True, tls=True)
    assert "250-STARTTLS\r\n" in server.command(b"EHLO mx.example").reply
    say(server, "MAIL FROM:<>", f"RCPT TO:<{OURS}>")
    assert server.command(b"STARTTLS now").reply.startswith("500")
    assert server.command(b"starttls") == ("220 2.0.0 go ahead", "tls")
    assert server.recipients == []
    assert say(server, "MAIL FROM:<>") == ["503 5.5.1"], "nobody has said hello yet"
    assert "STARTTLS" not in server.command(b"EHLO mx.example").reply
    assert server.command(b"STARTTLS").reply.startswith("500")


def test_mail_for_anybody_else_is_refused_and_whoever_goes_on_guessing_is_sent_away() -> None:
    server = dialogue()
    say(server, "EHLO x", "MAIL FROM:<eve@example.net>")
    for n in range(MAX_FAULTS - 1):
        assert server.command(f"RCPT TO:<ada{n}@example.net>".encode()) == ("550 5.1.1 no such address here", "listen")
    assert server.command(b"RCPT TO:<shop@shop.example>") == ("421 4.7.0 too many errors", "close")


@pytest.mark.parametrize(
    ("lines", "last"),
    [
        (["MAIL FROM:<>"], "503 5.5.1"),
        (["HELO x", f"RCPT TO:<{OURS}>"], "503 5.5.1"),
        (["HELO x", "MAIL FROM:<>", "MAIL FROM:<>"], "503 5.5.1"),
        (["HELO x", "MAIL FROM:<>", "DATA"], "503 5.5.1"),
        (["HELO x", "MAIL FROM:eve"], "501 5.5.4"),
        (["HELO x", "MAIL FROM:<> X=1 SIZE=99999999"], "552 5.3.4"),
        (["HELO x", "MAIL FROM:<>", "RCPT TO:bounce"], "501 5.5.4"),
        (["HELO x", "MAIL FROM:<>", f"RCPT TO:<@relay.example:{OURS}>"], "250 2.1.5"),
        (["HELO x", "MAIL FROM:<>", f"RCPT TO: <{OURS}>", "RSET", "DATA"], "503 5.5.1"),
        (["STARTTLS"], "500 5.5.1"),
        (["AUTH PLAIN AGEAYg=="], "500 5.5.1"),
        (["VRFY ada"], "252 2.5.0"),
        (["NOOP"], "250 2.0.0"),
        ([""], "500 5.5.1"),
    ],
)
def test_other_ways(lines: list[str], last: str) -> None:
    assert say(dialogue(), *lines)[-1] == last


def test_everything_has_an_end() -> None:
    server = dialogue()
    say(server, "EHLO x", "MAIL FROM:<>")
    assert say(server, *[f"RCPT TO:<{OURS}>"] * (MAX_RECIPIENTS + 1))[-1] == "452 4.5.3"
    while (answer := server.command(b"NOOP")).then != "close":
        assert answer.reply == "250 2.0.0 OK"
    assert answer.reply.startswith("421")
    assert f"SIZE {MAX_SIZE}" in dialogue().command(b"EHLO x").reply


@given(st.lists(st.binary(max_size=100), max_size=MAX_COMMANDS))
def test_whatever_is_said_is_answered(lines: list[bytes]) -> None:
    server = dialogue()
    for line in lines:
        assert server.command(line).reply[:1] in "245"
    assert server.recipients == []
