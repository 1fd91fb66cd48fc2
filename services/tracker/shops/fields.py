"""Looking into what may be anything: whatever in a shop's payload is not as it should be counts as not there. Pure.

Not with structs, which refuse the whole for one field: PHP writes an empty object as ``[]``, and so do Shopify's checkouts
with ``shipping_address``. An order is not to be lost for that.
"""

import math
import re
from typing import Any

from services.tracker.events import MAX_PERSON

MAX_TEXT = 256
"""Characters of a text; the rest is cut off."""
MAX_URL = 2048
MAX_CODES = 10
"""Coupons of an order."""
ANONYMOUS_ID = "beckon_anonymous_id"
"""Under this name a site leaves the visitor's id in its cart or order."""

_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)
_NO_ZONE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?", re.ASCII)
_SOMEBODY = re.compile(r"\d+|.*[@:].*", re.DOTALL)
_GREATEST = 10**15


def find(value: Any, path: str) -> Any:
    """What stands at ``path``, like ``customer.id``; ``lines[].code`` is a list of what stands there in each. None, if
    nothing does."""
    name, _, rest = path.partition(".")
    if not isinstance(value, dict):
        return None
    found = value.get(name.removesuffix("[]"))
    if not name.endswith("[]"):
        return find(found, rest) if rest else found
    if not isinstance(found, list):
        return None
    return [find(each, rest) for each in found] if rest else found


def text(value: Any) -> str | None:
    return value.strip()[:MAX_TEXT] or None if isinstance(value, str) else None


def identifier(value: Any) -> str | None:
    """A number becomes text. 0 is WooCommerce's word for none."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value) if 0 < value < 2**63 else None
    return text(value)


def number(value: Any) -> int | float | None:
    """Prices are texts, in most places."""
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        return float(value) if "." in value else int(value)
    if isinstance(value, int | float) and not isinstance(value, bool):
        return value if math.isfinite(value) and abs(value) < _GREATEST else None
    return None


def url(value: Any) -> str | None:
    """One that was cut off would lead nowhere."""
    return (
        value
        if isinstance(value, str) and value.startswith(("https://", "http://")) and len(value) <= MAX_URL
        else None
    )


def time(value: Any) -> str | None:
    """WooCommerce writes UTC and does not say so."""
    found = text(value)
    return f"{found}Z" if found and _NO_ZONE.fullmatch(found) else found


def token(value: Any) -> str | None:
    """Shopify shows the same cart with a key and without (``TOKEN?key=…``, its changelog of 2024-06-21)."""
    found = text(value)
    return found.partition("?")[0] or None if found else None


def codes(value: Any) -> list[str] | None:
    found = [code for each in value if (code := text(each))] if isinstance(value, list) else []
    return found[:MAX_CODES] or None


def consent(value: Any) -> bool | None:
    """Shopify's ``state``, or a plain yes or no."""
    if isinstance(value, bool):
        return value
    return value == "subscribed" if isinstance(value, str) else None


def anonymous_id(value: Any) -> str | None:
    """The visitor's id among attributes, which anybody can set: not one that could be a customer's, or a cart's."""
    for each in value if isinstance(value, list) else ():
        if isinstance(each, dict) and each.get("name", each.get("key")) == ANONYMOUS_ID:
            found = each.get("value")
            if isinstance(found, str) and 1 <= len(found) <= MAX_PERSON and not _SOMEBODY.fullmatch(found):
                return found
    return None
