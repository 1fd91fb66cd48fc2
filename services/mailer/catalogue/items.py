"""From an item of a feed to what is known of a product. Pure."""

from decimal import Decimal

from services.mailer.catalogue.facts import LONGEST_ID, Facts, availability
from services.mailer.cleaning import readable
from services.mailer.money import amount
from services.mailer.products import web_url
from shared.messages import Properties

FIELDS = frozenset({"product_id", *Facts.__struct_fields__})
LONGEST = {"name": 500, "category": 200}
_MOST = 2**31


def read(item: Properties) -> tuple[str, Facts]:
    """The product's id and what the feed says of it. Raises ``ValueError``, naming the field and what would be right. Fields
    that are not known are ignored, as are empty ones."""
    given = {name: text for name in FIELDS if (text := _text(name, item.get(name)))}
    product_id = given.pop("product_id", "")
    if not product_id:
        raise ValueError("product_id is missing")
    if len(product_id) > LONGEST_ID:
        raise ValueError(f"product_id: {len(product_id)} characters, at most {LONGEST_ID}")
    if "name" not in given:
        raise ValueError("name is missing")
    for name, most in LONGEST.items():
        if len(given.get(name, "")) > most:
            raise ValueError(f"{name}: {len(given[name])} characters, at most {most}")
    price, currency = _price(given)
    facts = Facts(
        name=given["name"],
        price=price,
        currency=currency,
        url=_address("url", given),
        image_url=_address("image_url", given),
        category=given.get("category"),
        availability=_availability(given),
        stock=_stock(given),
    )
    return product_id, facts


def _text(name: str, value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        raise ValueError(f"{name}: expected a text or a number")
    text = " ".join(str(value).split())
    if not readable(text):
        raise ValueError(f"{name}: holds a character that cannot be shown")
    return text


def _address(name: str, given: dict[str, str]) -> str | None:
    if name in given and web_url(given[name]) is None:
        raise ValueError(
            f"{name}: {_shown(given[name])} is no web address, expected one like https://shop.example/kettle"
        )
    return given.get(name)


def _price(given: dict[str, str]) -> tuple[Decimal | None, str | None]:
    """``12.50``, beside a ``currency`` or with it, as Google Merchant wants it: ``12.50 EUR``."""
    if "price" not in given:
        return None, None
    number, _, code = given["price"].partition(" ")
    price, currency = amount(number), code or given.get("currency", "")
    if price is None:
        raise ValueError(f"price: {_shown(given['price'])} is not like 12.50 or 12.50 EUR")
    if currency and not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
        raise ValueError(f"currency: {_shown(currency)} is not a code of three letters, like EUR")
    return price, currency.upper() or None


def _availability(given: dict[str, str]) -> str | None:
    word = given.get("availability")
    if word is not None and availability(word) is None:
        raise ValueError(f"availability: {_shown(word)} is not in_stock, out_of_stock or preorder")
    return availability(word) if word is not None else None


def _stock(given: dict[str, str]) -> int | None:
    if "stock" not in given:
        return None
    pieces = amount(given["stock"])
    if pieces is None or pieces != pieces.to_integral_value() or pieces > _MOST:
        raise ValueError(f"stock: {_shown(given['stock'])} is not a number of pieces, like 12")
    return int(pieces)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 60 else text[:59] + "…")
