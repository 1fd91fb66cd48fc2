"""What a mail shows, brought up to date: given its lists and the catalogue, expect what is left and as it is today."""

from decimal import Decimal
from typing import Any

from services.mailer.catalogue.showing import bought, nothing_left, seen, shown
from shared.catalogue import CatalogueProduct
from shared.messages import HistoryEvent

BLANK = dict.fromkeys(("name", "price", "currency", "image_url", "url", "category", "quantity"))


def product(product_id: str | None, **more: Any) -> dict[str, Any]:
    return {**BLANK, "product_id": product_id, **more}


def entry(product_id: str, *, sold_out: bool = False, source: str = "feed", **more: Any) -> CatalogueProduct:
    blank = dict.fromkeys(("name", "price", "currency", "image_url", "url", "category", "availability", "stock"))
    return CatalogueProduct(
        product_id=product_id, **(blank | more), gone=False, sold_out=sold_out, source=source, updated_at=0
    )


def today(one: dict[str, Any], known: CatalogueProduct) -> list[dict[str, Any]]:
    return shown({"cart": [one], "products": [], "recommended": []}, [], {known.product_id: known})["cart"]


def test_the_shops_price_picture_and_link_of_today_under_the_name_the_person_was_shown() -> None:
    was = product("k1", name="Wasserkessel", price=59, currency="EUR", quantity=2, url="https://shop.test/old")
    now = entry(
        "k1", name="Kettle", price=Decimal(49), image_url="https://shop.test/k.jpg", url="https://shop.test/new"
    )
    (kettle,) = today(was, now)
    assert kettle == product(
        "k1",
        name="Wasserkessel",
        price=49,
        quantity=2,
        image_url="https://shop.test/k.jpg",
        url="https://shop.test/new",
    ), "and no currency that belongs to another price"


def test_what_browsers_told_only_fills_what_the_persons_own_events_left_out() -> None:
    now = entry("k1", source="browser", name="Free!", price=Decimal(1), currency="USD", url="https://shop.test/x")
    assert today(product("k1", name="Kettle", price=59, currency="EUR"), now) == [
        product("k1", name="Kettle", price=59, currency="EUR", url="https://shop.test/x")
    ]


def test_what_is_sold_out_is_in_no_list() -> None:
    lists = {
        "cart": [product("a"), product("b")],
        "products": [product("b"), product(None, name="?")],
        "recommended": [],
    }
    known = {"b": entry("b", sold_out=True), "c": entry("c", sold_out=True), "d": entry("d")}
    after = shown(lists, ["c", "d", "unknown"], known)
    assert {name: [each["product_id"] for each in products] for name, products in after.items()} == {
        "cart": ["a"],
        "products": [None],
        "recommended": ["d"],
    }


def test_six_are_recommended_at_most() -> None:
    known = {str(n): entry(str(n)) for n in range(9)}
    empty: dict[str, list[Any]] = {"cart": [], "products": [], "recommended": []}
    assert len(shown(empty, list(known), known)["recommended"]) == 6


def test_a_mail_that_has_lost_all_that_it_had_to_show_is_none() -> None:
    had = {"cart": [product("a")], "products": [product("a")], "recommended": []}
    lost: dict[str, list[Any]] = {"cart": [], "products": [], "recommended": []}
    assert nothing_left({"cart", "person"}, had, lost)
    assert not nothing_left({"cart", "recommended"}, had, lost | {"recommended": [product("b")]})
    assert not nothing_left({"person"}, had, lost), "it shows no products anyway"
    assert not nothing_left({"cart"}, lost, lost), "nor did it have any"


def test_the_cart_comes_first_and_what_was_bought_is_known() -> None:
    assert seen({"cart": [product("b")], "products": [product("a"), product("b"), product(None)]}) == ["b", "a"]
    events = [
        HistoryEvent(1, "e1", "purchased", 0, 0, {"product_id": "a"}),
        HistoryEvent(2, "e2", "purchased", 0, 0, {"products": [{"product_id": "b"}, {"product_id": 3}]}),
        HistoryEvent(3, "e3", "product_viewed", 0, 0, {"product_id": "c"}),
    ]
    assert bought(events) == {"a", "b", "3"}
