"""What WooCommerce sends, and what becomes of it."""

import json
from pathlib import Path
from typing import Any

import pytest

from services.tracker.events import Origin, take
from services.tracker.shops.reading import Told, read
from shared.clock import MINUTE, SECOND
from shared.messages import Event

NOW = 1_769_850_000_000_000  # 2026-01-31T09:00:00Z
TOPICS = ["order.created", "order.updated"]


def sample(name: str, **changes: Any) -> dict[str, Any]:
    path = Path(__file__).with_name(f"woocommerce-{name}.json")
    return {**json.loads(path.read_text(encoding="utf-8")), **changes}


def told(topic: str, payload: Any) -> Told:
    return read("woocommerce", topic, json.dumps(payload).encode())


def events(topic: str, payload: Any) -> list[Event]:
    """All of them must be accepted."""
    found, rejected = take(told(topic, payload).items, Origin("woocommerce", trusted=True), NOW, bytes)
    assert rejected == []
    return found


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("status", ["processing", "completed", "on-hold"])
def test_an_order_is_a_purchase_and_ties_the_browser_to_the_customer(topic: str, status: str) -> None:
    identified, browser, order = events(topic, sample("order", status=status))
    assert [event.name for event in (identified, browser, order)] == ["identify", "identify", "purchased"]
    assert {event.person for event in (identified, browser, order)} == {"26"}
    assert (order.id, order.source, order.trusted) == ("woocommerce.order.727", "woocommerce", True)
    assert order.timestamp == NOW - 40 * MINUTE + 44 * SECOND, "when it was paid; in UTC, which is not said"
    assert order.properties == {
        "order_id": "727",
        "total": 36.9,
        "currency": "EUR",
        "coupons": ["winter4"],
        "products": [
            {
                "product_id": "93",
                "variant_id": "95",
                "sku": "BLANKET-M",
                "name": "Wool blanket - Moss",
                "price": 26.67,
                "currency": "EUR",
                "quantity": 1,
                "image_url": "https://wool.example/wp-content/uploads/blanket-moss.jpg",
            }
        ],
    }
    assert identified.properties == {
        "email": "Bela.Novak@example.org",
        "first_name": "Bela",
        "last_name": "Novak",
        "phone": "0316 555 0101",
        "country": "AT",
    }
    assert browser.anonymous_id == "0d7a6f0e2b6a4e8fa8f0c2f4f1f5b0aa"


def test_a_guest_is_known_by_the_address() -> None:
    *_, order = events("order.created", sample("order", customer_id=0, meta_data=[]))
    assert order.person == "bela.novak@example.org"


def test_an_address_typed_into_an_order_makes_nobody_one_with_its_owner() -> None:
    assert "alias" not in {event.name for event in events("order.created", sample("order"))}


def test_an_order_that_waits_for_its_payment_happened_when_it_was_made() -> None:
    *_, order = events("order.created", sample("order", status="on-hold", date_paid_gmt=None))
    assert order.timestamp == NOW - 40 * MINUTE + 11 * SECOND


def test_a_cancelled_order() -> None:
    *_, order = events("order.updated", sample("order", status="cancelled", date_modified_gmt="2026-01-31T08:59:00"))
    assert (order.name, order.id, order.timestamp) == (
        "order_cancelled",
        "woocommerce.order.727.cancelled",
        NOW - MINUTE,
    )


@pytest.mark.parametrize("topic", TOPICS)
@pytest.mark.parametrize("status", ["pending", "failed", "checkout-draft", "refunded", None, ["processing"]])
def test_an_order_that_is_none_yet_is_not_used(topic: str, status: Any) -> None:
    found = told(topic, sample("order", status=status))
    assert not found.items
    assert found.note == f"an order that is {status!r} is not used"


def test_later_updates_of_an_order_are_the_same_events() -> None:
    first = events("order.created", sample("order"))
    later = events("order.updated", sample("order", status="completed", date_modified_gmt="2026-01-31T08:55:00"))
    assert [event.id for event in first] == [event.id for event in later]


@pytest.mark.parametrize("topic", ["customer.created", "customer.updated"])
def test_a_customer_is_a_profile_and_an_address(topic: str) -> None:
    identified, address = events(topic, sample("customer"))
    assert (identified.name, identified.person) == ("identify", "26")
    assert identified.properties["email"] == "bela@example.org"
    assert identified.properties["country"] == "AT"
    assert (address.name, address.properties) == ("alias", {"previous_id": "bela@example.org"})
    assert identified.timestamp == NOW - 39 * MINUTE


def test_a_customer_who_never_changed() -> None:
    identified, _ = events("customer.created", sample("customer", date_modified_gmt=None))
    assert identified.timestamp < NOW - 20 * 24 * 60 * MINUTE


def test_a_deleted_customer_is_not_used() -> None:
    assert told("customer.deleted", {"id": 26}).note == "topic 'customer.deleted' is not used"
