"""``beckon catalogue``: what the shop sells."""

import asyncio
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, NamedTuple
from uuid import uuid4

import msgspec
import typer
from rich.console import Console

from services.cli import feeds
from services.cli.connection import ask, run
from services.cli.failure import Failure
from services.cli.feeds import Format, Item
from services.cli.output import Json, print_json, print_table, say, shown
from shared import subjects
from shared.bus import Bus, encode
from shared.catalogue import (
    CatalogueProduct,
    GetProduct,
    ListProducts,
    ProductFound,
    ProductsListed,
    ProductsPut,
    PutProducts,
)
from shared.clock import rfc3339

app = typer.Typer(no_args_is_help=True)

SERVICE = "the mailer"
CHUNK_ITEMS, CHUNK_BYTES = 500, 192 * 1024
"""Of one request."""
LONGEST_ITEM = 64 * 1024
TOLD = 20
"""Refused items that are told, each on a line."""
PUT_S = 30.0
PAGE = 500


class Counted(NamedTuple):
    items: int
    stored: int
    refused: int
    gone: int


@app.command("import")
def import_feed(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="CSV, JSON, or Google Merchant's XML; maybe compressed.")
    ],
    format_: Annotated[
        Format | None, typer.Option("--format", help="What the file is; by its ending, if left out.")
    ] = None,
    replace: Annotated[
        bool, typer.Option("--replace", help="The file names everything: what it does not is gone.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Take products from a feed. What is refused is told with its place; the rest is stored."""
    told = _Told(file)
    items = feeds.read(file, format_ or feeds.format_of(file))
    counted = run(lambda bus: _import(bus, items, replace, told))
    if as_json:
        print_json({"file": str(file), **counted._asdict(), "errors": told.refused})
    else:
        gone = f", {counted.gone:,} others are gone" if replace and not counted.refused else ""
        say(f"{file}: {counted.items:,} products, {counted.stored:,} stored, {counted.refused:,} refused{gone}")
    if counted.refused:
        kept = "; so nothing is marked as gone" if replace else ""
        raise Failure(f"{counted.refused:,} of {counted.items:,} products are refused{kept}")
    if not counted.items:
        raise Failure(f"{file}: holds no product")


async def _import(bus: Bus, items: Iterator[Item], replace: bool, told: "_Told") -> Counted:
    feed, count, stored, gone = str(uuid4()), 0, 0, 0
    chunks = _chunks(items)
    while chunk := await asyncio.to_thread(next, chunks, None):
        readable = [item for item in chunk if not item.flaw]
        answer = await _put(bus, PutProducts([item.fields for item in readable], feed))
        reasons, numbers = dict(answer.refused), iter(range(len(readable)))
        for item in chunk:
            if flaw := item.flaw or reasons.get(next(numbers), ""):
                told.refuse(item.place, flaw)
        count, stored = count + len(chunk), stored + answer.stored
    if replace and stored and not told.count:
        gone = (await _put(bus, PutProducts([], feed, replace=True))).gone
    return Counted(count, stored, told.count, gone)


async def _put(bus: Bus, request: PutProducts) -> ProductsPut:
    return await ask(bus, SERVICE, subjects.CATALOGUE_PUT, request, ProductsPut, timeout_s=PUT_S)


def _chunks(items: Iterator[Item]) -> Iterator[list[Item]]:
    chunk: list[Item] = []
    size = 0
    for item in items:
        try:
            weight = len(encode(item.fields))
        except (ValueError, OverflowError, TypeError) as error:
            item, weight = Item(item.place, flaw=str(error)), 0
        if weight > LONGEST_ITEM:
            item, weight = Item(item.place, flaw=f"{weight} bytes, at most {LONGEST_ITEM}"), 0
        if chunk and (len(chunk) == CHUNK_ITEMS or size + weight > CHUNK_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += weight
    if chunk:
        yield chunk


class _Told:
    """What is said of items that are refused, on stderr as it comes."""

    def __init__(self, file: Path) -> None:
        self._file = file
        self._console = Console(stderr=True, highlight=False, soft_wrap=True)
        self.refused: list[dict[str, str]] = []
        self.count = 0

    def refuse(self, place: str, reason: str) -> None:
        self.count += 1
        if self.count <= TOLD:
            self.refused.append({"place": place, "error": reason})
            self._console.print(f"{self._file.name} {place}: {reason}", markup=False)
        elif self.count == TOLD + 1:
            self._console.print("further products are refused without being told here", markup=False)


@app.command("list")
def list_products(
    category: Annotated[str, typer.Option(help="Of this category only.")] = "",
    limit: Annotated[int, typer.Option(min=1, help="So many at most.")] = 100,
    as_json: Json = False,
) -> None:
    """What the catalogue holds, in the order of the products' ids."""
    products = run(lambda bus: _listed(bus, category, limit))
    if as_json:
        print_json([_as_json(product) for product in products])
        return
    rows = [
        (each.product_id, each.name or "-", _price(each), each.category or "-", _state(each), each.source)
        for each in products
    ]
    print_table(("product", "name", "price", "category", "state", "source"), rows, "no products yet")


async def _listed(bus: Bus, category: str, limit: int) -> Sequence[CatalogueProduct]:
    products: list[CatalogueProduct] = []
    while len(products) < limit:
        after = products[-1].product_id if products else ""
        request = ListProducts(after, min(PAGE, limit - len(products)), category)
        found = await ask(bus, SERVICE, subjects.CATALOGUE_LIST, request, ProductsListed)
        products += found.products
        if found.done:
            break
    return products


@app.command()
def show(product_id: Annotated[str, typer.Argument(metavar="ID")], as_json: Json = False) -> None:
    """What is known of a product, and what goes with it."""
    found = run(lambda bus: ask(bus, SERVICE, subjects.CATALOGUE_GET, GetProduct(product_id), ProductFound))
    if found.product is None:
        raise Failure(f"there is no product {product_id}")
    if as_json:
        together = [{"product_id": product, "score": score} for product, score in found.together]
        print_json({**_as_json(found.product), "sessions": found.sessions, "together": together})
        return
    for name in ("product_id", "name", "category", "url", "image_url"):
        say(f"{name}: {getattr(found.product, name) or '-'}")
    say(f"price: {_price(found.product)}")
    say(f"state: {_state(found.product)}, as {found.product.source} told, {shown(found.product.updated_at)}")
    say(f"seen in {found.sessions:.1f} sessions")
    for product, score in found.together:
        say(f"goes with {product} ({score:.3f})")


def _as_json(product: CatalogueProduct) -> dict[str, Any]:
    return {**msgspec.to_builtins(product), "updated_at": rfc3339(product.updated_at)}


def _price(product: CatalogueProduct) -> str:
    return "-" if product.price is None else f"{product.price} {product.currency or ''}".rstrip()


def _state(product: CatalogueProduct) -> str:
    if product.gone:
        return "gone"
    state = "sold out" if product.sold_out else (product.availability or "in_stock").replace("_", " ")
    return state if product.stock is None else f"{state} ({product.stock})"
