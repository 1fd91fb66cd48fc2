"""From the payload of a webhook to events, by the tables. Pure.

Ids are made of what the shop tells, so that a payload that is delivered again is the same events.
"""

import hashlib
from collections.abc import Callable, Sequence
from math import fsum
from typing import Any, NamedTuple

import msgspec

from services.tracker.events import MAX_EVENT_BYTES, EventIn, Malformed, decode_body
from services.tracker.flaws import Flaw, shown
from services.tracker.shops import table
from services.tracker.shops.fields import find
from services.tracker.shops.table import ShopName, Source, Sources
from services.tracker.unify import alias

Properties = dict[str, Any]

_CENTS = 3
"""Decimals of a sum; no currency has more."""
_decode = msgspec.json.Decoder().decode


class Told(NamedTuple):
    """What a webhook tells; where that is nothing, ``note`` says why."""

    items: Sequence[EventIn | Flaw] = ()
    note: str = ""


class Payload(NamedTuple):
    shop: ShopName
    content: Any

    def told(self, source: Source) -> Any:
        """None, if it is not."""
        found = (source.read(find(self.content, path)) for path in source.paths(self.shop))
        return next((each for each in found if each is not None), None)

    def must(self, source: Source) -> str:
        """Raises ``Flaw``."""
        found: str | None = self.told(source)
        if found is None:
            raise Flaw(f"{source.paths(self.shop)[0]} is missing")
        return found

    def properties(self, sources: Sources) -> Properties:
        found = {name: self.told(source) for name, source in sources.items()}
        return {name: value for name, value in found.items() if value is not None}

    def lines(self) -> "list[Payload]":
        return [Payload(self.shop, line) for line in self.told(table.LINES) or []]

    def products(self, sources: Sources, currency: str | None = None) -> list[Properties]:
        own = {"currency": currency} if currency is not None else {}
        found = [own | line.properties(sources) for line in self.lines()]
        return [each for each in found if "product_id" in each or "name" in each][: table.MAX_PRODUCTS]


class _Who(NamedTuple):
    """``user_id`` none: only the cart is known, or nobody."""

    user_id: str | None
    anonymous_id: str | None


def read(shop: ShopName, topic: str, body: bytes) -> Told:
    """Raises ``Malformed``."""
    events = table.TOPICS[shop].get(topic)
    if events is None:
        return Told(note=f"topic {shown(topic)} is not used")
    content = decode_body(_decode, body)
    if not isinstance(content, dict):
        raise Malformed("the body is not what is expected: a JSON object")
    try:
        told = _READERS[events[0]](Payload(shop, content))
    except Flaw as flaw:
        return Told([flaw])
    return told._replace(items=[_bounded(item) for item in told.items])


def _cart(cart: Payload) -> Told:
    """What was added, line by line, and what is in it now. A line that is told again is the same event."""
    token, at = cart.must(table.TOKEN), cart.must(table.WHEN["cart_updated"])
    person, prefix = f"cart:{token}", f"{cart.shop}.cart.{token}"
    products = cart.products(table.CART_PRODUCT)
    items: list[EventIn | Flaw] = [
        EventIn(
            event="added_to_cart",
            anonymous_id=person,
            timestamp=at,
            event_id=f"{prefix}.{_line_id(product)}.{product.get('quantity', 1)}",
            properties=product,
        )
        for product in products
    ]
    whole: Properties = {
        "products": products,
        "total": round(fsum(line.told(table.LINE_TOTAL) or 0 for line in cart.lines()), _CENTS),
        "quantity": sum(product.get("quantity", 1) for product in products),
    }
    if currency := next((product["currency"] for product in products if "currency" in product), None):
        whole["currency"] = currency
    items.append(
        EventIn(
            event="cart_updated",
            anonymous_id=person,
            timestamp=at,
            event_id=f"{prefix}.{_digest(at, whole)}",
            properties=whole,
        )
    )
    return Told(items)


def _line_id(product: Properties) -> str:
    return str(product.get("variant_id") or product.get("product_id") or product["name"])


