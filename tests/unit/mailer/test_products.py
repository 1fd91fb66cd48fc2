"""Which products a mail shows: given a person's events, expect them in order, each once."""

from typing import Any

import pytest

from services.mailer.products import in_cart, looked_at, web_url
from shared.clock import SECOND
from shared.messages import HistoryEvent


def event(n: int, what: str, product: str | None = None, **properties: Any) -> HistoryEvent:
    if product is not None:
        properties["product_id"] = product
    return HistoryEvent(n, f"e{n}", what, n * SECOND, n * SECOND, properties)


def ids(products: list[dict[str, Any]]) -> list[str]:
    return [product["product_id"] for product in products]


def test_those_that_fired_the_rule_first_then_the_latest() -> None:
    history = [event(1, "product_viewed", "a"), event(2, "product_viewed", "b"), event(3, "product_viewed", "c")]
    assert ids(looked_at([history[0]], history)) == ["a", "c", "b"]
    assert ids(looked_at([], history)) == ["c", "b", "a"]


def test_each_once_however_often_it_was_looked_at() -> None:
    history = [event(n, "product_viewed", "ab"[n % 2]) for n in range(10)]
    assert ids(looked_at(history, history)) == ["b", "a"]


def test_what_the_latest_event_does_not_say_is_taken_from_an_earlier_one() -> None:
    history = [
        event(1, "product_viewed", "a", name="Kettle", price=49, image_url="https://shop.test/a.jpg"),
        event(2, "added_to_cart", "a", price=45, quantity=2),
    ]
    (product,) = looked_at([history[1]], history)
    assert (product["name"], product["price"], product["image_url"], product["quantity"]) == (
        "Kettle",
        45,
        "https://shop.test/a.jpg",
        2,
    )
    assert product["url"] is None


def test_an_event_that_only_the_trigger_still_knows_counts_too() -> None:
    assert ids(looked_at([event(1, "product_viewed", "a")], [event(9, "product_viewed", "b")])) == ["a", "b"]


def test_what_was_taken_out_or_bought_or_is_no_product_is_not_looked_at() -> None:
    history = [
        event(1, "removed_from_cart", "a"),
        event(2, "purchased", "b", total=9),
        event(3, "page_viewed", url="https://shop.test/"),
        event(4, "product_viewed", ""),
        event(5, "product_viewed", name="  "),
        event(6, "product_viewed", True),  # type: ignore[arg-type]
    ]
    assert looked_at(history, history) == []


def test_a_product_without_an_id_is_known_by_its_name() -> None:
    history = [event(1, "product_viewed", name="Kettle"), event(2, "product_viewed", name="Kettle", price=3)]
    (product,) = looked_at([], history)
    assert (product["name"], product["price"]) == ("Kettle", 3)


def test_odd_values_are_left_out() -> None:
    odd = {
        "name": {"en": "Kettle"},
        "price": "ask us",
        "currency": ["EUR"],
        "image_url": "javascript:alert(1)",
        "url": "/kettle",
        "quantity": -1,
    }
    (product,) = looked_at([], [event(1, "product_viewed", "a", **odd)])
    assert product == dict.fromkeys(product) | {"product_id": "a"}


def test_long_names_are_cut_and_lines_joined() -> None:
    (product,) = looked_at([], [event(1, "product_viewed", "a", name="very\nlong " * 100)])
    assert len(product["name"]) == 200
    assert product["name"].startswith("very long very long")
    assert product["name"].endswith("…")


def test_those_that_an_event_lists_are_looked_at_too_and_say_what_others_do_not() -> None:
    listed = [{"product_id": "b", "name": "Jug", "image_url": "https://shop.test/b.jpg"}, {"product_id": "a"}, 7, {}]
    history = [
        event(1, "product_viewed", "a", name="Kettle"),
        event(2, "checkout_started", products=listed, total=9),
        event(3, "added_to_cart", "b", price=4),
        event(4, "checkout_started", products="none"),
        event(5, "purchased", products=[{"product_id": "x"}]),
    ]
    jug, kettle = looked_at([], history)
    assert (jug["name"], jug["price"], jug["image_url"]) == ("Jug", 4, "https://shop.test/b.jpg")
    assert kettle["name"] == "Kettle"


