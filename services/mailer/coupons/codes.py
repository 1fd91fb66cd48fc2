"""Generated codes: nobody can guess one, and one that was mistyped is known to be none. Pure.

A code is Crockford's base 32 (https://www.crockford.com/base32.html: digits and capitals without I, L, O and U) in groups:
``BACK-7KQ4-M0XR-T2ZP``. Eleven characters are 55 random bits; the twelfth is a check by which each single wrong character,
and each two neighbours in the wrong order, is found out.
"""

import re
from collections.abc import Iterator
from typing import Any

from shared.messages import Event

ENTROPY = 7
"""Bytes that ``written`` wants; a bit of them is left over."""

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_LIKENESSES = str.maketrans("ILO", "110")
_RANDOM, _GROUP = 11, 4
_POLYNOMIAL = 0b100101
"""Of the field of 32 elements in which the check is the value at 2 of the polynomial that the characters are."""


def written(prefix: str, entropy: bytes) -> str:
    """Raises ``ValueError`` if there is too little entropy."""
    if len(entropy) < ENTROPY:
        raise ValueError(f"{len(entropy)} bytes of entropy, expected {ENTROPY}")
    number = int.from_bytes(entropy[:ENTROPY])
    digits = [number >> 5 * place & 31 for place in range(_RANDOM)]
    body = "".join(_ALPHABET[digit] for digit in (*digits, _check(digits)))
    groups = [body[start : start + _GROUP] for start in range(0, len(body), _GROUP)]
    return "-".join([prefix, *groups] if prefix else groups)


def plausible(code: str) -> bool:
    """Whether a generated code can read like this; how it is spaced, and what looks like what, does not matter."""
    body = normal(code).replace("-", "")[-_RANDOM - 1 :].translate(_LIKENESSES)
    if len(body) <= _RANDOM or not set(body) <= set(_ALPHABET):
        return False
    *digits, check = map(_ALPHABET.index, body)
    return _check(digits) == check


def normal(code: str) -> str:
    """As codes are compared: shops are told them in small letters, with spaces, with a line break behind them."""
    return re.sub(r"\s+", "", code).upper()


def used(event: Event) -> Iterator[str]:
    """The codes that a purchase names: ``coupon`` (as Segment has it), or ``coupons``, a list."""
    if event.name == "purchased":
        several = event.properties.get("coupons")
        given: list[Any] = [event.properties.get("coupon"), *(several if isinstance(several, list) else [])]
        yield from dict.fromkeys(normal(code) for code in given if isinstance(code, str) and code.strip())


def _check(digits: list[int]) -> int:
    check = 0
    for digit in digits:
        check = _twice(check ^ digit)
    return check


def _twice(value: int) -> int:
    doubled = value << 1
    return doubled ^ _POLYNOMIAL if doubled & 32 else doubled
