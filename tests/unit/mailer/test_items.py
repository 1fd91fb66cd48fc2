"""Items of feeds: what is taken of them, and what their authors are told."""

from decimal import Decimal
from typing import Any

import pytest

from services.mailer.catalogue.facts import Facts
from services.mailer.catalogue.items import read


def test_an_item_is_read_whole() -> None:
    item = {
        "product_id": 17,
        "name": "  Copper\n kettle ",
        "price": "1299.50 eur",
        "url": "https://shop.test/k?a=1&b=2",
        "image_url": "http://cdn.test/k.jpg",
        "category": "Home > Kitchen",
        "availability": "in stock",
        "stock": "12",
        "colour": ["ignored"],
    }
    assert read(item) == (
        "17",
        Facts(
            "Copper kettle",
            Decimal("1299.50"),
            "EUR",
            "http://cdn.test/k.jpg",
            "https://shop.test/k?a=1&b=2",
            "Home > Kitchen",
            "in_stock",
            12,
        ),
    )
    assert read({"product_id": "k", "name": "K", "price": 5, "currency": "usd", "stock": 0})[1].currency == "USD"
    assert read({"product_id": "k", "name": "K", "price": "", "stock": None}) == ("k", Facts("K"))


def test_a_name_may_hold_what_shapes_its_letters() -> None:
    assert read({"product_id": "k", "name": "کتاب\u200cها 👩\u200d🍳"})[1].name == "کتاب\u200cها 👩\u200d🍳"


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("In Stock", "in_stock"),
        ("out_of_stock", "out_of_stock"),
        ("backorder", "preorder"),
        ("https://schema.org/SoldOut", "out_of_stock"),
    ],
)
def test_availability_is_understood_as_shops_write_it(word: str, meant: str) -> None:
    assert read({"product_id": "k", "name": "K", "availability": word})[1].availability == meant


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"product_id": " "}, "product_id is missing"),
        ({"product_id": "x" * 201}, "product_id: 201 characters, at most 200"),
        ({"product_id": ["k"]}, "product_id: expected a text or a number"),
        ({"name": ""}, "name is missing"),
        ({"name": "x" * 501}, "name: 501 characters, at most 500"),
        ({"name": "Kettle\u202e"}, "name: holds a character that cannot be shown"),
        ({"name": "a\0b"}, "name: holds a character that cannot be shown"),
        ({"price": "12,50"}, "price: '12,50' is not like 12.50 or 12.50 EUR"),
        ({"price": "-1"}, "price: '-1' is not like 12.50 or 12.50 EUR"),
        ({"price": float("nan")}, "price: 'nan' is not like 12.50 or 12.50 EUR"),
        ({"price": "12 Euro"}, "currency: 'Euro' is not a code of three letters, like EUR"),
        ({"url": "/kettle"}, "url: '/kettle' is no web address, expected one like https://shop.example/kettle"),
        (
            {"image_url": "javascript:alert(1)"},
            "image_url: 'javascript:alert(1)' is no web address, expected one like https://shop.example/kettle",
        ),
        ({"availability": "maybe"}, "availability: 'maybe' is not in_stock, out_of_stock or preorder"),
        ({"stock": "many"}, "stock: 'many' is not a number of pieces, like 12"),
        ({"stock": "1.5"}, "stock: '1.5' is not a number of pieces, like 12"),
    ],
)
def test_what_is_wrong_is_told_with_what_would_be_right(more: dict[str, Any], reason: str) -> None:
    with pytest.raises(ValueError) as caught:
        read({"product_id": "k", "name": "K"} | more)
    assert str(caught.value) == reason
