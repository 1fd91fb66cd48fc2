"""Amounts of money as people read them."""

from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

_SIGNS = {
    "EUR": "€", "USD": "$", "GBP": "£", "JPY": "¥", "CNY": "CN¥", "INR": "₹", "KRW": "₩", "BRL": "R$",
    "AUD": "A$", "CAD": "CA$", "NZD": "NZ$", "MXN": "MX$", "ILS": "₪", "VND": "₫", "PHP": "₱",
}  # fmt: skip
"""Signs as English writes them (CLDR); every other currency is written with its code."""

_DECIMALS = {
    "JPY": 0,
    "KRW": 0,
    "VND": 0,
    "CLP": 0,
    "ISK": 0,
    "UGX": 0,
    "BHD": 3,
    "KWD": 3,
    "JOD": 3,
    "OMR": 3,
    "TND": 3,
}
"""Where it is not two (ISO 4217)."""

_MOST = Decimal(10) ** 12


def amount(value: object) -> Decimal | None:
    """The number that somebody sent as a price (``49.9``, ``"49.90"``), or none if it cannot be one."""
    if isinstance(value, bool) or not isinstance(value, int | float | str | Decimal):
        return None
    try:
        number = Decimal(str(value).strip())
    except InvalidOperation:
        return None
    return number if number.is_finite() and 0 <= number < _MOST else None


def money(value: object, currency: object = "") -> str:
    """``{{ product.price | money: product.currency }}``: ``€1,299.00``, ``¥1,299``, ``1,299.00 SEK``; without a currency
    the number alone; for what is no amount, nothing."""
    number = amount(value)
    if number is None:
        return ""
    code = currency.strip().upper() if isinstance(currency, str) else ""
    places = _DECIMALS.get(code, 2)
    written = f"{number.quantize(Decimal(1).scaleb(-places), rounding=ROUND_HALF_UP):,.{places}f}"
    if code in _SIGNS:
        return _SIGNS[code] + written
    return f"{written} {code}" if code else written
