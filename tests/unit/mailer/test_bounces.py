"""One classifier for every refusal."""

import pytest

from services.mailer.bounces import classify, printable, reason, status_in


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        ("5.1.1", None, "hard"),
        ("5.1.10 RESOLVER.ADR.RecipientNotFound", None, "hard"),
        ("5.2.1", None, "hard"),
        ("5.5.0 mailbox unavailable", 550, "hard"),
        ("", 550, "hard"),
        ("no such user", 553, "hard"),
        ("5.2.2", None, "soft"),
        ("5.2.3", None, "soft"),
        ("5.3.4", None, "soft"),
        ("5.4.4", None, "soft"),
        ("4.4.7", None, "soft"),
        ("4.1.1", None, "soft"),
        ("", 552, "soft"),
        ("", 452, "soft"),
        ("", None, "soft"),
        ("nothing", None, "soft"),
        ("5.7.1", 550, "blocked"),
        ("4.7.26", None, "blocked"),
        ("5.6.0", None, "blocked"),
        ("5.1.8", 550, "blocked"),
    ],
)
def test_a_refusal_is_of_a_kind(status: str, code: int | None, kind: str) -> None:
    assert classify(status, code) == kind


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("550 5.1.1 <a@b.example> unknown", "5.1.1"),
        ("550-5.7.1 because", "5.7.1"),
        ("said 2.0.0, then 4.2.2", "4.2.2"),
        ("host 192.5.1.1 and 5.1.1.7", ""),
        ("", ""),
    ],
)
def test_the_status_in_a_text(text: str, found: str) -> None:
    assert status_in(text) == found


def test_a_reason_is_one_short_line_without_addresses() -> None:
    said = reason("550 5.1.1 <ada.lovelace+x@mail.example.net>:\r\n user ada@example.net\x00 unknown" + "x" * 10_000)
    assert said.startswith("550 5.1.1 <…>: user … unknown")
    assert len(said) == 300


def test_what_a_server_says_becomes_one_clean_line() -> None:
    assert printable("no\r\nsuch\tuser\x00 \udc80 here") == "no such user here"
    assert len(printable("x" * 10_000)) == 300
