"""The catalogue's tables: what stands, what is bounded, what is gone."""

from collections.abc import AsyncIterator
from datetime import timedelta
from decimal import Decimal

import pytest

from services.mailer.catalogue.facts import Facts
from services.mailer.catalogue.learning import Learned, learn, lesson
from services.mailer.catalogue.recommend import NEIGHBOURS, gain
from services.mailer.catalogue.store import Catalogue
from services.mailer.store import MIGRATIONS
from shared import db
from shared.clock import SystemClock
from tests.support.catalogue import by_server, viewed
from tests.support.stack import Stack

OWNER, HOUR = "this test", timedelta(hours=1)


@pytest.fixture
async def catalogue(stack: Stack) -> AsyncIterator[Catalogue]:
    """The tables, without a mailer."""
    url = stack.database_url("mailer")
    pool = await db.open_pool(url, name="test", schema="mailer", migrations=MIGRATIONS, size=1)
    catalogue = Catalogue(pool)
    assert await catalogue.claim(OWNER, HOUR) == 0
    yield catalogue
    await pool.close()


async def test_what_a_feed_wrote_meanwhile_stands_and_what_was_counted_counts(catalogue: Catalogue) -> None:
    told = lesson(by_server(viewed("ada", "kettle", price=10)))
    assert told
    before = learn([told], {}, {}, frozenset(), 0)
    assert await catalogue.learn(OWNER, 0, 1, HOUR, before)
    again = lesson(by_server(viewed("ben", "kettle", price=20)))
    assert again
    late = learn([again], await catalogue.rows(["kettle"]), {}, frozenset(), 0)
    await catalogue.put({"kettle": Facts("Kettle", Decimal(30), stock=2)}, "feed", 0)
    assert await catalogue.learn(OWNER, 1, 2, HOUR, late)
    found = (await catalogue.get(["kettle"]))["kettle"]
    assert (found.price, found.stock, found.source) == (30, 2, "feed")
    assert await catalogue.weight("kettle") > before.weights["kettle"]
    assert not await catalogue.learn(OWNER, 1, 2, HOUR, late), "once"
    assert not await catalogue.learn("another", 2, 3, HOUR, late), "by whoever has the lease"


async def test_the_pairs_of_a_product_are_bounded_and_the_best_are_read(catalogue: Catalogue) -> None:
    now, counts = SystemClock().now(), gain(SystemClock().now())
    others = [f"o{number:03}" for number in range(150)]
    pairs = {("kettle", other): counts * (number + 1) for number, other in enumerate(others)}
    weights = dict.fromkeys(["kettle", *others], 1000 * counts)
    assert await catalogue.learn(OWNER, 0, 1, HOUR, Learned(pairs=pairs, weights=weights))
    assert set(await catalogue.stale(500, timedelta())) == set(weights)
    await catalogue.find_neighbours(["kettle", "o001"], now)
    found = await catalogue.neighbours(["kettle", "o001", "unknown"])
    assert [other for other, _ in found["kettle"]] == others[::-1][:NEIGHBOURS]
    assert found["o001"] == []
    assert set(await catalogue.stale(500, timedelta())) == set(weights) - {"kettle", "o001"}


async def test_a_feed_that_named_nothing_ends_nothing(catalogue: Catalogue) -> None:
    await catalogue.put({"kettle": Facts("Kettle"), "mug": Facts("Mug")}, "monday", 0)
    assert await catalogue.retire("tuesday") == 0
    await catalogue.put({"mug": Facts("Mug")}, "tuesday", 0)
    assert await catalogue.retire("tuesday") == 1
    assert {product.product_id: product.gone for product in await catalogue.list("", 9, "")} == {
        "kettle": True,
        "mug": False,
    }
    await catalogue.put({"kettle": Facts("Kettle")}, "wednesday", 0)
    assert not (await catalogue.get(["kettle"]))["kettle"].gone, "it is back"


async def test_when_something_is_sold_out(catalogue: Catalogue) -> None:
    cases = {
        (None, None): False,
        (None, 0): True,
        ("in_stock", 0): True,
        ("in_stock", 3): False,
        ("out_of_stock", 3): True,
        ("preorder", 0): False,
    }
    products = {str(case): Facts("K", availability=case[0], stock=case[1]) for case in cases}
    await catalogue.put(products, "feed", 0)
    found = await catalogue.get(products)
    assert {case: found[str(case)].sold_out for case in cases} == cases
