"""A month in the simulated shop, and what must be true of it."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import datetime
from itertools import islice, pairwise
from typing import Any

import pytest

from services.simulate.people import TEMPERAMENTS
from services.simulate.products import CATALOGUE, CATEGORIES
from services.simulate.shoppers import Played, play
from services.tracker.events import Origin, read_body, take
from shared.clock import DAY, HOUR, MINUTE, Instant, from_datetime

START = 1_769_850_000_000_000  # 2026-01-31T09:00:00Z
MONTH = 30 * DAY
SEED = 7
PEOPLE = 2000
BOUGHT_IN_REALITY = 1908 / 12330

Event = dict[str, Any]


@pytest.fixture(scope="module")
def month() -> list[Played]:
    return list(play(SEED, PEOPLE, START, MONTH))


@pytest.fixture(scope="module")
def stories(month: list[Played]) -> dict[int, list[Event]]:
    """What each person did, in the order they did it, each event once."""
    once = {played.event["event_id"]: played.event for played in month}
    told: dict[int, list[Event]] = defaultdict(list)
    for event in sorted(once.values(), key=count):
        told[person(event)].append(event)
    return told


def person(event: Event) -> int:
    return int(event["event_id"].split("-")[1])


def count(event: Event) -> int:
    return int(event["event_id"].split("-")[2])


def source(event: Event) -> str:
    name = event["context"]["source"]
    assert isinstance(name, str)
    return name


def happened(event: Event) -> Instant:
    return from_datetime(datetime.fromisoformat(event["timestamp"]))


def visits(story: list[Event]) -> Iterator[list[Event]]:
    """As analytics tell visits apart: by half an hour in which nothing happens. What a shop's server tells is no visit."""
    visit: list[Event] = []
    for event in (event for event in story if source(event) != "server"):
        if visit and happened(event) - happened(visit[-1]) >= 30 * MINUTE:
            yield visit
            visit = []
        visit.append(event)
    yield visit


def names(events: list[Event]) -> set[str]:
    return {event["event"] for event in events}


def of_people(events: list[Played], below: int) -> dict[int, list[Played]]:
    found: dict[int, list[Played]] = defaultdict(list)
    for played in events:
        if person(played.event) < below:
            found[person(played.event)].append(played)
    return found


def test_the_same_arguments_give_the_same_events() -> None:
    first, second = (list(play(3, 100, START, MONTH)) for _ in range(2))
    assert first == second


def test_another_seed_gives_other_events_and_other_people() -> None:
    ids = [
        {played.event.get(field) for played in play(seed, 100, START, MONTH)} - {None}
        for field in ("event_id", "user_id", "anonymous_id")
        for seed in (3, 4)
    ]
    for one, other in zip(ids[::2], ids[1::2], strict=True):
        assert one
        assert one.isdisjoint(other)


def test_a_story_does_not_depend_on_how_many_people_there_are(month: list[Played]) -> None:
    assert of_people(list(play(SEED, 50, START, MONTH)), 50) == of_people(month, 50)


def test_events_come_in_the_order_they_are_sent_and_within_the_span(month: list[Played]) -> None:
    assert all(one.at <= next_one.at for one, next_one in pairwise(month))
    assert month[0].at >= START
    assert month[-1].at < START + MONTH


def test_everybody_comes_at_least_once(stories: dict[int, list[Event]]) -> None:
    assert set(stories) == set(range(PEOPLE))
    assert all(story[0]["event"] == "page_viewed" for story in stories.values())


def test_events_are_made_when_they_are_asked_for() -> None:
    assert len(list(islice(play(1, 10, START, 1_000_000 * DAY), 5))) == 5


def test_nobody_sends_nothing() -> None:
    assert list(play(1, 0, START, MONTH)) == []


def test_the_tracker_takes_every_event_as_it_is(month: list[Played]) -> None:
    for played in month:
        items = read_body(json.dumps(played.event).encode()).items
        events, rejected = take(items, Origin("api", trusted=False), played.at, bytes)
        assert rejected == []
        assert [(event.id, event.name, event.timestamp) for event in events] == [
            (played.event["event_id"], played.event["event"], happened(played.event))
        ]


def test_as_many_visits_end_with_a_purchase_as_in_reality(stories: dict[int, list[Event]]) -> None:
    all_visits = [visit for story in stories.values() for visit in visits(story)]
    bought = sum("purchased" in names(visit) for visit in all_visits)
    assert bought / len(all_visits) == pytest.approx(BOUGHT_IN_REALITY, abs=0.02)


def test_carts_are_left_behind_before_and_in_the_checkout(stories: dict[int, list[Event]]) -> None:
    left = Counter(
        "checkout_started" in names(visit)
        for story in stories.values()
        for visit in visits(story)
        if "added_to_cart" in names(visit) and not names(visit) & {"purchased", "removed_from_cart"}
    )
    assert left[False] > 100
    assert left[True] > 100


def test_only_what_was_in_a_cart_leaves_it(stories: dict[int, list[Event]]) -> None:
    for story in stories.values():
        pieces: Counter[str] = Counter()
        for event in story:
            properties = event["properties"]
            if event["event"] == "added_to_cart":
                pieces[properties["product_id"]] += properties["quantity"]
            elif event["event"] == "removed_from_cart":
                pieces[properties["product_id"]] -= properties["quantity"]
            elif event["event"] == "purchased":
                pieces.subtract({line["product_id"]: line["quantity"] for line in properties["products"]})
            assert min(pieces.values(), default=0) >= 0


