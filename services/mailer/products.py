"""The products of a person's events, as templates show them."""

from collections.abc import Iterable, Sequence
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

from services.mailer.money import amount
from shared.messages import HistoryEvent, Properties

Product = dict[str, Any]
"""``product_id, name, price, currency, image_url, url, category, quantity``; what is not known is none."""

_NAME_LENGTH = 200
_URL_LENGTH = 2048
_NOT_WANTED = frozenset({"removed_from_cart", "purchased"})
_LISTING = frozenset({"cart_updated", "checkout_started"})
"""Events that may list several products, under ``products``."""


def looked_at(because: Sequence[HistoryEvent], history: Sequence[HistoryEvent]) -> list[Product]:
    """Each product once: those of the events that fired the rule first, then the others, the latest first.

    A product is told apart by its ``product_id``, or by its name if it has none. What its latest event does not say, such
    as the picture, is taken from an earlier one.
    """
    latest_first = sorted(_together(because, history), key=_when, reverse=True)
    wanted = [event for event in latest_first if event.name not in _NOT_WANTED]
    fired = {event.n for event in because}
    order = [event for event in wanted if event.n in fired] + [event for event in wanted if event.n not in fired]
    known = _details(latest_first)
    keys = [_key(properties) for event in order for properties in _about(event)]
    return [known[key] for key in dict.fromkeys(keys) if key]


def in_cart(because: Sequence[HistoryEvent], history: Sequence[HistoryEvent]) -> list[Product]:
    """What was added to the cart and neither taken out nor bought since; the latest first, with its quantity.

    ``cart_updated`` says what is in it from then on: its ``products``, the latest first.
    """
    events = sorted(_together(because, history), key=_when)
    quantities: dict[str, Decimal] = {}
    for event in events:
        key = _key(event.properties)
        if event.name == "purchased":
            quantities.clear()
        elif event.name == "cart_updated" and isinstance(event.properties.get("products"), list):
            quantities = _content(event)
        elif key and event.name == "added_to_cart":
            quantities[key] = quantities.pop(key, Decimal(0)) + (_quantity(event.properties) or 1)
        elif key and event.name == "removed_from_cart" and key in quantities:
            left = quantities[key] - (_quantity(event.properties) or quantities[key])
            if left > 0:
                quantities[key] = left
            else:
                del quantities[key]
    known = _details(reversed(events))
    return [{**known[key], "quantity": quantities[key]} for key in reversed(quantities)]


def ordered(because: Sequence[HistoryEvent], history: Sequence[HistoryEvent]) -> dict[str, Any] | None:
    """The last order of the events that fired the rule: ``id``, ``total``, ``currency`` and its ``products``, those it lists
    or else the one it names itself, with what is known of them from elsewhere. None if none of the events is a purchase."""
    purchases = [event for event in because if event.name == "purchased"]
    if not purchases:
        return None
    properties = max(purchases, key=_when).properties
    known = _details(sorted(_together(because, history), key=_when, reverse=True))
    named = {product["name"]: product for product in known.values() if product["name"]}
    listed = properties.get("products")
    items = [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else [properties]
    products = []
    for item in items:
        product = described(item)
        other = known.get(_key(item)) or named.get(product["name"] or "") or {}
        if product["name"] or other.get("name"):
            products.append({name: other.get(name) if value is None else value for name, value in product.items()})
    return {
        "id": _text(properties.get("order_id")),
        "total": amount(properties.get("total")),
        "currency": _text(properties.get("currency")),
        "products": products,
    }


def _content(event: HistoryEvent) -> dict[str, Decimal]:
    """The quantities of the products that the event lists, in the order in which they came to be there."""
    quantities: dict[str, Decimal] = {}
    for properties in reversed(_listed(event)):
        if key := _key(properties):
            quantities[key] = quantities.pop(key, Decimal(0)) + (_quantity(properties) or 1)
    return quantities


def web_url(value: object) -> str | None:
    """``value`` if it is an absolute http or https address without spaces or control characters."""
    if not isinstance(value, str) or len(value) > _URL_LENGTH:
        return None
    url = value.strip()
    if not url.isprintable() or " " in url:
        return None
    try:
        parts = urlsplit(url)
        host = parts.hostname
    except ValueError:
        return None
    return url if parts.scheme in ("http", "https") and host else None


def _together(because: Iterable[HistoryEvent], history: Iterable[HistoryEvent]) -> Iterable[HistoryEvent]:
    return {event.n: event for event in (*because, *history)}.values()


def _when(event: HistoryEvent) -> tuple[int, int]:
    return event.timestamp, event.n


def _about(event: HistoryEvent) -> Sequence[Properties]:
    """The properties of the products that the event is about: its own, and those it lists."""
    return [event.properties, *_listed(event)]


def _listed(event: HistoryEvent) -> Sequence[Properties]:
    listed = event.properties.get("products") if event.name in _LISTING else None
    return [each for each in listed if isinstance(each, dict)] if isinstance(listed, list) else []


def _key(properties: Properties) -> str:
    """What tells a product apart; empty if they are no product's."""
    given = properties.get("product_id")
    if isinstance(given, str | int) and not isinstance(given, bool) and given != "":
        return f"id {given}"
    name = _text(properties.get("name"))
    return f"name {name}" if name else ""


def _details(latest_first: Iterable[HistoryEvent]) -> dict[str, Product]:
    known: dict[str, Product] = {}
    for properties in (each for event in latest_first for each in _about(event)):
        key = _key(properties)
        if not key:
            continue
        product = known.setdefault(key, {})
        for name, value in described(properties).items():
            if product.get(name) is None:
                product[name] = value
    return known


def described(properties: Properties) -> Product:
    """The product that an event's properties, or an item of its list, speak of."""
    return {
        "product_id": _text(properties.get("product_id")),
        "name": _text(properties.get("name")),
        "price": amount(properties.get("price")),
        "currency": _text(properties.get("currency")),
        "image_url": web_url(properties.get("image_url")),
        "url": web_url(properties.get("url")),
        "category": _text(properties.get("category")),
        "quantity": _quantity(properties),
    }


def _quantity(properties: Properties) -> Decimal | None:
    """Written without needless decimals (``2``, not ``2.0``); 0 is as good as none."""
    quantity = amount(properties.get("quantity"))
    if not quantity:
        return None
    return quantity.to_integral_value() if quantity == quantity.to_integral_value() else quantity


def _text(value: object) -> str | None:
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    text = " ".join(str(value)[: 4 * _NAME_LENGTH].split())
    return (text if len(text) <= _NAME_LENGTH else text[: _NAME_LENGTH - 1] + "…") or None
