"""What a template can speak of. ``docs/templates.md`` tells its authors the same."""

from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from services.mailer.cleaning import Cleaner
from services.mailer.locales import Reader, reader
from services.mailer.products import Product, in_cart, looked_at, ordered
from shared.clock import rfc3339
from shared.messages import HistoryEvent, Person, Trigger

VARIABLES: Mapping[str, frozenset[str]] = {
    "person": frozenset(),
    "events": frozenset(),
    "products": frozenset(),
    "cart": frozenset(),
    "order": frozenset({"id", "total", "currency", "products"}),
    "recommended": frozenset(),
    "coupon": frozenset({"code", "text", "expires"}),
    "rule": frozenset({"id", "version"}),
    "shop": frozenset({"name", "url"}),
    "locale": frozenset(),
    "timezone": frozenset(),
    "dir": frozenset(),
    "unsubscribe_url": frozenset(),
}
"""The names a template may begin a variable with, and what they hold where that is always the same; any other is a misspelling."""

MOST_PRODUCTS = 60
MOST_EVENTS = 20


class Shop(Struct, frozen=True):
    """``reader``: what is taken for a person of whom no locale or time zone is known."""

    name: str
    url: str
    reader: Reader = Reader()


def context(
    trigger: Trigger,
    person: Person,
    shop: Shop,
    unsubscribe_url: str = "",
    *,
    shown: Mapping[str, Sequence[Product]] | None = None,
    coupon: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """``order``: what was bought, if that fired the rule. ``events``: those that fired the rule, oldest first.
    ``unsubscribe_url``: empty where there is none. ``shown``: the lists of products, if they are not to be ``lists``.

    Whatever people and sites sent is bounded, and free of characters that do something other than be read.
    """
    clean = Cleaner()
    reads = reader_of(person, shop)
    shown = lists(trigger, person) if shown is None else shown
    return {
        "person": {**clean(person.profile), "key": clean(person.key)},
        "events": [clean(_event(event)) for event in trigger.because[:MOST_EVENTS]],
        **{name: clean(products[:MOST_PRODUCTS]) for name, products in shown.items()},
        "order": clean(ordered(trigger.because, person.history)),
        "coupon": clean(coupon) if coupon else coupon,
        "rule": {"id": trigger.rule, "version": trigger.version},
        "shop": {"name": shop.name, "url": shop.url},
        "locale": reads.locale,
        "timezone": reads.timezone,
        "dir": reads.dir,
        "unsubscribe_url": unsubscribe_url,
    }


def lists(trigger: Trigger, person: Person) -> dict[str, list[Product]]:
    """``products``: looked at or put in the cart, those of the events that fired the rule first. ``cart``: what is in the cart
    still. ``recommended``: what the catalogue adds."""
    return {
        "products": looked_at(trigger.because, person.history),
        "cart": in_cart(trigger.because, person.history),
        "recommended": [],
    }


def reader_of(person: Person, shop: Shop) -> Reader:
    return reader(person.profile.get("locale"), person.profile.get("timezone"), shop.reader)


def _event(event: HistoryEvent) -> dict[str, Any]:
    return {"name": event.name, "timestamp": rfc3339(event.timestamp), "properties": event.properties}
