"""Signatures, judged by dkimpy, which is not ours."""

import base64
import re
from email import message_from_bytes, policy

import dkim
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from services.mailer.address import To
from services.mailer.compose import Rendered, Sender, compose
from services.mailer.dkim import SIGNED, Signer, aligned, relaxed_body
from shared.clock import SECOND
from shared.dkim import DkimKey, in_zone, read_keys, record, written

NOW = 1_760_000_000 * SECOND
SHOP = Sender("Kiln & Kettle, Köln", "shop@example.test")
RSA = DkimKey("r1", rsa.generate_private_key(65537, 2048))
ED25519 = DkimKey("e1.mail", ed25519.Ed25519PrivateKey.generate())
BOTH = (RSA, ED25519)
SHORT = (
    "MIIB5gIBADANBgkqhkiG9w0BAQEFAASCAdAwggHMAgEAAmEA5zuUNBfNk3qnqaMSMtFjy2zGNkfbk59xlCETAsjQcNUrcjNxWXhLEAnB1ecpSV"
    "RRdAADItE7sxA5MCXEAP5Pvo1IeMBr3fFlZVSEk51ZWX47TVcScMb11ytoWdZ6YV9bAgMBAAECYAkLAHHFGIoS+umccgLAw5laCKpoxwKP8r4r"
    "SPYL6nLvM0LFFkK8fJsE9qqp3qh6fp31BXncAkpys2kyyUIequwNSteQ/ZVXjj6mYXA6UGsoGm39ivfhNnQ3FmGjUxiKoQIxAPhCChCE8EO4B3"
    "QECzvq4g2wonbluhbtrjb8C5NvO0zC8rYFiQ2vCKShj+fRfExLsQIxAO5xnn1S+Mk9cJJC1lg1+9oxKPfIZqHYG6SLZ3Xd8lqWkWV6yt47JuMT"
    "0vqwUX96ywIxAN367tTmiY+DteZe10y0MXzcO+jkcQifbe9sX01tYDC7ABsRyAKcR7YtYGeAQQxXgQIxAO4IXr+dZN8AhrB8KJ5GxfU7vjodxN"
    "csdev9fnsb5iSoyt0TiBHx2xA1ahj4i2NHoQIxALnF2z7+lac1+6zZWEzo4eCPkBVaVbBqiMlDH4lz+lIOYMYfsPtKnU1Z23kN1Zo6vQ=="
)
"""An RSA key of 768 bits."""
DNS = {f"{key.selector}._domainkey.example.test.".encode(): record(key).encode() for key in BOTH}


def signed(content: bytes, *keys: DkimKey) -> bytes:
    return Signer("example.test", keys or BOTH).signed(content, NOW)


def verdicts(mail: bytes) -> list[bool]:
    """dkimpy's of each signature; false also where it cannot read it."""
    found = []
    for number in range(len(re.findall(rb"(?m)^DKIM-Signature:", mail))):
        try:
            found.append(dkim.DKIM(mail).verify(number, dnsfunc=lambda name, timeout=5: DNS.get(name)))
        except dkim.DKIMException:
            found.append(False)
    return found


def letter(subject: str = "Hello", text: str = "Hi", html: str = "<p>Hi</p>") -> bytes:
    to = To(("ada@example.test", "bob@example.test"))
    unsubscribe = "https://events.shop.example/u/" + "t" * 300
    return compose("t1", Rendered(subject, html, text), to, SHOP, NOW, unsubscribe=unsubscribe).content


@pytest.mark.parametrize("keys", [(RSA,), (ED25519,), BOTH], ids=["rsa", "ed25519", "both"])
@pytest.mark.parametrize(
    "content",
    [
        letter(),
        letter(
            "Zoë, your Café-Kanne ☕ " + "waits and waits " * 20, "Grüße\n\n.\n..\n" + "x" * 900, "<p>" + "ü" * 4000
        ),
        letter(text=".\n.dot at the start\n\n\n\n"),
        b"From: a@example.test\r\nSubject: no body\r\n\r\n",
        b"From: a@example.test\r\nSubject:  \t two  spaces \r\n\tand a fold \r\n\r\n \t \r\n\r\n\r\n",
        b"From: a@example.test\r\nto: x@y.test\r\nTO: z@y.test\r\n\r\nno end of the last line",
        b"From: a@example.test\r\n\r\n\r\n\r\n a\t \tb  \r\n\r\n. \r\n\r\n",
    ],
    ids=["plain", "utf-8 and long lines", "dots", "empty body", "white space", "two of a name", "trailing lines"],
)
def test_dkimpy_finds_every_signature_valid(content: bytes, keys: tuple[DkimKey, ...]) -> None:
    mail = signed(content, *keys)
    assert mail.endswith(content)
    assert verdicts(mail) == [True] * len(keys)


