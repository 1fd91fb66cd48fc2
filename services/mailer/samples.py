"""What a template is shown with where no person is named: its ``sample.yaml``, and for what that does not say somebody made up."""

from collections.abc import Mapping
from typing import Any

import yaml

from services.mailer.cleaning import Cleaner
from services.mailer.context import VARIABLES, Shop
from services.mailer.locales import Reader, reader

_FIXED = frozenset({"shop", "locale", "timezone", "dir"})
_NAMES = ("Stoneware mug", "Canvas backpack", "Desk lamp", "Mechanical watch", "Enamel kettle", "Pocket notebook")


class SampleError(Exception):
    """``sample.yaml`` cannot be used; one line says why."""


def sample(text: str, shop: Shop) -> tuple[dict[str, Any], Reader]:
    """The variables of a template, and how its reader reads. Raises ``SampleError``."""
    given = _read(text)
    products = [_product(number, name, shop) for number, name in enumerate(_NAMES)]
    person = given.get("person", {"first_name": "Ada", "email": "ada@example.test", "key": "ada"})
    if not isinstance(person, dict):
        raise SampleError("person: expected a mapping, as a profile is")
    reads = reader(person.get("locale"), person.get("timezone"), shop.reader)
    variables = {
        "person": person,
        "events": [],
        "products": products,
        "cart": products[:3],
        "order": {"id": "A-1042", "total": "153.50", "currency": "EUR", "products": products[:2]},
        "recommended": products[3:],
        "coupon": {"code": "SAMPLE-7F3K", "text": "10 % off your next order"},
        "rule": {"id": "preview", "version": 0},
        "unsubscribe_url": shop.url,
        **given,
    }
    clean = Cleaner()
    return {
        **{name: clean(value) for name, value in variables.items()},
        "shop": {"name": shop.name, "url": shop.url},
        "locale": reads.locale,
        "timezone": reads.timezone,
        "dir": reads.dir,
    }, reads


def _read(text: str) -> Mapping[str, Any]:
    try:
        given = yaml.safe_load(text) if text.strip() else {}
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise SampleError(" ".join(f"cannot be read as YAML: {error}".split())) from None
    if not isinstance(given, dict):
        raise SampleError("expected variables, like 'person: {first_name: Zoë}'")
    allowed = VARIABLES.keys() - _FIXED
    for name in given:
        if name not in allowed:
            raise SampleError(f"{name!r} is no variable; there are {', '.join(sorted(allowed))}")
    return given


def _product(number: int, name: str, shop: Shop) -> dict[str, Any]:
    return {
        "product_id": f"sample-{number}",
        "name": name,
        "price": f"{24 + 35 * number}.50",
        "currency": "EUR",
        "image_url": None,
        "url": shop.url or None,
        "category": "Sample",
        "quantity": 1 + number % 2,
    }
