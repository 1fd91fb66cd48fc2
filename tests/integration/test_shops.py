"""Webhooks of shops over real HTTP and real NATS: what is signed is stored, and whose cart it was is found out."""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from services.tracker.shops import SHOPS
from tests.support.people import person
from tests.support.stack import ROOT, Stack, until
from tests.support.tracker import Tracker

SAMPLES = ROOT / "tests/unit/tracker/shops"
OLD, NEW, WOO = "an-older-secret-of-the-shop", "a-newer-secret-of-the-shop", "woocommerce-secret-0123"
TIMES = ("created_at", "updated_at", "processed_at", "date_created_gmt", "date_paid_gmt", "date_modified_gmt")


def sample(name: str, **changes: Any) -> dict[str, Any]:
    """As if it had happened a minute ago."""
    payload = {**json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8")), **changes}
    lately = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=1)
    return {
        **payload,
        **{name: lately.isoformat().removesuffix("+00:00") + "Z" for name in TIMES if name in payload},
    }


@pytest.fixture
async def tracker(idle_tracker: Tracker) -> Tracker:
    await idle_tracker.start(SHOPIFY_SECRETS=f"{OLD},{NEW}", WOOCOMMERCE_SECRETS=WOO)
    return idle_tracker


async def deliver(
    tracker: Tracker, topic: str, payload: Any, *, shop: str = "shopify", secret: str = NEW, **headers: str
) -> tuple[int, Any, Mapping[str, str]]:
    """Status, decoded body, headers."""
    path = f"/v1/shops/{shop}"
    data = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    signature = base64.b64encode(hmac.new(secret.encode(), data, hashlib.sha256).digest()).decode()
    given = {SHOPS[path].topic: topic, SHOPS[path].signature: signature, "Content-Type": "application/json"}
    async with tracker.http.post(path, data=data, headers=given | headers) as answer:
        return answer.status, await answer.json(), answer.headers


async def test_what_is_signed_is_stored_and_trusted(tracker: Tracker) -> None:
    for secret in (OLD, NEW):
        status, body, _ = await deliver(tracker, "orders/create", sample("shopify-order", id=1), secret=secret)
        assert (status, body) == (200, {"accepted": 4, "rejected": []})
    stored = await tracker.stored()
    assert [event.name for event in stored[:4]] == ["identify", "identify", "alias", "purchased"]
    assert {(event.source, event.trusted) for event in stored} == {("shopify", True)}
    order = sample("woocommerce-order")
    status, body, _ = await deliver(tracker, "order.updated", order, shop="woocommerce", secret=WOO)
    assert (status, body["accepted"]) == (200, 3)
    assert [event.source for event in await tracker.stored()][-3:] == ["woocommerce"] * 3


async def test_the_same_delivery_again_is_the_same_events(tracker: Tracker) -> None:
    cart = sample("shopify-cart")
    for _ in range(3):
        assert (await deliver(tracker, "carts/update", cart))[:2] == (200, {"accepted": 3, "rejected": []})
    assert [event.name for event in await tracker.stored()] == ["added_to_cart", "added_to_cart", "cart_updated"]


async def test_another_signature_or_none_is_401_and_says_so(tracker: Tracker) -> None:
    for headers, reason in (
        ({"X-Shopify-Hmac-Sha256": "AAAA"}, "X-Shopify-Hmac-Sha256 is not this body's, with any of SHOPIFY_SECRETS"),
        ({"X-Shopify-Hmac-Sha256": ""}, "X-Shopify-Hmac-Sha256 is missing"),
    ):
        status, body, answered = await deliver(tracker, "orders/create", sample("shopify-order"), **headers)
        assert (status, body["error"], answered["Beckon-Error"]) == (401, reason, reason)
    status, _, _ = await deliver(tracker, "orders/create", sample("shopify-order"), secret=WOO)
    assert status == 401
    assert await tracker.stored() == []
    assert tracker.service
    refused = 'beckon_tracker_requests_total{call="shopify",outcome="unauthorised"}'
    assert tracker.service.metric(refused) == 3


