"""Who comes to the simulated shop: temperaments, devices and profiles. Pure; all chance comes from the seed."""

from bisect import bisect_right
from itertools import accumulate
from random import Random
from typing import Any, Literal

from msgspec import Struct

from services.simulate.products import Product

Cart = dict[Product, int]
"""Pieces of each product, in the order they were put in."""

Trust = Literal["account", "address", "nothing"]
"""What somebody is ready to leave with the shop: an account, an e-mail address only, or nothing at all."""


class Temperament(Struct, frozen=True):
    """``share`` is of the people; ``gap`` the mean number of days between visits; ``views`` the mean number of products
    looked at in a visit; ``compares`` out of how many products the cheapest is taken. The others are chances:
    ``comes_back`` for another visit; ``again`` that a look goes to a product looked at before; ``adds`` that a product
    looked at goes into the cart; ``removes`` that one comes out again; ``checks_out`` that the checkout follows where
    there is a cart, and ``pays`` a purchase on that; ``account`` of an account, ``address`` of an address only.
    """

    name: str
    share: float
    gap: float
    comes_back: float
    views: float
    again: float
    compares: int
    adds: float
    removes: float
    checks_out: float
    pays: float
    account: float
    address: float


TEMPERAMENTS = (
    #                             share  gap  comes  views again  com-  adds   re-   checks pays account address
    #                                         back               pares        moves   out
    Temperament("buyer",          0.20,  6.0,  0.85,  4.0,  0.25,  1,   0.30,  0.10,  0.70,  0.85,  0.90,  0.05),
    Temperament("browser",        0.30,  3.0,  0.85,  6.0,  0.30,  1,   0.07,  0.20,  0.30,  0.60,  0.45,  0.20),
    Temperament("bargain hunter", 0.15,  2.0,  0.90,  6.0,  0.50,  3,   0.18,  0.35,  0.35,  0.65,  0.70,  0.15),
    Temperament("loyal",          0.10,  4.0,  0.97,  4.0,  0.40,  1,   0.20,  0.10,  0.70,  0.85,  1.00,  0.00),
    Temperament("one-time",       0.25,  0.0,  0.00,  2.0,  0.10,  1,   0.22,  0.10,  0.55,  0.75,  0.60,  0.15),
)  # fmt: skip

SECOND_DEVICE = 0.4
"""The share of people who have two devices, one with a browser and one with the shop's app."""
MOBILE_FIRST = 0.4
"""The share of people whose only or usual device is the one with the app."""

_COUNTRIES = (
    ("DE", "Europe/Berlin", "de-DE"),
    ("AT", "Europe/Vienna", "de-AT"),
    ("FR", "Europe/Paris", "fr-FR"),
    ("NL", "Europe/Amsterdam", "nl-NL"),
    ("IT", "Europe/Rome", "it-IT"),
    ("ES", "Europe/Madrid", "es-ES"),
    ("IE", "Europe/Dublin", "en-IE"),
    ("US", "America/New_York", "en-US"),
)
_NAMES = (
    "Ada", "Ben", "Cleo", "Dan", "Edda", "Finn", "Gil", "Hana", "Ida", "Jonas", "Kim", "Lena",
    "Milo", "Nora", "Otto", "Pia", "Quinn", "Rosa", "Sam", "Tara", "Ugo", "Vera", "Wim", "Yara",
)  # fmt: skip
_SHARES = tuple(accumulate(temperament.share for temperament in TEMPERAMENTS))


class Device(Struct):
    """``ids`` is what its events say about who it is; ``cart`` is the account's own once somebody has signed in."""

    source: str
    ids: dict[str, str]
    cart: Cart
    signed_in: bool = False


class Shopper(Struct):
    """A person between two visits. ``count``: their events so far; ``visits``: their visits so far; ``cart``: the
    account's; ``seen``: the products looked at last."""

    seed: int
    number: int
    temperament: Temperament
    trust: Trust
    profile: dict[str, Any]
    devices: list[Device]
    cart: Cart
    seen: list[Product]
    visits: int = 0
    count: int = 0
    address_left: bool = False

    @property
    def user_id(self) -> str:
        return f"u{self.seed}-{self.number}"


def chance(seed: int, number: int, of: str | int) -> Random:
    """The dice for one thing in one person's story, which nobody else's throws and no other thing's disturb."""
    return Random(f"{seed}/{number}/{of}")  # noqa: S311 - a story must be repeatable, and nothing in it is secret


def new_shopper(seed: int, number: int) -> Shopper:
    """The person before the first visit."""
    rng = chance(seed, number, "person")
    temperament = TEMPERAMENTS[bisect_right(_SHARES, rng.random() * _SHARES[-1], hi=len(TEMPERAMENTS) - 1)]
    return Shopper(
        seed,
        number,
        temperament,
        trust=_trust(rng, temperament),
        profile=_profile(rng, number),
        devices=_devices(rng, f"a{seed}-{number}"),
        cart={},
        seen=[],
    )


def _trust(rng: Random, temperament: Temperament) -> Trust:
    drawn = rng.random()
    if drawn < temperament.account:
        return "account"
    return "address" if drawn < temperament.account + temperament.address else "nothing"


def _profile(rng: Random, number: int) -> dict[str, Any]:
    name = rng.choice(_NAMES)
    country, timezone, locale = rng.choice(_COUNTRIES)
    return {
        "email": f"{name.lower()}-{number}@example.com",
        "first_name": name,
        "country": country,
        "timezone": timezone,
        "locale": locale,
    }


def _devices(rng: Random, prefix: str) -> list[Device]:
    """The usual one first."""
    sources = ["mobile", "web"] if rng.random() < MOBILE_FIRST else ["web", "mobile"]
    count = 2 if rng.random() < SECOND_DEVICE else 1
    return [
        Device(source, {"anonymous_id": f"{prefix}-{place}"}, {})
        for place, source in enumerate(sources[:count], start=1)
    ]
