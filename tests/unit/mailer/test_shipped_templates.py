"""The templates that ship: of whom much is known, of whom nothing is, and from right to left."""

import re
from typing import Any

import pytest

from services.mailer.context import Shop
from services.mailer.products import Product
from tests.support.templates import CUP, KETTLE, SHIPPED, event, filled, kettle, shipped

RECOMMENDED: list[Product] = [kettle(product_id="t1", name="Tea tray", price=None, image_url=None)]
COUPON = {"code": "BACK-7F3K", "text": "10 % off", "expires": "2026-12-01"}


def test_these_are_all_that_ship() -> None:
    assert SHIPPED == (
        "browse-reminder",
        "cart-reminder",
        "follow-up",
        "high-value-interest",
        "reorder",
        "thank-you",
        "vip",
        "welcome",
        "welcome-back",
        "win-back",
    )


@pytest.mark.parametrize("name", SHIPPED)
def test_they_show_the_person_and_the_product(name: str) -> None:
    mail = filled(shipped(name), {"first_name": "Zoë"}, KETTLE, CUP, unsubscribe_url="https://out.test/u")
    assert "Zoë" in mail.subject
    for shown in ("Zoë", "Copper kettle", "€129.50", "https://shop.test/k1.jpg", 'alt="Copper kettle"'):
        assert shown in mail.html
    for shown in ("Zoë", "Copper kettle (https://shop.test/k1?a=1&b=2)", "€129.50", "unsubscribe (https://out.test/u)"):
        assert shown in mail.text
    assert 'href="https://shop.test/k1?a=1&amp;b=2"' in mail.html
    assert "Kiln &amp; Kettle" in mail.html
    assert "&amp;amp;" not in mail.html
    assert mail.text.count("Copper kettle") == 1
    assert len(mail.html) < 50_000, "Gmail cuts a mail at 102 kB, encoded and with its links sealed"


@pytest.mark.parametrize("name", SHIPPED)
def test_they_load_nothing_from_a_stranger(name: str) -> None:
    mail = filled(shipped(name), {}, KETTLE, unsubscribe_url="https://out.test/u", coupon=COUPON)
    hosts = set(re.findall(r"(?:https?:)?//([\w.-]+)", mail.html))
    assert hosts - {"www.w3.org"} == {"shop.test", "out.test"}, "the former is a name, and nothing that is loaded"


@pytest.mark.parametrize("name", SHIPPED)
def test_they_read_well_for_somebody_of_whom_nothing_is_known(name: str) -> None:
    mail = filled(shipped(name), {}, shop=Shop("Shop", ""))
    assert mail.subject.strip()[0].isupper()
    for hole in ('href=""', 'src=""', "None", "{{", "{%"):
        assert hole not in mail.html + mail.text
    assert "<img" not in mail.html
    assert "unsubscribe" not in mail.html + mail.text


@pytest.mark.parametrize("name", SHIPPED)
def test_a_missing_picture_or_price_leaves_no_hole(name: str) -> None:
    mail = filled(shipped(name), {}, CUP)
    assert "<img" not in mail.html
    assert "Cup" in mail.html
    assert "€" not in mail.html + mail.text
    assert 'src=""' not in mail.html


@pytest.mark.parametrize("name", SHIPPED)
def test_they_turn_around_for_those_who_read_so(name: str) -> None:
    for locale, direction in (("he-IL", "rtl"), ("ar", "rtl"), ("fa", "rtl"), ("ur-PK", "rtl"), ("de", "ltr")):
        page = filled(shipped(name), {"locale": locale, "first_name": "דנה"}, KETTLE).html
        assert f'dir="{direction}"' in page
        assert ("text-align:right" in page) == (direction == "rtl")
        assert "<bdi>דנה</bdi>" in page


@pytest.mark.parametrize("name", SHIPPED)
def test_they_show_what_is_recommended_when_there_is_something(name: str) -> None:
    assert "You may also like" not in filled(shipped(name), {}, KETTLE).html
    mail = filled(shipped(name), {}, KETTLE, recommended=RECOMMENDED)
    assert "You may also like" in mail.html
    assert "Tea tray" in mail.html
    assert "Tea tray" in mail.text


@pytest.mark.parametrize("name", ["cart-reminder", "win-back"])
def test_they_show_a_coupon_when_there_is_one(name: str) -> None:
    assert 'class="code"' not in filled(shipped(name), {}, KETTLE).html
    mail = filled(shipped(name), {"locale": "en-GB"}, KETTLE, coupon=COUPON)
    for shown in (mail.html, mail.text):
        assert "BACK-7F3K" in shown
        assert "10 % off" in shown
        assert "Good until 1 December 2026" in shown


@pytest.mark.parametrize("name", SHIPPED)
def test_dark_mode_and_the_preheader_are_there(name: str) -> None:
    page = filled(shipped(name), {}, KETTLE).html
    assert '<meta name="color-scheme" content="light dark"' in page
    assert "@media (prefers-color-scheme: dark)" in page
    assert page.index("display:none") < page.index('role="article"'), "the preheader comes first"


def test_the_cart_shows_what_is_in_it_and_how_many() -> None:
    mail = filled(shipped("cart-reminder"), {}, KETTLE, CUP)
    assert "2 pieces" in mail.html
    gone = event(3, "removed_from_cart", product_id="c1")
    assert "Cup" not in filled(shipped("cart-reminder"), {}, KETTLE, CUP, gone).html


def test_a_large_cart_is_told_in_short() -> None:
    added = [event(n, "added_to_cart", **kettle(product_id=str(n), name=f"Kettle {n}")) for n in range(1, 10)]
    mail = filled(shipped("cart-reminder"), {}, *added)
    assert mail.html.count('alt="Kettle') == 6
    assert "and 3 more" in mail.text


def test_a_thank_you_tells_what_was_bought_and_not_to_look_at_it_again() -> None:
    bought = event(3, "purchased", order_id="A-17", total=129.5, currency="EUR", products=[KETTLE.properties])
    mail = filled(shipped("thank-you"), {}, bought, KETTLE, CUP)
    assert "Your order A-17\n\nCopper kettle (https://shop.test/k1?a=1&b=2)\n€129.50\n\nTotal €129.50\n" in mail.text
    assert mail.text.count("Copper kettle") == 1
    assert "Cup" in mail.text


@pytest.mark.parametrize("properties", [KETTLE.properties, {"products": [{"product_id": "k1"}]}])
def test_a_reorder_links_what_was_bought(properties: dict[str, Any]) -> None:
    mail = filled(shipped("reorder"), {}, event(3, "purchased", **properties), KETTLE, CUP)
    assert mail.subject.strip() == "Running low: Copper kettle?"
    assert "Buy again (https://shop.test/k1?a=1&b=2)" in mail.text
    assert 'href="https://shop.test/k1?a=1&amp;b=2"' in mail.html
    assert "Cup" not in mail.html + mail.text
