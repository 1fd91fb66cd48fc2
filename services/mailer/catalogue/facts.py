"""What is known of a product, and whose word counts. Pure.

The shop's own word, a feed or an event its server sent, stands at once; of two the later one. What browsers tell never
changes that. Of a product the shop said nothing about, browsers are believed where several people were shown the same, on
the shop's own pages (``docs/decisions/018-whose-word-counts-in-the-catalogue.md``).
"""

import hashlib
from collections.abc import Set
from decimal import Decimal
from typing import Literal
from urllib.parse import urlsplit

from msgspec import Struct, structs

from services.mailer.cleaning import readable
from services.mailer.products import described
from shared.clock import Instant
from shared.messages import Event, Properties

Source = Literal["feed", "event", "browser"]

PEOPLE_NEEDED = 3
"""So many must have been shown the same before browsers are believed."""
LONGEST_ID = 200
AVAILABILITIES = {
    "in_stock": "in_stock",
    "out_of_stock": "out_of_stock",
    "preorder": "preorder",
    "backorder": "preorder",
    "limited_availability": "in_stock",
    "available": "in_stock",
    "instock": "in_stock",
    "outofstock": "out_of_stock",
    "soldout": "out_of_stock",
}
"""What shops write, in small letters with ``_`` for spaces: Google Merchant's words, schema.org's, and what they mean here."""

_TOLD = ("name", "price", "currency", "image_url", "url", "category")


class Facts(Struct, frozen=True):
    """What is not known is none. ``price`` in whole units of ``currency``; ``stock`` in pieces."""

    name: str | None = None
    price: Decimal | None = None
    currency: str | None = None
    image_url: str | None = None
    url: str | None = None
    category: str | None = None
    availability: str | None = None
    stock: int | None = None


class Rival(Struct, frozen=True, array_like=True):
    """What browsers tell and what does not stand yet, with the people who were shown it, as hashes."""

    facts: Facts
    people: tuple[int, ...]


class Row(Struct, frozen=True):
    """A product of the catalogue. ``updated``: as of when its facts are; ``version`` counts its changes."""

    facts: Facts
    source: Source
    updated: Instant
    rival: Rival | None = None
    version: int = 0


def identity(properties: Properties) -> str | None:
    """The id of the product that an event's properties, or an item of its list, speak of, if it has a usable one."""
    given = properties.get("product_id")
    if isinstance(given, bool) or not isinstance(given, str | int):
        return None
    product_id = " ".join(str(given).split())
    return product_id if 0 < len(product_id) <= LONGEST_ID and readable(product_id) else None


def told(properties: Properties) -> Facts:
    """What they say of it."""
    product, word = described(properties), properties.get("availability")
    return Facts(
        **{name: product[name] for name in _TOLD},
        availability=availability(word) if isinstance(word, str) else None,
    )


def availability(text: str) -> str | None:
    """``In stock``, ``https://schema.org/InStock`` and the like, or none."""
    return AVAILABILITIES.get(text.strip().rpartition("/")[2].lower().replace(" ", "_"))


def heard(row: Row | None, properties: Properties, event: Event, hosts: Set[str], *, room: bool) -> Row | None:
    """What the catalogue says after ``event`` told of a product; the same row if that changes nothing. ``room``: whether
    browsers may bring in another one."""
    if event.trusted and not event.vouched:
        return _from_the_shop(row, told(properties), event)
    if row is not None and row.source != "browser":
        return row
    shown = _on_own_pages(told(properties), hosts)
    if shown is None or (row is None and not room):
        return row
    return _from_a_browser(row or Row(Facts(), "browser", event.timestamp), shown, event)


def overlaid(below: Facts, above: Facts) -> Facts:
    """``above``, and what it leaves out from ``below``. A currency belongs to its price."""
    given = {name: value for name, value in structs.asdict(above).items() if value is not None}
    if "price" in given:
        given.setdefault("currency", None)
    else:
        given.pop("currency", None)
    return structs.replace(below, **given) if given else below


def _from_the_shop(row: Row | None, facts: Facts, event: Event) -> Row:
    if event.name == "purchased":  # what somebody paid, after discounts, is not what it costs
        facts = structs.replace(facts, price=None, currency=None)
    if row is None or row.source == "browser":
        return Row(facts, "event", event.timestamp, version=row.version if row else 0)
    later = event.timestamp >= row.updated
    merged = overlaid(row.facts, facts) if later else overlaid(facts, row.facts)
    if merged == row.facts:
        return row
    return structs.replace(row, facts=merged, updated=max(row.updated, event.timestamp))


def _from_a_browser(row: Row, facts: Facts, event: Event) -> Row:
    if facts == row.facts:
        return row if row.rival is None else structs.replace(row, rival=None)
    who = int.from_bytes(hashlib.blake2b(event.person.encode(), digest_size=7).digest())
    people = row.rival.people if row.rival and row.rival.facts == facts else ()
    if who in people:
        return row
    if len(people) + 1 < PEOPLE_NEEDED:
        return structs.replace(row, rival=Rival(facts, (*people, who)))
    return Row(facts, "browser", event.timestamp, version=row.version)


def _on_own_pages(facts: Facts, hosts: Set[str]) -> Facts | None:
    """What a browser may say of a product: nothing of one without a name, or whose page is not the shop's."""
    if not facts.name or not readable(facts.name) or host(facts.url) not in hosts:
        return None
    image_url = facts.image_url if host(facts.image_url) in hosts else None
    return structs.replace(facts, image_url=image_url, availability=None, stock=None)


def host(url: str | None) -> str | None:
    return urlsplit(url).hostname if url else None
