"""A mail as it leaves: what a person or a site sent can change its words, never its headers."""

from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from services.mailer.address import To
from services.mailer.compose import Letter, Rendered, Sender, compose, message_id, sender
from services.mailer.headers import feedback_id, standing
from shared.clock import SECOND
from shared.messages import EmailAction, Terms, Trigger

NOW = 1_760_000_000 * SECOND
SHOP = Sender("Kiln & Kettle, Köln", "shop@example.test")


ADA = To(("ada@example.test",))


def mail(subject: str = "Hello", html: str = "<p>Hi</p>", text: str = "Hi", to: To = ADA) -> Letter:
    return compose("t1", Rendered(subject, html, text), to, SHOP, NOW)


def parsed(letter: Letter) -> EmailMessage:
    message = message_from_bytes(letter.content, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def body(letter: Letter, kind: str) -> str:
    part = parsed(letter).get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def test_a_whole_mail() -> None:
    letter = mail("Zoë, your Café-Kanne ☕", "<p>Grüße</p>", "Grüße")
    message = parsed(letter)
    assert (letter.sender, letter.recipients, letter.message_id) == (
        "shop@example.test",
        ("ada@example.test",),
        "<t1@example.test>",
    )
    assert message["Subject"] == "Zoë, your Café-Kanne ☕"
    assert message["From"] == '"Kiln & Kettle, Köln" <shop@example.test>'
    assert message["To"] == "ada@example.test"
    assert message["Message-ID"] == "<t1@example.test>"
    assert message["Date"].datetime.timestamp() == NOW / SECOND
    assert message["X-Beckon-Trigger"] == "t1"
    assert message.get_content_type() == "multipart/alternative"
    assert body(letter, "plain") == "Grüße\n"
    assert body(letter, "html") == "<p>Grüße</p>\n"


@pytest.mark.parametrize(
    ("subject", "read"),
    [
        ("می\u200cخواهید؟ 👨\u200d👩\u200d👧", "می\u200cخواهید؟ 👨\u200d👩\u200d👧"),
        ("Donau\u00addampf\u202eschiff", "Donaudampfschiff"),
        ("one\ttwo\u2028three\x00four", "one two three four"),
    ],
)
def test_a_subject_keeps_what_shapes_letters_and_nothing_else_that_does_not_show(subject: str, read: str) -> None:
    assert parsed(mail(subject))["Subject"] == read


@pytest.mark.parametrize(
    "name",
    [
        "Ada\r\nBcc: eve@example.test",
        "Ada\nBcc: eve@example.test\n\nbody",
        "Ada\rBcc: eve@example.test",
        "Ada\u2028Bcc: eve@example.test",
        "Ada\x00\x0bBcc: eve@example.test",
        "=?utf-8?q?Ada=0D=0ABcc:_eve@example.test?=",
        "=\x00?utf-8?q?Ada=0D=0ABcc:_eve@example.test?=",
    ],
)
def test_a_name_cannot_add_a_header(name: str) -> None:
    letter = mail(subject=f"{name}, your cart")
    message = parsed(letter)
    assert message["Bcc"] is None
    assert letter.content.count(b"\r\nBcc") == 0
    assert sorted(message.keys()) == sorted(
        ["From", "To", "Subject", "Date", "Message-ID", "X-Beckon-Trigger", "MIME-Version", "Content-Type"]
    )
    assert body(letter, "plain") == "Hi\n"
    assert letter.recipients == ("ada@example.test",)


def test_every_line_fits_smtp() -> None:
    letter = mail("Ä" * 5000, "<p>" + "ü" * 50_000 + "</p>", "word " * 20_000)
    assert max(map(len, letter.content.split(b"\r\n"))) <= 998
    assert b"\n" not in letter.content.replace(b"\r\n", b"")
    assert letter.content.isascii()
    assert len(parsed(letter)["Subject"]) == 250


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        ("Hi Ada,\n\n.\nFrom here: https://shop.example/?a=b", "7bit"),
        ("x" * 78, "7bit"),
        ("x" * 79, "quoted-printable"),
        ("Grüße", "quoted-printable"),
        ("a null\0", "quoted-printable"),
        ("what looks like a boundary =_", "quoted-printable"),
    ],
)
def test_a_part_that_any_reader_gets_along_with_is_left_as_it_is(text: str, encoding: str) -> None:
    letter = mail(text=text)
    part = parsed(letter).get_body(("plain",))
    assert part is not None
    assert part["Content-Transfer-Encoding"] == encoding
    assert body(letter, "plain") == f"{text}\n"
    assert (text.replace("\n", "\r\n").encode() in letter.content) == (encoding == "7bit")