def _checkout(checkout: Payload) -> Told:
    """Its customer becomes known bit by bit; it began once."""
    token = checkout.must(table.TOKEN)
    prefix = f"{checkout.shop}.checkout.{token}"
    who = _who(checkout, f"checkout:{token}")
    items = _ties(checkout, who, prefix, checkout.told(table.CHANGED))
    return Told([*items, _event("checkout_started", checkout, who, prefix)])


def _order(order: Payload) -> Told:
    name = "purchased"
    if order.shop == "woocommerce":
        status = find(order.content, "status")
        name = table.STATUSES.get(status, "") if isinstance(status, str) else ""
        if not name:
            return Told(note=f"an order that is {shown(status)} is not used")
    return _order_event(name, order)


def _cancelled(order: Payload) -> Told:
    return _order_event("order_cancelled", order)


def _order_event(name: str, order: Payload) -> Told:
    prefix = f"{order.shop}.order.{order.must(table.PROPERTIES[name]['order_id'])}"
    if name != "purchased":
        prefix += ".cancelled"
    who = _who(order, None)
    if who == (None, None):
        raise Flaw("neither a customer nor an address nor a cart is told: nobody did this")
    items = _ties(order, who, prefix, order.told(table.WHEN[name]))
    return Told([*items, _event(name, order, who, prefix)])


def _customer(customer: Payload) -> Told:
    content = {"customer": customer.content, "billing": find(customer.content, "billing")}
    wrapped = Payload(customer.shop, content)
    number = wrapped.must(table.IDS["number"])
    at = wrapped.must(table.WHEN["identify"])
    return Told(_ties(wrapped, _Who(number, None), f"{customer.shop}.customer.{number}", at))


def _event(name: str, payload: Payload, who: _Who, event_id: str) -> EventIn:
    properties = payload.properties(table.PROPERTIES[name])
    properties["products"] = payload.products(table.PRODUCT, properties.get("currency"))
    return EventIn(
        event=name,
        user_id=who.user_id,
        anonymous_id=None if who.user_id else who.anonymous_id,
        timestamp=payload.told(table.WHEN[name]),
        event_id=event_id,
        properties=properties,
    )


def _who(payload: Payload, otherwise: str | None) -> _Who:
    """A customer is known by the number, a guest by the address, and who is neither by the cart."""
    cart = payload.told(table.IDS["cart"])
    return _Who(
        payload.told(table.IDS["number"]) or payload.told(table.IDS["address"]),
        f"cart:{cart}" if cart else otherwise,
    )


def _ties(payload: Payload, who: _Who, prefix: str, at: str | None) -> list[EventIn | Flaw]:
    """Who somebody is, and under which other ids they were known: a cart, a browser, an address."""
    if who.user_id is None:
        return []
    found: list[EventIn | Flaw] = [_identify(who, payload.properties(table.PROFILE), prefix, at)]
    if browser := payload.told(table.IDS["browser"]):
        found.append(_identify(who._replace(anonymous_id=browser), {}, prefix, at))
    number, address = payload.told(table.IDS["number"]), payload.told(table.IDS["account_address"])
    if number and address:
        found.append(alias(number, address, at))
    return found


def _identify(who: _Who, profile: Properties, prefix: str, at: str | None) -> EventIn:
    return EventIn(
        event="identify",
        user_id=who.user_id,
        anonymous_id=who.anonymous_id,
        timestamp=at,
        event_id=f"{prefix}.{_digest(at, who, profile)}",
        properties=profile,
    )


def _digest(*content: object) -> str:
    """Of a state: two that a shop tells within a second differ by it, one that it tells twice does not."""
    return hashlib.sha256(msgspec.json.encode(content)).hexdigest()[:16]


def _bounded(item: EventIn | Flaw) -> EventIn | Flaw:
    if isinstance(item, Flaw):
        return item
    size = len(msgspec.json.encode(item.properties))
    return item if size <= MAX_EVENT_BYTES else Flaw(f"the event has {size} bytes, at most {MAX_EVENT_BYTES}")


_READERS: dict[str, Callable[[Payload], Told]] = {
    "added_to_cart": _cart,
    "checkout_started": _checkout,
    "purchased": _order,
    "order_cancelled": _cancelled,
    "identify": _customer,
}
"""By the first event of a topic."""
