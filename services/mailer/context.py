"""What a template can speak of. ``docs/templates.md`` tells its authors the same."""

from typing import Any

from msgspec import Struct

from services.mailer.products import in_cart, looked_at
from shared.clock import rfc3339
from shared.messages import HistoryEvent, Person, Trigger

VARIABLES = frozenset(
    {"person", "events", "products", "cart", "recommended", "rule", "shop", "coupon", "unsubscribe_url"}
)
"""The names a template may begin a variable with; any other is a misspelling."""


class Shop(Struct, frozen=True):
    name: str
    url: str


def context(trigger: Trigger, person: Person, shop: Shop, unsubscribe_url: str = "") -> dict[str, Any]:
    """``products``: looked at or put in the cart, those of the events that fired the rule first. ``cart``: what is in the
    cart still. ``events``: those that fired the rule, oldest first. ``unsubscribe_url``: empty where there is none.
    ``recommended`` and ``coupon`` are filled in where a template speaks of them."""
    return {
        "person": {**person.profile, "key": person.key},
        "events": [_event(event) for event in trigger.because],
        "products": looked_at(trigger.because, person.history),
        "cart": in_cart(trigger.because, person.history),
        "recommended": [],
        "rule": {"id": trigger.rule, "version": trigger.version},
        "shop": {"name": shop.name, "url": shop.url},
        "coupon": None,
        "unsubscribe_url": unsubscribe_url,
    }


def _event(event: HistoryEvent) -> dict[str, Any]:
    return {"name": event.name, "timestamp": rfc3339(event.timestamp), "properties": event.properties}
