"""Amounts of money as people read them."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation
from functools import lru_cache

from babel.numbers import format_currency, format_decimal, get_currency_precision, list_currencies

_LONGEST = 64
_MOST = Decimal(10) ** 12


def amount(value: object) -> Decimal | None:
    """The number that somebody sent as a price (``49.9``, ``"49.90"``), or none if it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    if isinstance(value, str) and len(value) > _LONGEST:
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number < _MOST else None


def money(value: object, currency: object = "", locale: str = "en") -> str:
    """``€1,299.00`` in English, ``1.299,00 €`` in German; without a currency the number alone; for what is no amount, nothing."""
    number = amount(value)
    if number is None:
        return ""
    code = currency.strip().upper() if isinstance(currency, str) else ""
    return _written(number, code if len(code) <= 16 else "", locale.replace("-", "_"))


@lru_cache(8192)  # a shop has a few thousand prices, and CLDR takes 40 µs for one
def _written(number: Decimal, code: str, locale: str) -> str:
    known = code in _currencies()
    places = get_currency_precision(code) if known else 2
    rounded = number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP)
    if known:
        written = format_currency(rounded, code, locale=locale)
        # Where there is no sign for it, CLDR wants room between the code and the number, which Babel leaves out.
        beside = written.startswith(code) and written[len(code)].isdigit()
        return written.replace(code, f"{code}\u00a0", 1) if beside else written
    written = format_decimal(rounded, format="#,##0.00", locale=locale)
    return f"{written} {code}" if code else written


@lru_cache(1)
def _currencies() -> frozenset[str]:
    return frozenset(list_currencies())