async def test_a_ping_and_a_topic_that_is_not_used_are_200(tracker: Tracker) -> None:
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    async with tracker.http.post("/v1/shops/woocommerce", data=b"webhook_id=7", headers=form) as answer:
        assert (answer.status, await answer.json()) == (
            200,
            {"accepted": 0, "rejected": [], "note": "a ping says nothing"},
        )
    status, body, _ = await deliver(tracker, "products/update", {"id": 1})
    assert (status, body) == (200, {"accepted": 0, "rejected": [], "note": "topic 'products/update' is not used"})
    pending = sample("woocommerce-order", status="pending")
    status, body, _ = await deliver(tracker, "order.created", pending, shop="woocommerce", secret=WOO)
    assert (status, body["note"]) == (200, "an order that is 'pending' is not used")
    assert await tracker.stored() == []


async def test_what_can_be_no_event_is_200_so_that_it_is_not_sent_for_ever(tracker: Tracker) -> None:
    old = {**sample("shopify-cart"), "updated_at": "2020-01-31T08:40:12Z"}
    status, body, _ = await deliver(tracker, "carts/update", old)
    assert (status, body["accepted"], [each["index"] for each in body["rejected"]]) == (200, 0, [0, 1, 2])
    assert body["rejected"][0]["error"] == "timestamp: '2020-01-31T08:40:12Z' is more than 30 days ago"


async def test_other_bodies(tracker: Tracker) -> None:
    for body, headers, expected in (
        (b"[]", {}, 400),
        (b"x" * (1024 * 1024 + 1), {}, 413),
        (b"<order/>", {"Content-Type": "application/xml"}, 415),
    ):
        assert (await deliver(tracker, "orders/create", body, **headers))[0] == expected
    large = sample("shopify-order", note="x" * 1_000_000)
    assert (await deliver(tracker, "orders/create", large))[0] == 200


async def test_without_a_secret_the_path_names_the_setting(idle_tracker: Tracker) -> None:
    await idle_tracker.start()
    for shop, setting in (("shopify", "SHOPIFY_SECRETS"), ("woocommerce", "WOOCOMMERCE_SECRETS")):
        status, body, headers = await deliver(idle_tracker, "x", {}, shop=shop)
        assert (status, body["error"]) == (404, f"{setting} is not set: no webhooks of {shop} are taken")
        assert headers["Beckon-Error"] == body["error"]


async def test_without_nats_the_shop_is_told_to_come_again(idle_tracker: Tracker) -> None:
    await idle_tracker.start(SHOPIFY_SECRETS=NEW, PUBLISH_TIMEOUT_S="1")
    cart = sample("shopify-cart")
    await idle_tracker.stack.nats.kill()
    status, _, headers = await deliver(idle_tracker, "carts/update", cart)
    assert (status, headers["Retry-After"]) == (503, "2")
    await idle_tracker.stack.nats.restart()

    async def taken() -> bool:
        return (await deliver(idle_tracker, "carts/update", cart))[0] == 200

    await until(taken)
    assert len(await idle_tracker.stored()) == 3


async def test_a_cart_and_its_order_end_in_one_person(stack: Stack, tracker: Tracker) -> None:
    await stack.start("rule_evaluator")
    await stack.start("state")
    cart, order = sample("shopify-cart"), sample("shopify-order")
    assert (await deliver(tracker, "carts/update", cart))[0] == 200
    guest = sample("shopify-checkout", note_attributes=[])
    assert (await deliver(tracker, "checkouts/update", guest))[0] == 200
    assert (await deliver(tracker, "orders/create", order))[0] == 200
    number = str(order["customer"]["id"])

    async def joined() -> bool:
        names = sorted(event.name for event in (await person(stack, number)).history)
        return [name for name in names if name not in ("identify", "alias")] == [
            "added_to_cart",
            "added_to_cart",
            "cart_updated",
            "checkout_started",
            "purchased",
        ]

    await until(joined)
    for key in (f"cart:{cart['token']}", "ada.brandt@example.com"):
        assert (await person(stack, key)).key == number
    assert (await person(stack, number)).profile["email"] == "ada.brandt@example.com"
