"""Whose word counts: given what was told of a product, expect what the catalogue says."""

from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Any

import pytest
from msgspec import structs

from services.mailer.catalogue.facts import Facts, Row, heard, identity
from services.mailer.catalogue.learning import Learned, learn, lesson
from shared.clock import DAY, MINUTE, SECOND
from shared.messages import Event

HOSTS = frozenset({"shop.test", "cdn.shop.test"})
KETTLE = {
    "product_id": "k1",
    "name": "Kettle",
    "price": 49,
    "currency": "EUR",
    "url": "https://shop.test/k1",
    "image_url": "https://cdn.shop.test/k1.jpg",
    "category": "kitchen",
}


def event(person: str = "ada", at: int = DAY, **more: Any) -> Event:
    return Event(f"{person}{at}", person, "product_viewed", at, at, KETTLE | more)


def said_by_the_shop(at: int = DAY, **more: Any) -> Event:
    return structs.replace(event(at=at, **more), trusted=True)


def after(*events: Event, row: Row | None = None) -> Facts | None:
    """The facts of the kettle after these."""
    for each in events:
        row = heard(row, each.properties, each, HOSTS, room=True)
    return row and row.facts


def taught(events: Iterable[Event], rows: Mapping[str, Row] = {}, sessions: Any = (), room: int = 0) -> Learned:
    return learn(filter(None, map(lesson, events)), rows, dict(sessions), HOSTS, room)


class TestTheShop:
    def test_its_word_stands_at_once_and_the_later_one_stands(self) -> None:
        facts = after(said_by_the_shop(), said_by_the_shop(at=2 * DAY, price=45, image_url=None))
        assert facts is not None
        assert (facts.price, facts.image_url) == (45, KETTLE["image_url"]), "what the later one leaves out is kept"

    def test_an_older_word_that_comes_late_fills_what_is_blank_only(self) -> None:
        facts = after(
            said_by_the_shop(at=2 * DAY, image_url=None), said_by_the_shop(at=DAY, name="Old kettle", price=60)
        )
        assert facts is not None
        assert (facts.name, facts.price, facts.image_url) == ("Kettle", 49, KETTLE["image_url"])

    def test_what_somebody_paid_is_not_what_it_costs(self) -> None:
        paid = structs.replace(said_by_the_shop(at=2 * DAY, price=0.5), name="purchased")
        assert after(said_by_the_shop(), paid) == after(said_by_the_shop())

    def test_a_currency_belongs_to_its_price(self) -> None:
        facts = after(said_by_the_shop(), said_by_the_shop(at=2 * DAY, price=45, currency=None))
        assert facts is not None
        assert (facts.price, facts.currency) == (45, None)

    def test_it_may_say_that_something_is_sold_out_and_a_browser_may_not(self) -> None:
        sold_out = after(said_by_the_shop(availability="OutOfStock"))
        assert sold_out is not None
        assert sold_out.availability == "out_of_stock"
        seen = after(*(event(person, availability="out of stock") for person in "abc"))
        assert seen is not None
        assert seen.availability is None