class TestCart:
    def test_an_update_says_all_that_is_in_it(self) -> None:
        history = [
            event(1, "added_to_cart", "a", name="Kettle"),
            event(2, "added_to_cart", "b"),
            event(3, "cart_updated", products=[{"product_id": "c", "quantity": 2}, {"product_id": "a"}, {"x": 1}]),
        ]
        cart = in_cart([], history)
        assert [(each["product_id"], each["quantity"]) for each in cart] == [("c", 2), ("a", 1)]
        assert cart[1]["name"] == "Kettle"

    def test_what_happens_after_an_update_counts_on_from_it(self) -> None:
        update = event(1, "cart_updated", products=[{"product_id": "a", "quantity": 2}, {"product_id": "a"}])
        assert [each["quantity"] for each in in_cart([], [update, event(2, "added_to_cart", "a")])] == [4]
        assert ids(in_cart([], [update, event(2, "added_to_cart", "b")])) == ["b", "a"]
        assert in_cart([], [update, event(2, "purchased")]) == []

    def test_an_update_without_a_product_empties_it_and_one_without_a_list_says_nothing(self) -> None:
        added = event(1, "added_to_cart", "a")
        assert in_cart([], [added, event(2, "cart_updated", products=[])]) == []
        assert ids(in_cart([], [added, event(2, "cart_updated", total=0)])) == ["a"]

    def test_what_was_added_is_in_it_the_latest_first(self) -> None:
        history = [event(1, "added_to_cart", "a"), event(2, "product_viewed", "x"), event(3, "added_to_cart", "b")]
        assert ids(in_cart([], history)) == ["b", "a"]

    def test_what_was_taken_out_is_not(self) -> None:
        history = [event(1, "added_to_cart", "a"), event(2, "added_to_cart", "b"), event(3, "removed_from_cart", "a")]
        assert ids(in_cart(history[:2], history)) == ["b"]

    def test_a_purchase_empties_it(self) -> None:
        history = [event(1, "added_to_cart", "a"), event(2, "purchased", total=9), event(3, "added_to_cart", "b")]
        assert ids(in_cart([], history)) == ["b"]

    @pytest.mark.parametrize(("taken", "left"), [(1, [2]), (2, [1]), (3, []), (9, []), (None, [])])
    def test_quantities_add_up(self, taken: int | None, left: list[int]) -> None:
        history = [
            event(1, "added_to_cart", "a", quantity=2),
            event(2, "added_to_cart", "a"),
            event(3, "removed_from_cart", "a", quantity=taken),
        ]
        assert [product["quantity"] for product in in_cart([], history)] == left

    def test_quantities_are_written_plainly(self) -> None:
        (product,) = in_cart([], [event(1, "added_to_cart", "a", quantity=2.0)])
        assert str(product["quantity"]) == "2"

    def test_taking_out_what_is_not_in_it_is_nothing(self) -> None:
        assert in_cart([], [event(1, "removed_from_cart", "a")]) == []


@pytest.mark.parametrize("url", ["https://shop.test/a?b=c#d", "http://shop.test", " https://shop.test/ü "])
def test_web_addresses(url: str) -> None:
    assert web_url(url) == url.strip()


@pytest.mark.parametrize(
    "url",
    [
        None,
        7,
        "",
        "/a",
        "//shop.test/a",
        "shop.test/a",
        "javascript:alert(1)",
        "data:text/html,x",
        "https://",
        "https://shop.test/a b",
        "https://shop.test/\x00",
        "https://[shop.test/",
        "https://shop.test/" + "a" * 3000,
    ],
)
def test_what_is_no_web_address(url: Any) -> None:
    assert web_url(url) is None
