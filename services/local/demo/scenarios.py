"""Who comes to the shop, what they do, and what must come of it. Data only.

The rules that ship are the rules that fire: events are backdated, so that a cart that is due half an hour after it was
filled is due a few seconds after it is sent.
"""

from typing import Any

from msgspec import Struct

from shared.clock import DAY, HOUR, MINUTE, SECOND, Duration

LEAD: Duration = 3 * SECOND
"""How long before they are due backdated events are sent."""

_SHOP = "https://shop.beckon.example"


class Product(Struct, frozen=True):
    product_id: str
    name: str
    price: float

    def properties(self, pictures: str) -> dict[str, Any]:
        return {
            "product_id": self.product_id,
            "name": self.name,
            "price": self.price,
            "currency": "EUR",
            "image_url": f"{pictures}/{self.product_id}.png",
            "url": f"{_SHOP}/{self.product_id}",
        }

    @property
    def shown_price(self) -> str:
        return f"€{self.price:,.2f}"


MUG = Product("mug", "Stoneware mug", 24.5)
BACKPACK = Product("backpack", "Canvas backpack", 129.0)
LAMP = Product("lamp", "Desk lamp", 89.0)
WATCH = Product("watch", "Mechanical watch", 1290.0)


class Did(Struct, frozen=True):
    """An event, and how long before it is sent it happened."""

    name: str
    ago: Duration = 0
    product: Product | None = None


class Mailed(Struct, frozen=True):
    """A mail of ``rule``, with name, picture and price of ``shows`` in it.

    It is due ``after`` so long since the event ``since`` happened; at once if ``since`` is empty.
    """

    rule: str
    shows: Product | None = None
    since: str = ""
    after: Duration = 0


class Stopped(Struct, frozen=True):
    """A trigger of ``rule`` that ended without a mail: how it ended, and what its recorded reason begins with."""

    rule: str
    outcome: str
    reason: str


class Shopper(Struct, frozen=True):
    """``acts``: what is sent in one go, each time after the mails so far have come. Nothing but ``mailed`` and ``stopped``
    may come of it: no other mail, no other trigger. ``pixel``: told by ``<img>`` tags instead of requests."""

    name: str
    story: str
    acts: tuple[tuple[Did, ...], ...]
    mailed: tuple[Mailed, ...] = ()
    stopped: tuple[Stopped, ...] = ()
    pixel: bool = False

    @property
    def key(self) -> str:
        return self.name.lower()

    @property
    def email(self) -> str:
        return f"{self.key}@example.com"


def cart(product: Product, lead: Duration = LEAD) -> Did:
    """A cart that is due ``lead`` after it is sent."""
    return Did("added_to_cart", 30 * MINUTE - lead, product)


def look(product: Product, ago: Duration = 0) -> Did:
    return Did("product_viewed", ago, product)


def reminder(product: Product) -> Mailed:
    return Mailed("cart-abandonment", product, "added_to_cart", 30 * MINUTE)


WIN_BACK = Mailed("win-back", None, "page_viewed", 14 * DAY)

HASTY = Shopper(
    "Hana",
    "buys between firing and sending: fired, then stopped by the last check",
    ((cart(LAMP, SECOND),),),
    stopped=(Stopped("cart-abandonment", "trigger_suppressed", "no longer true"),),
)
"""Her mail is held back for a moment after her rule has fired; then she buys."""

SHOPPERS = (
    Shopper("Ada", "leaves a full cart: reminded, half an hour later", ((cart(MUG),),), (reminder(MUG),)),
    Shopper(
        "Ben", "leaves a full cart and buys after all: no mail", ((cart(LAMP), Did("purchased", 10 * MINUTE, LAMP)),)
    ),
    Shopper(
        "Cleo",
        "looks at the same watch three times in a day: asked about it",
        ((look(WATCH, 20 * HOUR), look(WATCH, 2 * HOUR), look(WATCH)),),
        (Mailed("high-value-interest", WATCH),),
    ),
    Shopper("Dan", "looks at it twice only: no mail", ((look(WATCH, 2 * HOUR), look(WATCH)),)),
    Shopper(
        "Edda",
        "was last seen 14 days ago: invited back",
        ((Did("page_viewed", 14 * DAY - LEAD),),),
        (WIN_BACK,),
    ),
    Shopper(
        "Finn", "is told of by pixels alone: reminded as well", ((cart(BACKPACK),),), (reminder(BACKPACK),), pixel=True
    ),
    Shopper(
        "Gil",
        "has had two mails today: the third is stopped by the cap",
        (
            (Did("page_viewed", 14 * DAY - LEAD),),
            (look(WATCH, 20 * HOUR), look(WATCH, 2 * HOUR), cart(BACKPACK), look(WATCH)),
        ),
        (WIN_BACK, Mailed("high-value-interest", WATCH)),
        (Stopped("cart-abandonment", "trigger_suppressed", "cap: 2 per 24h overall"),),
    ),
)

CROWD = tuple(
    Shopper(
        f"Guest{number}",
        "",
        ((cart(product, LEAD + SECOND + number * SECOND // 10),),),
        (reminder(product),),
    )
    for number, product in enumerate([MUG, BACKPACK, LAMP] * 16)
)
"""Carts that come due within five seconds, after the others, for figures that mean something."""
