"""Products of a feed, one at a time: CSV, JSON, and Google Merchant's XML.

Each comes with its place in the file, for people, and its fields under the names the catalogue has for them; whether they are
right is for the catalogue to say. What cannot be read is an item with a flaw; a file that is broken raises ``Failure``.
"""

import gzip
import json
import zlib
from collections.abc import Iterator, Mapping
from enum import StrEnum
from pathlib import Path
from typing import Any, NamedTuple

from services.cli.failure import Failure
from services.cli.infile import DELIMITERS, Line, Lines, split
from services.cli.merchant import read_merchant

NAMES = {
    "id": "product_id",
    "sku": "product_id",
    "title": "name",
    "link": "url",
    "image": "image_url",
    "image_link": "image_url",
    "product_type": "category",
    "google_product_category": "category",
    "inventory": "stock",
    "quantity": "stock",
}
"""What Google Merchant and shops call the fields. The catalogue's own name goes before the others, an earlier one of these
before a later one."""
FIELDS = frozenset({"product_id", "name", "price", "currency", "image_url", "url", "category", "availability", "stock"})
"""Of the catalogue. All others are left out."""
MOST_BYTES = 256 * 2**20
"""Of a JSON array, which is read as a whole."""
_PART = 64 * 1024
_GZIP = b"\x1f\x8b"
_LINES = frozenset({".ndjson", ".jsonl"})


class Format(StrEnum):
    CSV = "csv"
    JSON = "json"
    GOOGLE = "google"


class Item(NamedTuple):
    """``place``: ``line 12``. ``flaw``: why it cannot be read."""

    place: str
    fields: dict[str, Any] = {}  # noqa: RUF012 - never changed
    flaw: str = ""


_ENDINGS = {
    ".csv": Format.CSV,
    ".tsv": Format.CSV,
    ".txt": Format.CSV,
    ".json": Format.JSON,
    ".ndjson": Format.JSON,
    ".jsonl": Format.JSON,
    ".xml": Format.GOOGLE,
    ".rss": Format.GOOGLE,
    ".atom": Format.GOOGLE,
}


def format_of(path: Path) -> Format:
    """By its ending, ``.gz`` aside. Raises ``Failure``."""
    for ending in reversed(path.suffixes):
        if ending.lower() in _ENDINGS:
            return _ENDINGS[ending.lower()]
    raise Failure(f"{path}: say what it is, --format csv, json or google", code=2)


def read(path: Path, format_: Format) -> Iterator[Item]:
    """Raises ``Failure`` where the file cannot be read on."""
    match format_:
        case Format.CSV:
            yield from _csv(Lines(path))
        case Format.JSON:
            yield from _json(path)
        case Format.GOOGLE:
            for line, fields in read_merchant(path, _parts(path)):
                yield Item(f"line {line}", named(fields))


def named(fields: Mapping[str, Any]) -> dict[str, Any]:
    """Under the catalogue's names; ``sale_price`` is what it costs, unless it does only from some day to another."""
    given = {name: value for name, value in fields.items() if value not in (None, "")}
    found = {name: value for name, value in given.items() if name in FIELDS}
    for name, ours in NAMES.items():
        if name in given:
            found.setdefault(ours, given[name])
    if "sale_price" in given and "sale_price_effective_date" not in given:
        found["price"] = given["sale_price"]
    return found


def _csv(lines: Lines) -> Iterator[Item]:
    headers = []
    for delimiter in DELIMITERS:
        lines.seek(lines.begin)
        headers.append((next(split(lines, delimiter), None), delimiter))
    header, delimiter = max(headers, key=lambda found: len(found[0].cells) if found[0] else 0)
    if header is None or header.flaw:
        raise Failure(f"{lines.path}: the header {header.flaw if header else 'is missing'}", code=2)
    columns = [cell.strip().lower().removeprefix("g:").replace(" ", "_") for cell in header.cells]
    if "product_id" not in {NAMES.get(column, column) for column in columns}:
        raise Failure(f"{lines.path}: no column is called product_id, or id; they are {', '.join(columns)}", code=2)
    lines.seek(lines.begin)
    rows = split(lines, delimiter, len(columns))
    next(rows)
    for row in rows:
        flaw = row.flaw
        if not flaw and len(row.cells) != len(columns):
            flaw = f"{len(row.cells)} cells, but the header has {len(columns)}"
        fields = {} if flaw else named(dict(zip(columns, map(str.strip, row.cells), strict=True)))
        yield Item(f"line {row.number}", fields, flaw)


def _json(path: Path) -> Iterator[Item]:
    """An array of objects, an object with one under ``products``, or an object a line."""
    lines = Lines(path)
    first = _loaded(next(lines, Line(b"", 0)).data)
    if _LINES & set(path.suffixes) or (isinstance(first, dict) and "products" not in first):
        lines.seek(lines.begin)
        for line in lines:
            if line.data.strip():
                yield _item(f"line {lines.place.lines}", _loaded(line.data))
        return
    text = bytearray()
    for part in _parts(path):
        text += part
        if len(text) > MOST_BYTES:
            raise Failure(f"{path}: larger than {MOST_BYTES // 2**20} MiB, write one product a line", code=2)
    try:
        whole = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Failure(f"{path}: is not JSON: {error}", code=2) from None
    products = whole.get("products") if isinstance(whole, dict) else whole
    if not isinstance(products, list):
        raise Failure(f"{path}: expected an array of products, or one under 'products'", code=2)
    for place, product in enumerate(products, 1):
        yield _item(f"product {place}", product)


def _parts(path: Path) -> Iterator[bytes]:
    """The file, decompressed if need be. Raises ``Failure``."""
    try:
        with path.open("rb") as file:
            packed = file.peek(len(_GZIP)).startswith(_GZIP)
            plain = gzip.GzipFile(fileobj=file) if packed else file
            while part := plain.read(_PART):
                yield part
    except (OSError, EOFError, zlib.error) as error:
        raise Failure(f"{path}: {getattr(error, 'strerror', None) or error}", code=2) from None


def _item(place: str, product: Any) -> Item:
    if not isinstance(product, dict):
        return Item(place, flaw='is not a JSON object like {"product_id": "k1", "name": "Kettle"}')
    return Item(place, named(product))


def _loaded(text: bytes) -> Any:
    """None for what is no JSON."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
