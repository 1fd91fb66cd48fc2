"""Headers that are not ASCII, read back by Python's own parser."""

from email import message_from_bytes, policy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.mailer.words import encoded


def read(value: str) -> str:
    return str(message_from_bytes(f"Subject: {value}\r\n\r\n".encode("ascii"), policy=policy.default)["Subject"])


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Still in your cart: Copper kettle", "Still in your cart: Copper kettle"),
        ("Zoë, your cart?", "=?utf-8?q?Zo=C3=AB=2C_your_cart=3F?="),
        ("カートに商品が", "=?utf-8?b?44Kr44O844OI44Gr5ZWG5ZOB44GM?="),
    ],
)
def test_as_plain_as_can_be(text: str, value: str) -> None:
    assert encoded(text, "Subject") == value
    assert read(value) == text


@settings(max_examples=200)
@given(
    st.text(alphabet=st.characters(exclude_categories=("C", "Z")) | st.just(" "), max_size=250)
    .map(str.split)
    .map(" ".join)
)
def test_what_is_written_is_read(text: str) -> None:
    value = encoded(text.replace("=?", "= ?"), "Subject")
    assert read(value) == text.replace("=?", "= ?")
    if not text.isascii():
        assert max(len(line) for line in f"Subject: {value}".split("\r\n")) <= 76