def test_a_trial_says_so_in_front() -> None:
    letter = mail(to=To(("qa@example.test", "boss@example.test"), "[staging] "))
    assert parsed(letter)["Subject"] == "[staging] Hello"
    assert parsed(letter)["To"] == "qa@example.test, boss@example.test"
    assert letter.recipients == ("qa@example.test", "boss@example.test")


def test_the_message_id_follows_from_the_send() -> None:
    assert message_id("t-1.a_B", "example.test") == "<t-1.a_B@example.test>"
    odd = message_id("a b>\r\nX: y", "example.test")
    assert odd == message_id("a b>\r\nX: y", "example.test")
    assert odd[1:].partition("@")[0].isalnum()
    assert len(message_id("x" * 500, "example.test")) < 60


def test_a_mail_can_say_when_it_was_due() -> None:
    letter = compose("t1", Rendered("Hi", "<p>Hi</p>", "Hi"), ADA, SHOP, NOW, due=NOW - SECOND)
    assert parsed(letter)["X-Beckon-Due"] == "2025-10-09T08:53:19Z"


def test_the_parts_cannot_be_mistaken_for_the_boundary() -> None:
    first = mail()
    boundary = parsed(first).get_boundary()
    letter = mail(text=f"--{boundary}\n\nmore\n--{boundary}--\n.", html=f"<p>--{boundary}--</p>")
    assert parsed(letter).get_boundary() == boundary
    assert body(letter, "plain") == f"--{boundary}\n\nmore\n--{boundary}--\n.\n"
    assert body(letter, "html") == f"<p>--{boundary}--</p>\n"


def test_what_the_headers_say_of_the_rule_is_nobody_s_data() -> None:
    trigger = Trigger(
        "t1", "ada@example.test", "cart-abandonment", 1, NOW, Terms(EmailAction("cart-reminder"), "nudge")
    )
    help_ = Sender("Hilfe für alle", "help@example.test")
    headers = standing(trigger, SHOP, help_, unsubscribe=True)
    message = parsed(compose("t1", Rendered("Hi", "<p>Hi</p>", "Hi"), ADA, SHOP, NOW, standing=headers))
    assert str(message["Reply-To"]) == "Hilfe für alle <help@example.test>"
    assert message["Feedback-ID"] == "cart-abandonment:nudge:cart-reminder:exampletest"
    assert message["List-Id"] == "<nudge.example.test>"
    assert message["Auto-Submitted"] == "auto-generated"
    assert not any("ada" in header for header in headers)
    bare = standing(trigger, SHOP, None, unsubscribe=False)
    assert [header.partition(":")[0] for header in bare] == ["Feedback-ID", "Auto-Submitted"]


@pytest.mark.parametrize("domain", ["a.de", "shop.example", "a-very-long-name-of-a-shop.example.test"])
def test_the_sender_s_id_is_as_long_as_gmail_takes_it(domain: str) -> None:
    trigger = Trigger("t1", "ada", "r", 1, NOW, Terms(EmailAction("t")))
    last = feedback_id(trigger, domain).rpartition(":")[2]
    assert 5 <= len(last) <= 15
    assert last.isalnum()


def test_the_sender_is_read_from_the_settings() -> None:
    assert sender("Shop <shop@example.test>") == Sender("Shop", "shop@example.test")
    assert sender("shop@example.test").domain == "example.test"
    with pytest.raises(ValueError):
        sender("Shop")
