"""What the simulated shop sells, and how much each product is looked at. Data and one draw; pure."""

from bisect import bisect_right
from itertools import accumulate
from random import Random
from typing import Any

from msgspec import Struct

SHOP = "https://shop.example"
CURRENCY = "EUR"

ZIPF = 0.8
"""A product's popularity is 1 / rank ** ZIPF: of 60 products the first gets a seventh of all looks, the last ten together a
seventeenth."""


# Products are told apart by identity: there is one object for each, and carts are keyed by it.
class Product(Struct, frozen=True, eq=False):
    """``price`` is in cents, so that totals are exact."""

    product_id: str
    name: str
    price: int
    category: str

    def properties(self) -> dict[str, Any]:
        """As events carry them: the price in whole units of the currency. A new dictionary at each call."""
        return {
            "product_id": self.product_id,
            "name": self.name,
            "price": self.price / 100,
            "currency": CURRENCY,
            "image_url": f"{SHOP}/images/{self.product_id}.jpg",
            "url": f"{SHOP}/{self.category}/{self.product_id}",
            "category": self.category,
        }


_SHELVES: dict[str, tuple[tuple[str, float], ...]] = {
    "kitchen": (
        ("Stoneware mug", 24.5), ("Moka pot", 39.9), ("Electric kettle", 59.0), ("Chef's knife", 89.0),
        ("Cast iron pan", 74.95), ("Espresso machine", 649.0), ("Bread box", 44.9), ("Salad bowl", 29.9),
        ("Stand mixer", 529.0), ("Tea towel", 9.95),
    ),
    "living": (
        ("Desk lamp", 89.0), ("Wool blanket", 119.0), ("Scented candle", 19.9), ("Armchair", 799.0),
        ("Floor lamp", 149.0), ("Cushion", 34.9), ("Wall clock", 49.0), ("Bookshelf", 259.0),
        ("Vase", 27.5), ("Picture frame", 14.9),
    ),
    "clothing": (
        ("Cotton t-shirt", 24.9), ("Rain jacket", 139.0), ("Merino jumper", 99.0), ("Wool socks", 14.9),
        ("Denim jeans", 89.9), ("Linen shirt", 69.0), ("Winter coat", 329.0), ("Leather belt", 45.0),
        ("Beanie", 22.5), ("Scarf", 39.0),
    ),
    "outdoor": (
        ("Canvas backpack", 129.0), ("Steel bottle", 29.9), ("Hiking boots", 189.0), ("Head torch", 49.9),
        ("Two-person tent", 399.0), ("Sleeping bag", 219.0), ("Camping stove", 64.9), ("Folding chair", 79.0),
        ("Pocket knife", 34.5), ("Trekking poles", 94.0),
    ),
    "electronics": (
        ("Wireless earphones", 149.0), ("Mechanical watch", 1290.0), ("Power bank", 39.9), ("Bluetooth speaker", 99.0),
        ("Tablet", 549.0), ("Mechanical keyboard", 159.0), ("E-reader", 139.0), ("Camera", 899.0),
        ("Charging cable", 12.9), ("Smart plug", 24.9),
    ),
    "stationery": (
        ("Notebook", 16.9), ("Fountain pen", 79.0), ("Desk pad", 49.0), ("Pencil case", 21.9),
        ("Wall calendar", 24.0), ("Sketchbook", 19.5), ("Letter opener", 17.9), ("Ink bottle", 22.0),
        ("Sticky notes", 4.9), ("Fineliner set", 13.5),
    ),
}  # fmt: skip


def _product(category: str, name: str, price: float) -> Product:
    product_id = name.lower().replace("'", "").replace(" ", "-")
    return Product(product_id, name, round(price * 100), category)


CATEGORIES = tuple(_SHELVES)
CATALOGUE = tuple(
    _product(category, *row)
    for rows in zip(*_SHELVES.values(), strict=True)
    for category, row in zip(CATEGORIES, rows, strict=True)
)
"""The most popular first; each category has its share of them."""

_CUMULATED = tuple(accumulate((rank + 1) ** -ZIPF for rank in range(len(CATALOGUE))))


def popular(rng: Random) -> Product:
    """A product, the popular ones more often."""
    return CATALOGUE[bisect_right(_CUMULATED, rng.random() * _CUMULATED[-1], hi=len(CATALOGUE) - 1)]
