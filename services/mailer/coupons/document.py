"""What a coupon is: from text to a ``Coupon``, or to everything that is wrong with it. Pure."""

import re
from typing import Any, Literal, NamedTuple, TypeAlias, cast, get_args

from msgspec import Struct

from shared import markup
from shared.clock import HOUR, Duration
from shared.coupons import LONGEST_CODE
from shared.places import Place, shown

Kind: TypeAlias = Literal["fixed", "pool", "generated"]
KINDS: tuple[Kind, ...] = get_args(Kind)

LOW = 100
"""Codes left in a pool when the alarm is raised, unless the document says otherwise."""

_OWN_KEYS: dict[Kind, tuple[str, ...]] = {"fixed": ("code",), "pool": ("low",), "generated": ("prefix", "expires")}
_COMMON = ("id", "kind", "text")
_CODE = rf"[^\s\x00-\x1f\x7f]{{1,{LONGEST_CODE}}}"


class Coupon(Struct, frozen=True):
    """``fixed``: one ``code`` for everybody. ``pool``: codes that were uploaded, each for one send; ``low``: the alarm.
    ``generated``: a new code for each send, beginning with ``prefix``, good for ``expires`` from then on, if that is given."""

    id: str
    kind: Kind
    text: str = ""
    code: str = ""
    prefix: str = ""
    low: int = LOW
    expires: Duration | None = None


class Reading(NamedTuple):
    """``coupon`` is none if there is any error; each begins with a path in the document."""

    coupon: Coupon | None
    errors: list[str]


def parse(text: str) -> Reading:
    errors: list[str] = []
    try:
        place = Place(markup.load(text), "", errors)
    except markup.MarkupError as error:
        return Reading(None, [str(error)])
    if not isinstance(place.value, dict):
        return Reading(None, [f"a coupon is a mapping with {', '.join(_COMMON)}, this is {shown(place.value)}"])
    coupon = _coupon(place)
    return Reading(coupon if not errors else None, errors)


def _coupon(place: Place) -> Coupon | None:
    kind = cast(Kind | None, child.one_of(KINDS) if (child := place.required("kind", "kind: generated")) else None)
    id_ = _text(place.required("id", "id: winback-10"), r"[a-zA-Z0-9_-]{1,64}", "1 to 64 letters, digits, _ or -")
    if kind is None or id_ is None:
        return None
    place.only((*_COMMON, *_OWN_KEYS[kind]))
    own: dict[str, Any] = {"text": _text(place.given("text"), r"[^\x00-\x1f\x7f]{1,200}", "1 to 200 characters")}
    if kind == "fixed":
        own["code"] = _text(
            place.required("code", "code: WELCOME10"), _CODE, f"1 to {LONGEST_CODE} characters, no spaces"
        )
    own["low"] = child.whole(0, 10**9) if (child := place.given("low")) else None
    own["prefix"] = _text(place.given("prefix"), r"[A-Z0-9]{1,16}", "1 to 16 of A-Z and 0-9")
    own["expires"] = child.duration(least=HOUR, example="14d") if (child := place.given("expires")) else None
    return Coupon(id_, kind, **{name: value for name, value in own.items() if value is not None})


def _text(place: Place | None, pattern: str, meaning: str) -> str | None:
    return place.text(pattern, meaning) if place else None


def flaw(code: object) -> str:
    """What keeps this from being a code of a pool; empty if nothing does."""
    if isinstance(code, str) and re.fullmatch(_CODE, code):
        return ""
    return f"{shown(code)} is not 1 to {LONGEST_CODE} characters without spaces"
