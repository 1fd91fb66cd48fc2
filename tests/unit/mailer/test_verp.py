"""Addresses for bounces: short enough, whatever becomes of their capitals, and nobody else's."""

import pytest

from services.mailer.verp import Verp, domain, report_key
from shared.links import BadToken

SECRETS = ["s" * 32]
ID = "<0f3d5c9a8b7e6d5c4b3a291807f6e5d4@shop.example>"


def test_an_address_tells_which_mail_it_was_of() -> None:
    verp = Verp(SECRETS, "bounces.shop.example")
    address = verp.sender(ID)
    local, _, host = address.partition("@")
    assert (len(local), host) == (39, "bounces.shop.example")
    assert verp.read(address) == verp.read(address.upper()) == report_key(ID) == report_key(ID.strip("<>"))
    assert report_key(ID) != report_key(ID.replace("0f", "1f"))


def test_the_head_of_a_mail_names_the_same_token() -> None:
    verp = Verp(SECRETS, "bounces.shop.example")
    address, id_ = verp.headers(ID)
    assert address == "CFBL-Address: complaints@bounces.shop.example; report=arf"
    assert verp.read_token(id_.removeprefix("CFBL-Feedback-ID: ")) == report_key(ID)


def test_what_an_older_secret_made_is_known_until_the_secret_is_gone() -> None:
    old = Verp(["o" * 32], "b.example").sender(ID)
    assert Verp(["n" * 32, "o" * 32], "b.example").read(old) == report_key(ID)
    with pytest.raises(BadToken):
        Verp(["n" * 32], "b.example").read(old)


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.replace("bounce+", "bounce"),
        lambda a: a.replace("@b.example", "@c.example"),
        lambda a: "",
        lambda a: "complaints@b.example",
        lambda a: "bounce+@b.example",
        lambda a: "bounce+" + "a" * 32 + "@b.example",
        lambda a: a[:7] + ("a" if a[7] != "a" else "b") + a[8:],
        lambda a: a[:38] + ("a" if a[38] != "a" else "b") + a[39:],
        lambda a: a.replace("@", "=@"),
        lambda a: "bounce+" + "ä" * 32 + "@b.example",
    ],
)
def test_what_is_not_ours_is_refused(change) -> None:  # type: ignore[no-untyped-def]
    verp = Verp(SECRETS, "b.example")
    with pytest.raises(BadToken):
        verp.read(change(verp.sender(ID)))


def test_a_domain() -> None:
    assert domain("Bounces.Shop.example") == "bounces.shop.example"
    assert domain("") == ""
    for bad in (
        "shop",
        "a@b.example",
        "b.example.",
        "-b.example",
        "b.example:25",
        "x" * 200 + ".example",
        "b..example",
    ):
        with pytest.raises(ValueError, match="not a domain name"):
            domain(bad)