@settings(max_examples=60, deadline=None)
@given(
    st.text(max_size=300),
    st.lists(st.text(alphabet=st.sampled_from(" \t.abü=\\\r\n"), max_size=120), max_size=8).map("\n".join),
    st.binary(max_size=200).map(lambda raw: re.sub(rb"\r|\n", b" \r\n", raw) + b"\r\n"),  # as every line does in SMTP
)
def test_whatever_it_says_it_verifies(subject: str, text: str, raw: bytes) -> None:
    assert verdicts(signed(letter(subject, text))) == [True, True]
    assert verdicts(signed(b"From: a@example.test\r\n\r\n" + raw, ED25519)) == [True]


def test_the_header_is_folded_and_can_be_read() -> None:
    mail = signed(letter("ü" * 200))
    for field in mail[: mail.index(b"From:")].split(b"\r\n"):
        assert len(field) <= 78
        assert not field.endswith(b" ")
    parsed = message_from_bytes(mail, policy=policy.default)
    tags = dict(
        re.fullmatch(r"\s*(\w+)=(.*)", tag, re.DOTALL).groups()  # type: ignore[union-attr]
        for tag in str(parsed["DKIM-Signature"]).split(";")
    )
    assert (tags["a"], tags["d"], tags["s"], tags["t"]) == ("rsa-sha256", "example.test", "r1", "1760000000")
    assert "l" not in tags, "nothing can be added below"


@pytest.mark.parametrize("name", SIGNED)
def test_no_header_that_matters_can_be_added(name: str) -> None:
    mail = signed(letter())
    first, _, rest = mail.partition(b"\r\nFrom:")
    for spoilt in (first + f"\r\n{name}: x".encode() + b"\r\nFrom:" + rest, f"{name}: x\r\n".encode() + mail):
        assert verdicts(spoilt) == [False, False]


@pytest.mark.parametrize(
    ("old", "new"), [(b"Hello", b"Hullo"), (b"<p>Hi</p>", b"<p>Ho</p>"), (b"/u/t", b"/u/x"), (b"ada@", b"eve@")]
)
def test_nothing_that_matters_can_be_changed(old: bytes, new: bytes) -> None:
    assert verdicts(signed(letter()).replace(old, new)) == [False, False]


def test_without_keys_a_mail_stays_as_it_is() -> None:
    assert Signer("example.test", ()).signed(letter(), NOW) == letter()


def test_an_empty_body_is_nothing() -> None:
    """RFC 6376 section 3.4.4: unlike in the simple form."""
    assert [relaxed_body(body) for body in (b"", b"\r\n", b" \r\n\r\n", b" a  b \r\n\r\n")] == [
        b"",
        b"",
        b"",
        b" a b\r\n",
    ]


# --- Keys -------------------------------------------------------------------------------------------------------------


def der(key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> str:
    return base64.b64encode(key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())).decode()


def test_a_key_is_written_and_read() -> None:
    assert [written(key) for key in read_keys(tuple(map(written, BOTH)))] == [written(key) for key in BOTH]


@pytest.mark.parametrize(
    ("texts", "error"),
    [
        (("secret",), "number 1 is not SELECTOR:KEY"),
        (("a_b:c2VjcmV0",), "'a_b' is not a selector"),
        (("a:secret!",), "the key of a is not an unencrypted private key"),
        (("a:c2VjcmV0",), "the key of a is not an unencrypted private key"),
        ((f"a:{der(ec.generate_private_key(ec.SECP256R1()))}",), "the key of a is neither RSA nor Ed25519"),
        ((written(ED25519), written(ED25519).replace("e1", "E1")), "two keys have the selector e1.mail"),
    ],
)
def test_a_bad_key_is_told_and_not_repeated(texts: tuple[str, ...], error: str) -> None:
    with pytest.raises(ValueError) as caught:
        read_keys(texts)
    assert error in str(caught.value)
    assert "secret" not in str(caught.value).lower()


def test_a_short_key_is_weak_and_one_too_short_is_refused() -> None:
    (weak,) = read_keys((f"a:{der(rsa.generate_private_key(65537, 1024))}",))
    assert weak.weak
    assert not RSA.weak
    with pytest.raises(ValueError, match="has 768 bits"):
        read_keys((f"a:{SHORT}",))


def test_a_long_record_is_several_strings() -> None:
    pieces = re.findall(r'"([^"]*)"', in_zone(record(RSA)))
    assert [len(piece) for piece in pieces] == [255, len(record(RSA)) - 255]
    assert "".join(pieces) == record(RSA)


@pytest.mark.parametrize("domain", ["example.test", "mail.example.test", "EXAMPLE.test"])
def test_a_domain_above_or_below_that_of_the_sender_is_aligned(domain: str) -> None:
    assert aligned(domain, "example.test") == domain.lower()
    assert aligned("example.test", "news.example.test") == "example.test"


@pytest.mark.parametrize("domain", ["other.test", "notexample.test", "test", "example..test"])
def test_any_other_domain_is_refused(domain: str) -> None:
    with pytest.raises(ValueError):
        aligned(domain, "example.test")
