"""What Shopify sends, and what becomes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.tracker.events import MAX_EVENT_BYTES, EventIn, Malformed, Origin, Taken, take
from services.tracker.shops.reading import Told, read
from services.tracker.shops.table import MAX_PRODUCTS
from shared.clock import DAY, MILLISECOND, SECOND
from shared.identity import tie
from shared.messages import Event

NOW = 1_769_850_000_000_000  # 2026-01-31T09:00:00Z
CART = "Z2NwLWV1cm9wZS13ZXN0MTowMUtHNVQ3WEpRWjZSMg"
ADA = "7733190148332"
BROWSER = "3f1c9a52-6c55-4b0e-9a53-0f2f2c7d1a11"
PROFILE = {
    "email": "ada.brandt@example.com",
    "first_name": "Ada",
    "last_name": "Brandt",
    "phone": "+4366055501000",
    "locale": "de-AT",
    "currency": "EUR",
    "country": "AT",
    "accepts_marketing": True,
}


def sample(name: str, **changes: Any) -> dict[str, Any]:
    path = Path(__file__).with_name(f"shopify-{name}.json")
    return {**json.loads(path.read_text(encoding="utf-8")), **changes}


def told(topic: str, payload: Any) -> Told:
    return read("shopify", topic, json.dumps(payload).encode())


def taken(topic: str, payload: Any) -> Taken:
    return take(told(topic, payload).items, Origin("shopify", trusted=True), NOW, bytes)


def events(topic: str, payload: Any) -> list[Event]:
    """All of them must be accepted."""
    found, rejected = taken(topic, payload)
    assert rejected == []
    return found


def reason(topic: str, payload: Any) -> str:
    found, (rejected,) = taken(topic, payload)
    assert found == []
    return rejected.error


def names(found: list[Event]) -> list[str]:
    return [event.name for event in found]


# --- Carts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["carts/create", "carts/update"])
def test_a_cart_is_what_was_added_and_then_all_that_is_in_it(topic: str) -> None:
    jug, tea, cart = events(topic, sample("cart"))
    assert names([jug, tea, cart]) == ["added_to_cart", "added_to_cart", "cart_updated"]
    assert {event.person for event in (jug, tea, cart)} == {f"cart:{CART}"}
    assert {event.timestamp for event in (jug, tea, cart)} == {NOW - 20 * 60 * SECOND + 12_417 * MILLISECOND}
    assert {(event.source, event.trusted) for event in (jug, tea, cart)} == {("shopify", True)}
    assert jug.properties == {
        "product_id": "9654262522156",
        "variant_id": "48794594689324",
        "sku": "JUG-1L",
        "name": "Stoneware jug - 1 l",
        "price": 24.5,
        "currency": "EUR",
        "quantity": 2,
    }
    assert cart.properties == {
        "products": [jug.properties, tea.properties],
        "total": 56.9,
        "currency": "EUR",
        "quantity": 3,
    }


def test_a_line_that_stays_as_it_was_is_the_same_event_and_a_changed_one_another() -> None:
    before = sample("cart")
    after = sample("cart", updated_at="2026-01-31T08:41:00.000Z")
    after["line_items"][0]["quantity"] = 3
    first, second = (events("carts/update", cart) for cart in (before, after))
    assert first[1].id == second[1].id == f"shopify.cart.{CART}.48794594680001.1"
    assert (first[0].id, second[0].id) == tuple(f"shopify.cart.{CART}.48794594689324.{count}" for count in (2, 3))
    assert first[2].id != second[2].id


def test_a_cart_that_was_emptied_says_so() -> None:
    (cart,) = events("carts/update", sample("cart", line_items=[]))
    assert (cart.name, cart.properties) == ("cart_updated", {"products": [], "total": 0, "quantity": 0})


def test_two_states_within_one_moment_are_two_events() -> None:
    full, empty = (events("carts/update", sample("cart", **changes))[-1] for changes in ({}, {"line_items": []}))
    assert full.timestamp == empty.timestamp
    assert full.id != empty.id


def test_of_a_large_cart_the_first_lines_are_listed_and_the_total_is_of_all() -> None:
    (line, *_) = sample("cart")["line_items"]
    lines = [{**line, "variant_id": 1000 + number} for number in range(300)]
    *added, cart = events("carts/update", sample("cart", line_items=lines))
    assert len(added) == len(cart.properties["products"]) == MAX_PRODUCTS
    assert cart.properties["total"] == 300 * 49


def test_a_cart_is_in_the_currency_the_customer_sees() -> None:
    cart = sample("cart")
    for line in cart["line_items"]:
        line["price_set"]["presentment_money"] = {"amount": "23.10", "currency_code": "CHF"}
        line["line_price_set"]["presentment_money"] = {"amount": "46.20", "currency_code": "CHF"}
    *_, updated = events("carts/update", cart)
    assert (updated.properties["total"], updated.properties["currency"]) == (92.4, "CHF")
    assert {product["price"] for product in updated.properties["products"]} == {23.1}


# --- Checkouts --------------------------------------------------------------------------------------------------------


def test_a_checkout_of_somebody_with_an_address_is_theirs_and_so_are_the_cart_and_the_browser() -> None:
    cart, browser, checkout = events("checkouts/update", sample("checkout"))
    assert names([cart, browser, checkout]) == ["identify", "identify", "checkout_started"]
    assert (checkout.person, checkout.id) == (
        "ada.brandt@example.com",
        "shopify.checkout.da4a9d115469c72cf166bfbe6c5313d1",
    )
    assert checkout.timestamp < cart.timestamp, "it began before the address was known"
    assert checkout.properties == {
        "total": 51.7,
        "currency": "CHF",
        "url": f"https://tea.example/80371122466/checkouts/ac/{CART}/recover?key=fb805739459d0254710146f3c92a610a",
        "coupons": ["WARM10"],
        "products": [
            {
                "product_id": "9654262522156",
                "variant_id": "48794594689324",
                "sku": "JUG-1L",
                "name": "Stoneware jug",
                "price": 26.0,
                "currency": "CHF",
                "quantity": 2,
            }
        ],
    }
    assert [event.anonymous_id for event in (cart, browser)] == [f"cart:{CART}", BROWSER]
    assert cart.properties == {
        "email": "ada.brandt@example.com",
        "locale": "de-AT",
        "accepts_marketing": False,
    }
    assert browser.properties == {}


def test_a_checkout_of_nobody_yet_is_its_carts_or_its_own() -> None:
    (checkout,) = events("checkouts/create", sample("checkout", email=None))
    assert checkout.person == f"cart:{CART}"
    (checkout,) = events("checkouts/create", sample("checkout", email="", cart_token=None))
    assert checkout.person == "checkout:da4a9d115469c72cf166bfbe6c5313d1"
    identified, *_ = events("checkouts/update", sample("checkout", cart_token=None))
    assert identified.anonymous_id == checkout.person


def test_an_address_that_was_mistyped_and_put_right_is_told_each_time() -> None:
    told_ids = {
        events("checkouts/update", sample("checkout", email=email, updated_at=f"2026-01-31T09:43:5{second}+01:00"))[
            0
        ].id
        for second, email in enumerate(["ada@example.com", "ad@example.com", "ada@example.com"])
    }
    assert len(told_ids) == 3


# --- Orders -----------------------------------------------------------------------------------------------------------


def test_an_order_is_a_purchase_of_the_customer_who_had_the_cart() -> None:
    cart, browser, address, order = events("orders/create", sample("order"))
    assert names([cart, browser, address, order]) == ["identify", "identify", "alias", "purchased"]
    assert {event.person for event in (cart, browser, address, order)} == {ADA}
    assert (order.id, order.timestamp) == ("shopify.order.5571190412332", NOW - 13 * 60 * SECOND + 4 * SECOND)
    assert order.properties == {
        "order_id": "5571190412332",
        "total": 46.1,
        "currency": "EUR",
        "coupons": ["WARM10"],
        "products": [
            {
                "product_id": "9654262522156",
                "variant_id": "48794594689324",
                "sku": "JUG-1L",
                "name": "Stoneware jug",
                "price": 24.5,
                "currency": "EUR",
                "quantity": 2,
            }
        ],
    }
    ties = [tie(event, event.person) for event in (cart, browser, address)]
    assert [(each.previous, each.kind) for each in ties if each] == [
        (f"cart:{CART}", "identify"),
        (BROWSER, "identify"),
        ("ada.brandt@example.com", "alias"),
    ]
    assert cart.properties == PROFILE


def test_the_same_delivery_twice_is_the_same_events() -> None:
    for topic, name in (("orders/create", "order"), ("checkouts/update", "checkout"), ("carts/update", "cart")):
        first, second = (events(topic, sample(name)) for _ in range(2))
        assert [event.id for event in first] == [event.id for event in second]
        assert len({event.id for event in first}) == len(first)


def test_a_guest_is_known_by_the_address_and_the_cart_where_there_is_no_address() -> None:
    assert events("orders/create", sample("order", customer=None))[-1].person == "ada.brandt@example.com"
    (order,) = events("orders/create", sample("order", customer=None, email=None))
    assert order.person == f"cart:{CART}"
    assert reason("orders/create", sample("order", customer=None, email=None, cart_token=None)) == (
        "neither a customer nor an address nor a cart is told: nobody did this"
    )


def test_an_address_typed_into_an_order_makes_nobody_one_with_its_owner() -> None:
    found = events("orders/create", sample("order", email="bob@example.com"))
    assert [event.properties["previous_id"] for event in found if event.name == "alias"] == ["ada.brandt@example.com"]
    found = events("orders/create", sample("order", email="bob@example.com", customer={"id": 7}))
    assert "alias" not in names(found)


@pytest.mark.parametrize(
    "value", ["1234", "bob@example.com", "cart:other", "", "x" * 257, 7, None, {"a": 1}, "12\n34@"], ids=repr
)
def test_what_could_be_another_customer_is_not_taken_for_a_browser(value: Any) -> None:
    attributes = [{"name": "beckon_anonymous_id", "value": value}]
    assert names(events("orders/create", sample("order", note_attributes=attributes))) == [
        "identify",
        "alias",
        "purchased",
    ]


def test_a_cancelled_order() -> None:
    *_, cancelled = events("orders/cancelled", sample("order", cancelled_at="2026-01-31T09:59:00+01:00"))
    assert (cancelled.name, cancelled.person, cancelled.id) == (
        "order_cancelled",
        ADA,
        "shopify.order.5571190412332.cancelled",
    )
    assert cancelled.timestamp == NOW - 60 * SECOND
    assert (cancelled.properties["order_id"], cancelled.properties["total"]) == ("5571190412332", 46.1)


def test_an_order_brought_in_from_elsewhere_happened_when_it_was_processed() -> None:
    order = sample("order", processed_at="2025-03-01T10:00:00Z")
    _, rejected = taken("orders/create", order)
    assert {each.error for each in rejected} == {"timestamp: '2025-03-01T10:00:00Z' is more than 30 days ago"}
    assert (
        events("orders/create", sample("order", processed_at=None))[-1].timestamp == NOW - 13 * 60 * SECOND + 5 * SECOND
    )


# --- Customers --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("topic", ["customers/create", "customers/update", "customers/enable"])
def test_a_customer_is_a_profile_and_an_address(topic: str) -> None:
    identified, address = events(topic, sample("customer"))
    assert (identified.name, identified.person, identified.anonymous_id) == ("identify", ADA, None)
    assert identified.properties == {name: value for name, value in PROFILE.items() if name != "locale"}
    assert (address.name, address.properties) == ("alias", {"previous_id": "ada.brandt@example.com"})
    assert identified.timestamp == NOW - 19 * 60 * SECOND + 30 * SECOND
    assert identified.id.startswith(f"shopify.customer.{ADA}.")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"email_marketing_consent": {"state": "not_subscribed"}}, False),
        ({"email_marketing_consent": {"state": "unsubscribed"}}, False),
        ({"email_marketing_consent": None, "accepts_marketing": True}, True),
        ({"email_marketing_consent": None}, None),
    ],
)
def test_consent(changes: dict[str, Any], expected: bool | None) -> None:
    identified, _ = events("customers/update", sample("customer", **changes))
    assert identified.properties.get("accepts_marketing") == expected


def test_a_customer_without_a_number_or_a_time_is_refused() -> None:
    assert reason("customers/update", sample("customer", id=None)) == "customer.id is missing"
    assert reason("customers/update", sample("customer", updated_at=7)) == "customer.updated_at is missing"


# --- What is odd ------------------------------------------------------------------------------------------------------


def test_other_topics_are_not_used() -> None:
    assert told("products/update", {}) == Told(note="topic 'products/update' is not used")
    assert told("", {}) == Told(note="topic '' is not used")


def test_what_is_not_as_it_should_be_counts_as_not_there() -> None:
    odd = sample(
        "order", billing_address=[], discount_codes={}, total_price="free", line_items=[7, {}, {"title": " Jug "}]
    )
    *_, order = events("orders/create", odd)
    assert order.properties == {
        "order_id": "5571190412332",
        "currency": "EUR",
        "products": [{"currency": "EUR", "name": "Jug"}],
    }


@pytest.mark.parametrize("body", [b"", b"[]", b"null", b'{"id": 1', b'"\xff"'])
def test_what_is_no_object_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed, match="the body is not"):
        read("shopify", "orders/create", body)


def test_a_payload_may_be_larger_than_an_event() -> None:
    order = sample("order", note="x" * 10 * MAX_EVENT_BYTES)
    assert names(events("orders/create", order))[-1] == "purchased"


def test_no_event_is_larger_than_any_other_may_be() -> None:
    (line, *_) = sample("cart")["line_items"]
    lines = [{**line, "title": "é" * 5000, "sku": "\x01" * 5000, "variant_id": n} for n in range(MAX_PRODUCTS)]
    *added, cart = told("carts/update", sample("cart", line_items=lines)).items
    assert all(isinstance(each, EventIn) and len(each.properties["name"]) == 256 for each in added if each.properties)
    assert "bytes, at most 32768" in str(cart)


def test_a_delivery_that_is_too_late_is_refused_event_by_event() -> None:
    found = told("carts/update", sample("cart")).items
    taken_late = take(found, Origin("shopify", trusted=True), NOW + 31 * DAY, bytes)
    assert taken_late.events == []
    assert len(taken_late.rejected) == 3
