"""What mails to the address for bounces say: samples as several servers write them, and whatever else may come."""

import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.mailer.bounces import classify
from services.mailer.notices import MAX_BYTES, Notice, read

SAMPLES = Path(__file__).parent / "notices"
TOKEN = "TOKENTOKENTOKENTOKENTOKENTOKEN22"


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.eml").read_bytes()


def kind(notice: Notice) -> str:
    assert notice.report, notice.ignored
    return notice.report.kind or classify(notice.report.status, notice.report.code)


@pytest.mark.parametrize(
    ("name", "expected", "reason"),
    [
        ("postfix-unknown", "hard", "550 5.1.1 <ada@example.net>: Recipient address rejected: User unknown"),
        ("exchange-unknown", "hard", "550 5.1.10 RESOLVER.ADR.RecipientNotFound"),
        ("exchange-full", "soft", "554 5.2.2 mailbox full"),
        ("gmail-blocked", "blocked", "550-5.7.1 [192.0.2.1      12] Our system"),
        ("exim-gave-up", "soft", "retry timeout exceeded"),
        ("exim-prose", "hard", "550 No such person at this address"),
    ],
)
def test_a_bounce_is_of_its_kind_and_says_why(name: str, expected: str, reason: str) -> None:
    for data in (sample(name), sample(name).replace(b"\r\n", b"\n")):
        notice = read(data)
        assert kind(notice) == expected
        assert notice.report
        assert reason in notice.report.reason


@pytest.mark.parametrize("name", ["arf-abuse", "arf-headers-only"])
def test_a_complaint_names_the_mail_it_is_about(name: str) -> None:
    notice = read(sample(name))
    assert kind(notice) == "complaint"
    assert TOKEN in notice.tokens


@pytest.mark.parametrize("name", ["postfix-unknown", "exchange-unknown", "exim-gave-up"])
def test_a_bounce_names_it_too_where_it_brings_our_head_back(name: str) -> None:
    assert set(read(sample(name)).tokens) == {TOKEN}


@pytest.mark.parametrize(
    ("name", "why"),
    [
        ("postfix-delayed", "no failure: delayed"),
        ("vacation", "an automatic answer"),
        ("arf-not-spam", "feedback of type 'not-spam'"),
    ],
)
def test_what_is_no_failure_and_no_complaint_is_ignored(name: str, why: str) -> None:
    notice = read(sample(name))
    assert (notice.report, notice.ignored) == (None, why)


def test_a_person_who_writes_of_codes_is_no_server() -> None:
    assert read(b"From: Ada <ada@example.net>\r\n\r\nyour server said 550 5.1.1 to me").ignored == "no report"


NASTY = {
    "nested": b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(6000)),
    "parts": b"Content-Type: multipart/report; boundary=b\r\n\r\n" + b"--b\r\n\r\n" * 40_000,
    "no end of a boundary": b"Content-Type: multipart/report; boundary=b\r\n\r\n" + b"\n--" * 80_000,
    "headers": b"a:\r\n" * 60_000,
    "folded": b"Subject:" + b"\r\n " * 80_000,
    "parameters": b"Content-Type: multipart/report" + b';a="' * 60_000,
    "spaces": b"Content-Type: multipart/report;" + b" " * 250_000,
    "semicolons": b"Content-Type: a" + b"; ;\t" * 60_000,
    "blank lines": b"Content-Type: message/delivery-status\r\n\r\n" + b"\r\n" * 120_000,
    "codes": b"From: mailer-daemon@x\r\n\r\n" + b"5.1." * 60_000,
    "digits": b"From: mailer-daemon@x\r\n\r\n" + b"5" * 250_000,
    "at signs": b"X-Failed-Recipients: a\r\n\r\n550 " + b"a@" * 120_000,
    "quoted-printable": b"Content-Type: message/feedback-report\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n"
    + b"=\r\n" * 80_000,
}


@pytest.mark.parametrize("name", NASTY)
def test_no_mail_takes_long(name: str) -> None:
    began = time.process_time()
    read((NASTY[name] * 2)[:MAX_BYTES])
    assert time.process_time() - began < 0.2


@given(st.binary(max_size=2000))
def test_whatever_comes_is_read(data: bytes) -> None:
    read(data)


@given(st.data())
def test_whatever_becomes_of_a_report_on_its_way_is_read(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(sorted(path.stem for path in SAMPLES.glob("*.eml"))))
    mail = bytearray(sample(name))
    for _ in range(data.draw(st.integers(1, 20))):
        at = data.draw(st.integers(0, len(mail)))
        mail[at : at + data.draw(st.integers(0, 40))] = data.draw(st.binary(max_size=40))
    read(bytes(mail))
