"""A mail's products, brought up to date. Pure."""

from collections.abc import Iterable, Mapping, Sequence, Set

from services.mailer.catalogue.learning import products_of
from services.mailer.catalogue.recommend import MOST
from services.mailer.products import Product
from shared.catalogue import CatalogueProduct
from shared.messages import HistoryEvent

LISTS = frozenset({"cart", "products", "recommended"})
"""The variables of a template that hold products."""


def seen(lists: Mapping[str, Iterable[Product]]) -> list[str]:
    """The products in the cart, then the others that were looked at, the latest first."""
    both = [*lists["cart"], *lists["products"]]
    return list(dict.fromkeys(product["product_id"] for product in both if product["product_id"]))


def categories(lists: Mapping[str, Iterable[Product]]) -> list[str]:
    both = [*lists["cart"], *lists["products"]]
    return list(dict.fromkeys(product["category"] for product in both if product["category"]))


def bought(history: Iterable[HistoryEvent]) -> set[str]:
    """What the person bought, as far as that is remembered."""
    return {product for event in history if event.name == "purchased" for product in products_of(event.properties)}


def shown(
    lists: Mapping[str, Sequence[Product]], found: Sequence[str], known: Mapping[str, CatalogueProduct]
) -> dict[str, list[Product]]:
    """``lists`` as the catalogue has them today, and of what was ``found`` as much as is recommended."""
    recommended = [_described(known[product]) for product in found if product in known and not known[product].sold_out]
    return {name: _current(products, known) for name, products in lists.items()} | {"recommended": recommended[:MOST]}


def nothing_left(
    speaks_of: Set[str], before: Mapping[str, Sequence[Product]], after: Mapping[str, Sequence[Product]]
) -> bool:
    """Whether a mail that had something to show has nothing any more: to remind of what cannot be bought is noise."""
    lists = LISTS & speaks_of
    return any(before[name] for name in lists) and not any(after[name] for name in lists)


def _current(products: Iterable[Product], known: Mapping[str, CatalogueProduct]) -> list[Product]:
    current = []
    for product in products:
        entry = known.get(product["product_id"] or "")
        if entry is None:
            current.append(product)
        elif not entry.sold_out:
            current.append(_updated(product, entry))
    return current


def _updated(product: Product, entry: CatalogueProduct) -> Product:
    """The shop's word on price, picture and link goes before what the person's events say, that of browsers after it. The
    name stays the one that the person was shown."""
    told = {name: value for name, value in _described(entry).items() if value is not None}
    own = {name: value for name, value in product.items() if value is not None}
    if entry.source == "browser":
        return {**product, **told, **own}
    if "price" in told:
        told.setdefault("currency", None)
    return {**product, **told, **{name: own[name] for name in ("name", "quantity") if name in own}}


def _described(entry: CatalogueProduct) -> Product:
    return {
        "product_id": entry.product_id,
        "name": entry.name,
        "price": entry.price,
        "currency": entry.currency,
        "image_url": entry.image_url,
        "url": entry.url,
        "category": entry.category,
        "quantity": None,
    }