def test_a_purchase_is_told_by_the_shop_with_its_total(stories: dict[int, list[Event]]) -> None:
    orders = [event for story in stories.values() for event in story if event["event"] == "purchased"]
    for order in orders:
        lines = order["properties"]["products"]
        cents = sum(round(line["price"] * 100) * line["quantity"] for line in lines)
        assert cents > 0
        assert order["properties"]["total"] == cents / 100
        assert source(order) == "shop"
        assert "user_id" in order
    assert len({order["properties"]["order_id"] for order in orders}) == len(orders) > 0


def test_some_orders_are_returned_days_later(stories: dict[int, list[Event]]) -> None:
    returned = 0
    for story in stories.values():
        bought = {e["properties"]["order_id"]: e for e in story if e["event"] == "purchased"}
        for event in (event for event in story if event["event"] == "order_returned"):
            order = bought[event["properties"]["order_id"]]
            assert event["properties"]["total"] == order["properties"]["total"]
            assert happened(event) - happened(order) >= 3 * DAY
            assert source(event) == "server"
            assert event["user_id"] == order["user_id"]
            returned += 1
    assert returned > 10


def test_a_device_says_who_it_is_from_the_sign_in_on(stories: dict[int, list[Event]]) -> None:
    linked = 0
    for story in stories.values():
        users = {event["user_id"] for event in story if "user_id" in event}
        assert len(users) <= 1
        known: set[str] = set()
        for event in (event for event in story if "anonymous_id" in event):
            device = event["anonymous_id"]
            if event["event"] == "identify" and "user_id" in event:
                assert device not in known
                assert {"email", "first_name", "country", "timezone", "locale"} <= event["properties"].keys()
                known.add(device)
            assert ("user_id" in event) == (device in known)
        linked += len(known) > 1
    assert linked > 10


def test_nobody_buys_before_signing_in(stories: dict[int, list[Event]]) -> None:
    for story in stories.values():
        order = [event["event"] for event in story if "user_id" in event]
        assert order[:1] in ([], ["identify"])


def test_some_leave_an_address_and_never_sign_up(stories: dict[int, list[Event]]) -> None:
    left = [
        story
        for story in stories.values()
        if any(event["event"] == "identify" and "user_id" not in event for event in story)
    ]
    assert len(left) > 20
    for story in left:
        (identify,) = (event for event in story if event["event"] == "identify")
        assert identify["properties"]["email"].endswith(f"-{person(identify)}@example.com")
        assert not any("user_id" in event for event in story)


def test_one_person_is_told_of_by_several_sources(stories: dict[int, list[Event]]) -> None:
    told_by = Counter(frozenset(map(source, story)) for story in stories.values())
    assert frozenset().union(*told_by) == {"web", "mobile", "server", "shop"}
    assert told_by[frozenset({"web", "mobile", "shop"})] > 10
    assert told_by[frozenset({"web", "mobile", "shop", "server"})] > 0


def test_a_few_events_are_sent_twice(month: list[Played]) -> None:
    first: dict[str, Played] = {}
    twice = 0
    for played in month:
        before = first.setdefault(played.event["event_id"], played)
        if before is not played:
            assert played.event == before.event
            assert played.at > before.at
            twice += 1
    assert 0.001 < twice / len(month) < 0.01


def test_a_few_mobile_events_come_late_and_none_too_early(month: list[Played]) -> None:
    first = {played.event["event_id"]: played for played in reversed(month)}.values()
    late = [played for played in first if played.at != happened(played.event)]
    assert all(0 < played.at - happened(played.event) <= HOUR for played in late)
    assert {source(played.event) for played in late} == {"mobile"}
    assert any(played.at - happened(played.event) > 10 * MINUTE for played in late)
    assert 0.005 < len(late) / len(month) < 0.05


def test_products_are_described_as_mails_show_them(stories: dict[int, list[Event]]) -> None:
    for story in stories.values():
        for event in story:
            if event["event"] not in {"product_viewed", "added_to_cart", "removed_from_cart"}:
                continue
            properties = event["properties"]
            assert {"product_id", "name", "image_url", "url", "category"} <= properties.keys()
            assert properties["price"] > 0
            assert properties["currency"] == "EUR"
            assert properties["url"].startswith("https://shop.example/")
            assert ("quantity" in properties) == (event["event"] != "product_viewed")


def test_few_products_get_most_of_the_looks(stories: dict[int, list[Event]]) -> None:
    looks = Counter(
        event["properties"]["product_id"]
        for story in stories.values()
        for event in story
        if event["event"] == "product_viewed"
    )
    ranked = [looks[product.product_id] for product in CATALOGUE]
    assert min(ranked) > 0
    assert sum(ranked[:15]) > sum(ranked[15:])
    assert ranked[0] > 10 * ranked[-1]


def test_somebody_looks_at_one_expensive_product_three_times_a_day(stories: dict[int, list[Event]]) -> None:
    """The shipped rule ``high-value-interest`` has somebody to fire for."""
    found = 0
    for story in stories.values():
        looks: dict[str, list[Instant]] = defaultdict(list)
        for event in story:
            if event["event"] == "product_viewed" and event["properties"]["price"] >= 500:
                looks[event["properties"]["product_id"]].append(happened(event))
        found += any(
            third - first < DAY for times in looks.values() for first, third in zip(times, times[2:], strict=False)
        )
    assert found > 10


def test_the_tables_are_sound() -> None:
    assert sum(temperament.share for temperament in TEMPERAMENTS) == pytest.approx(1)
    assert all(temperament.account + temperament.address <= 1 for temperament in TEMPERAMENTS)
    assert len({product.product_id for product in CATALOGUE}) == len(CATALOGUE) == 60
    assert {product.category for product in CATALOGUE} == set(CATEGORIES)
