"""Amounts of money as people read them."""

from decimal import Decimal
from typing import Any

import pytest

from services.mailer.money import amount, money


@pytest.mark.parametrize(
    ("value", "currency", "written"),
    [
        (1299, "EUR", "€1,299.00"),
        (49.9, "usd", "$49.90"),
        ("19.999", "GBP", "£20.00"),
        (0.125, "EUR", "€0.13"),
        (Decimal("0.005"), "EUR", "€0.01"),
        (1299, "JPY", "¥1,299"),
        (1.5, "KWD", "KWD\u00a01.500"),
        (1299.5, "SEK", "SEK\u00a01,299.50"),
        (1299.5, "XQX", "1,299.50 XQX"),
        (1299.5, "x" * 99, "1,299.50"),
        (12, "", "12.00"),
        (12, None, "12.00"),
        (0, "EUR", "€0.00"),
        (0.1 + 0.2, "EUR", "€0.30"),
        (10**11, "EUR", "€100,000,000,000.00"),
    ],
)
def test_as_people_read_it(value: Any, currency: Any, written: str) -> None:
    assert money(value, currency) == written


@pytest.mark.parametrize(
    ("locale", "currency", "written"),
    [
        ("de", "EUR", "1.299,50\u00a0€"),
        ("de-CH", "CHF", "CHF\u00a01’299.50"),
        ("fr", "EUR", "1\u202f299,50\u00a0€"),
        ("ja", "JPY", "￥1,300"),
        ("en-IN", "INR", "₹1,299.50"),
        ("ar-EG", "EGP", "\u200f1,299.50\u00a0ج.م.\u200f"),
        ("sv", "", "1\u00a0299,50"),
    ],
)
def test_as_people_elsewhere_read_it(locale: str, currency: str, written: str) -> None:
    assert money(1299.5, currency, locale) == written


@pytest.mark.parametrize(
    "value", [None, "", "free", True, [], {}, float("nan"), float("inf"), "-inf", -1, 1e15, "1e999999", "1,299.00"]
)
def test_what_is_no_amount_is_written_as_nothing(value: Any) -> None:
    assert amount(value) is None
    assert money(value, "EUR") == ""
