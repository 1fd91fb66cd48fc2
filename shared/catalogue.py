"""What is asked about what the shop sells."""

from decimal import Decimal

from msgspec import Struct

from shared.clock import Instant
from shared.messages import Properties


class PutProducts(Struct):
    """Request on ``catalogue.put``: products of the feed called ``feed``, each as named texts or numbers. ``replace``: the feed
    ends with these, and what it did not name is gone."""

    items: list[Properties]
    feed: str
    replace: bool = False


class ProductsPut(Struct):
    """Reply to ``PutProducts``. ``refused``: (place in ``items`` from 0, why); all others are stored."""

    stored: int
    refused: list[tuple[int, str]] = []
    gone: int = 0


class CatalogueProduct(Struct, frozen=True):
    """What is known of a product. ``source``: feed, event or browser, whose word that is. ``sold_out``: it is not shown."""

    product_id: str
    name: str | None
    price: Decimal | None
    currency: str | None
    image_url: str | None
    url: str | None
    category: str | None
    availability: str | None
    stock: int | None
    gone: bool
    sold_out: bool
    source: str
    updated_at: Instant


class ListProducts(Struct):
    """Request on ``catalogue.list``: in the order of their ids, after ``after``."""

    after: str = ""
    limit: int = 100
    category: str = ""


class ProductsListed(Struct):
    """Reply to ``ListProducts``; there are no more if ``done``."""

    products: list[CatalogueProduct]
    done: bool


class GetProduct(Struct):
    """Request on ``catalogue.get``."""

    product_id: str


class ProductFound(Struct):
    """Reply to ``GetProduct``, none if there is no such product. ``sessions``: how many it was seen in, old ones counting less;
    ``together``: what goes with it best, with how well, from 0 to 1."""

    product: CatalogueProduct | None
    sessions: float = 0.0
    together: list[tuple[str, float]] = []
