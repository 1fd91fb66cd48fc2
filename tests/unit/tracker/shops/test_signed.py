"""Whose webhooks are read, and that nothing in one that is signed can do harm."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.tracker.events import Malformed, Origin, take
from services.tracker.keys import Unauthorised
from services.tracker.shops import SHOPS, Shop
from services.tracker.shops.signatures import is_signed
from services.tracker.shops.table import TOPICS
from shared.bus import encode

NOW = 1_769_850_000_000_000  # 2026-01-31T09:00:00Z
OLD, NEW = "an-older-secret-of-the-shop", "a-newer-secret-of-the-shop"
SHOPIFY, WOOCOMMERCE = SHOPS.values()


def signature(body: bytes, secret: str = NEW) -> str:
    return base64.b64encode(hmac.new(secret.encode(), body, hashlib.sha256).digest()).decode()


def test_either_secret_signs_while_one_follows_the_other() -> None:
    for secret in (OLD, NEW):
        assert is_signed(b"{}", signature(b"{}", secret), (OLD, NEW))
    assert not is_signed(b"{}", signature(b"{}", OLD), (NEW,))


def test_known_answer() -> None:
    """RFC 4231, test case 2."""
    digest = bytes.fromhex("5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843")
    assert is_signed(b"what do ya want for nothing?", base64.b64encode(digest).decode(), ("Jefe",))


@pytest.mark.parametrize("wrong", ["", "x", "é", "\udcff", signature(b"{ }"), signature(b"{}")[:-1], "=" * 44])
def test_another_signature_is_refused(wrong: str) -> None:
    assert not is_signed(b"{}", wrong, (NEW,))


@pytest.mark.parametrize("shop", SHOPS.values(), ids=lambda shop: shop.name)
def test_without_the_right_signature_nothing_is_read(shop: Shop) -> None:
    with pytest.raises(Unauthorised, match=f"{shop.signature} is missing"):
        shop.read(b"not even JSON", {}, (NEW,))
    with pytest.raises(Unauthorised, match=f"{shop.signature} is not this body's, with any of {shop.setting}"):
        shop.read(b"not even JSON", {shop.signature: signature(b"{}")}, (NEW,))


def test_only_woocommerce_pings() -> None:
    assert WOOCOMMERCE.is_ping(b"webhook_id=12")
    assert not WOOCOMMERCE.is_ping(b"webhook_id=12&x=1")
    assert not WOOCOMMERCE.is_ping(b"webhook_id=")
    assert not SHOPIFY.is_ping(b"webhook_id=12")


JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.sampled_from(["ada@example.com", "9.90"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
FIELDS = [
    *("id", "token", "cart_token", "email", "status", "total", "total_price", "currency", "customer_id", "updated_at"),
    *("created_at", "date_created_gmt", "date_modified_gmt", "processed_at", "cancelled_at", "abandoned_checkout_url"),
]
LINE = st.dictionaries(st.sampled_from(["product_id", "variant_id", "title", "name", "price", "quantity", "sku"]), JSON)
ATTRIBUTE = st.fixed_dictionaries({"name": st.sampled_from(["beckon_anonymous_id", "x"]), "value": JSON})
PAYLOADS = st.dictionaries(
    st.sampled_from(FIELDS), JSON | st.sampled_from(["processing", "2026-01-31T08:00:00"])
).flatmap(
    lambda plain: st.fixed_dictionaries(
        {name: st.just(value) for name, value in plain.items()},
        optional={
            "line_items": st.lists(LINE, max_size=4) | JSON,
            "customer": st.dictionaries(st.sampled_from(["id", "email", "first_name", "updated_at"]), JSON) | JSON,
            "note_attributes": st.lists(ATTRIBUTE, max_size=2) | JSON,
            "discount_codes": st.lists(st.dictionaries(st.just("code"), JSON), max_size=3) | JSON,
            "billing": st.dictionaries(st.sampled_from(["email", "country"]), JSON) | JSON,
        },
    )
)
TOPIC = st.sampled_from([(shop, topic) for shop in SHOPS.values() for topic in TOPICS[shop.name]])


def deliver(shop: Shop, topic: str, body: bytes) -> None:
    try:
        told = shop.read(body, {shop.topic: topic, shop.signature: signature(body)}, (OLD, NEW))
    except Malformed:
        return
    assert told.items or told.note
    taken = take(told.items, Origin(shop.name, trusted=True), NOW, bytes)
    assert len(taken.events) + len(taken.rejected) == len(told.items)
    for event in taken.events:
        encode(event)
        json.dumps([event.person, event.properties], ensure_ascii=False, allow_nan=False).encode()
    for rejected in taken.rejected:
        assert rejected.error.isascii()
        assert rejected.error.isprintable()


@given(TOPIC, PAYLOADS | JSON)
def test_any_json(topic: tuple[Shop, str], payload: Any) -> None:
    deliver(*topic, json.dumps(payload).encode())


@given(TOPIC, st.binary())
def test_any_bytes(topic: tuple[Shop, str], body: bytes) -> None:
    deliver(*topic, body)
