"""A/B: several mails for one rule, of which each person gets always the same one. Pure."""

import hashlib
from collections.abc import Sequence

from msgspec import Struct

from shared.messages import EmailAction
from shared.places import Place

EXAMPLE = "[{name: plain, template: cart-reminder}, {name: discount, template: cart-reminder, coupon: winback-10}]"
MOST = 10
_KEYS = ("name", "weight", "template", "coupon")


class Variant(Struct, frozen=True):
    """``weight``: its share of all people is this by the sum of all weights."""

    name: str
    weight: int
    action: EmailAction


def chosen(rule: str, person: str, variants: Sequence[Variant]) -> Variant:
    """The same one for the same rule and person as long as the variants stay the same; independent of who is held out.

    The person's place between 0 and 1 never moves, so that a change of weights moves only those at the edges.
    """
    digest = hashlib.blake2b(f"variant\0{rule}\0{person}".encode(), digest_size=8).digest()
    place = int.from_bytes(digest) * sum(variant.weight for variant in variants) >> 64
    for variant in variants:
        if place < variant.weight:
            return variant
        place -= variant.weight
    raise AssertionError("a place is below the sum of the weights")


def parse(place: Place, label: str, meaning: str) -> tuple[Variant, ...]:
    """The variants that could be read; what is wrong is noted. ``label``: what names look like, which is ``meaning``."""
    found: list[Variant] = []
    for item in place.items(EXAMPLE):
        if item.is_mapping("{name: plain, template: cart-reminder, weight: 1}"):
            item.only(_KEYS)
            name = child.text(label, meaning) if (child := item.required("name", "name: plain")) else None
            weight = child.whole(1, 1000) if (child := item.given("weight")) else 1
            action = mail(item, label, meaning)
            if name and any(name == other.name for other in found):
                item.child("name").wrong(f"{name!r} is the name of another variant, too")
            elif name and weight and action:
                found.append(Variant(name, weight, action))
    if isinstance(place.value, list) and not 2 <= len(place.value) <= MOST:
        place.wrong(f"{len(place.value)} of them; there are 2 to {MOST} variants")
    return tuple(found)


def mail(place: Place, label: str, meaning: str) -> EmailAction | None:
    """The mail that a mapping names."""
    template = child.text(label, meaning) if (child := place.required("template", "template: cart-reminder")) else None
    coupon = child.text(label, meaning) if (child := place.given("coupon")) else None
    return EmailAction(template, coupon) if template else None