class TestBrowsers:
    @pytest.mark.parametrize("vouched", [False, True], ids=["untrusted", "a signed-in person"])
    def test_they_change_nothing_that_the_shop_said(self, vouched: bool) -> None:
        known = after(said_by_the_shop())
        evil = [event(f"m{n}", at=9 * DAY, price=1) for n in range(9)]
        evil = [structs.replace(each, trusted=vouched, vouched=vouched) for each in evil]
        assert after(said_by_the_shop(), *evil) == known

    def test_the_shops_word_goes_before_theirs(self) -> None:
        facts = after(*(event(person) for person in "abc"), said_by_the_shop(at=SECOND, price=45, category=None))
        assert facts is not None
        assert (facts.price, facts.category) == (45, None), "and nothing of theirs is left"

    def test_three_people_must_have_been_shown_the_same(self) -> None:
        assert after(event("a"), event("b"), event("a")) == Facts()
        assert after(event("a"), event("b", price=1), event("c")) == Facts(), "one after the other"
        facts = after(event("a"), event("b"), event("c"))
        assert facts is not None
        assert (facts.name, facts.price) == ("Kettle", 49)

    def test_so_it_is_for_a_change_and_whoever_sees_the_old_state_takes_it_back(self) -> None:
        stands = [event(person) for person in "abc"]
        cheap = [event(person, price=Decimal(1)) for person in "def"]
        known = after(*stands)
        assert after(*stands, *cheap[:2], event("g"), cheap[2]) == known
        changed = after(*stands, *cheap)
        assert changed is not None
        assert changed.price == 1

    @pytest.mark.parametrize(
        "more",
        [
            {"url": "https://evil.test/k1"},
            {"url": "https://shop.test.evil.test/k1"},
            {"url": "https://shop.test@evil.test/k1"},
            {"url": "javascript:alert(1)"},
            {"url": None},
            {"name": None},
            {"name": "Kettle\u202e"},
        ],
    )
    def test_they_tell_only_of_products_with_a_name_on_the_shops_own_pages(self, more: dict[str, Any]) -> None:
        assert after(*(event(person, **more) for person in "abc")) is None

    def test_a_name_may_hold_what_shapes_its_letters(self) -> None:
        facts = after(*(event(person, name="کتاب\u200cها") for person in "abc"))
        assert facts is not None
        assert facts.name == "کتاب\u200cها"

    def test_a_picture_from_elsewhere_is_left_out(self) -> None:
        facts = after(*(event(person, image_url="https://evil.test/x.jpg") for person in "abc"))
        assert facts is not None
        assert facts.image_url is None

    def test_they_bring_in_no_product_where_there_is_no_room(self) -> None:
        learned = taught([event("a"), event("b", product_id="k2")], room=1)
        assert (set(learned.rows), learned.brought) == ({"k1"}, 1)
        assert set(taught([said_by_the_shop()]).rows) == {"k1"}


class TestLearning:
    def test_what_stands_already_is_not_written_again(self) -> None:
        learned = taught([said_by_the_shop()])
        again = taught([said_by_the_shop(at=2 * DAY), event("b")], learned.rows)
        assert again.rows == {}
        assert again.weights["k1"] > 0, "but it is counted"

    def test_what_only_one_browser_told_of_is_not_counted(self) -> None:
        learned = taught([event("a"), event("a", product_id="k2")], room=9)
        assert (learned.weights, learned.pairs, learned.sessions) == ({}, {}, {})

    def test_products_of_an_order_go_together(self) -> None:
        order = Event(
            "o1",
            "ada",
            "purchased",
            DAY,
            DAY,
            {"total": 9, "products": [{"product_id": "a"}, {"product_id": 7}, "x", {}]},
        )
        learned = taught([structs.replace(order, trusted=True)])
        assert set(learned.pairs) == {("a", "7"), ("7", "a")}

    def test_in_parts_it_is_the_same_as_at_once(self) -> None:
        events = [said_by_the_shop(at=DAY + n * 7 * MINUTE, product_id=f"k{n * n % 7}", price=n % 3) for n in range(40)]
        whole = taught(events)
        rows, sessions, weights = dict[str, Row](), {}, dict[str, float]()
        for part in (events[:1], events[1:7], events[7:]):
            learned = taught(part, rows, sessions)
            rows, sessions = rows | learned.rows, sessions | learned.sessions
            for product, weight in learned.weights.items():
                weights[product] = weights.get(product, 0) + weight
        assert (rows, sessions) == (whole.rows, whole.sessions)
        assert weights == pytest.approx(whole.weights)

    def test_crawlers_and_other_events_teach_nothing(self) -> None:
        assert lesson(event())
        assert not lesson(structs.replace(event(), context={"bot": True}))
        assert not lesson(structs.replace(event(), name="removed_from_cart"))


@pytest.mark.parametrize("product_id", ["", "  ", None, True, 1.5, ["x"], "x" * 201, "a\u202eb"])
def test_what_has_no_usable_id_is_no_product(product_id: object) -> None:
    assert identity(KETTLE | {"product_id": product_id}) is None
