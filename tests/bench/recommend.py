"""Recommendations: how often they hit what is looked at next, how fast they are learned, and what a mail waits for them.

Quality is measured on sessions that were held out, of the last fifth of a seeded clickstream (``clickstream``): before each view
of a product that is new to its session, six are recommended from the session so far, and it is a hit if it is among them. Beside
it stand what is most popular, what the person looked at last in earlier sessions, and what somebody would hit who knows the
person's tastes and the chances by which the clickstream is made: nobody can do better.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from random import Random

import asyncpg

from services.local.nats import EmbeddedNats
from services.local.postgres import EmbeddedPostgres
from services.mailer.catalogue.facts import Facts
from services.mailer.catalogue.recommend import (
    MOST,
    NEIGHBOURS,
    PAIRS,
    SEEDS,
    Session,
    gain,
    join,
    recommended,
    scored,
    similarity,
)
from services.mailer.catalogue.shelf import Shelf
from services.mailer.catalogue.store import Catalogue
from services.setup import database as setup
from shared import streams
from shared.clock import DAY, SECOND, Instant
from shared.messages import Event, Person
from tests.bench.clickstream import DAYS, PRODUCTS, Shop, View, foreseen, play
from tests.bench.cpu import cpu_s
from tests.support.sink import Sink
from tests.support.stack import DATABASE_PASSWORDS, NATS_PASSWORDS, PARTITIONS, USERS_CONF, Stack, until
from tests.support.system import System

SEED = 1
START: Instant = 1_790_000_000 * SECOND
HELD_OUT = START + DAYS * 4 // 5 * DAY
MAILS = 1000
SITE = "https://shop.example"
LISTS = frozenset({"cart", "products", "recommended"})


class Question:
    """``seen``: in the session so far, ``before``: in earlier ones, the latest first. ``answer``: what came next."""

    def __init__(self, view: View, seen: list[str], before: list[str]) -> None:
        self.person, self.at, self.answer = view.person, view.at, str(view.product)
        self.seen, self.before = seen, before


def questions(views: Sequence[View]) -> Iterator[Question]:
    """One for each view of the held-out sessions that is new to its session, but for the first."""
    history = defaultdict[str, list[str]](list)
    seen: dict[str, tuple[int, list[str]]] = {}
    for view in views:
        session, items = seen.get(view.person, (view.session, []))
        if session != view.session:
            items = []
        product = str(view.product)
        if items and product not in items and view.at >= HELD_OUT:
            yield Question(view, items, [item for item in history[view.person] if item not in items][:MOST])
        seen[view.person] = view.session, [product, *(item for item in items if item != product)]
        history[view.person] = [product, *(item for item in history[view.person] if item != product)]


class Learnt:
    """What the mailer's tables hold after the sessions before the held-out ones."""

    def __init__(self, shop: Shop, views: Sequence[View]) -> None:
        self.weights = defaultdict[str, float](float)
        pairs = defaultdict[str, dict[str, float]](dict)
        sessions: dict[str, Session] = {}
        for view in views:
            if view.at >= HELD_OUT:
                break
            joined = join(sessions.get(view.person), [str(view.product)], view.at)
            sessions[view.person], counts = joined.session, gain(view.at)
            for product in joined.new:
                self.weights[product] += counts
            for one, other in joined.pairs:
                pairs[one][other] = pairs[one].get(other, 0.0) + counts
                pairs[other][one] = pairs[other].get(one, 0.0) + counts
        self.nearest = {
            product: self._nearest(product, sorted(others.items(), key=lambda other: -other[1])[:PAIRS])
            for product, others in pairs.items()
        }
        self.category = {str(product): str(category) for product, category in enumerate(shop.category)}
        self.popular = defaultdict[str, list[str]](list)
        for product in sorted(self.weights, key=lambda product: -self.weights[product]):
            self.popular[self.category[product]].append(product)
            self.popular[""].append(product)

    def _nearest(self, product: str, pairs: list[tuple[str, float]]) -> list[tuple[str, float]]:
        found = [
            (other, similarity(weight, self.weights[product], self.weights[other], HELD_OUT)) for other, weight in pairs
        ]
        return sorted(found, key=lambda other: -other[1])[:NEIGHBOURS]

    def recommend(self, question: Question) -> list[str]:
        seeds = question.seen[:SEEDS]
        categories = list(dict.fromkeys(self.category[seed] for seed in seeds))
        return recommended(scored(self.nearest, seeds), categories, self.popular, set(question.seen))

    def most_popular(self, question: Question) -> list[str]:
        return recommended({}, [], self.popular, set(question.seen))


def quality(views: Sequence[View]) -> dict[str, float]:
    shop = Shop(SEED)
    learnt, asked = Learnt(shop, views), list(questions(views))
    tastes: dict[str, list[float]] = {}

    def all_knowing(question: Question) -> list[str]:
        chances = foreseen(shop, SEED, question.person, int(question.seen[0]), question.at - START, tastes)
        best = sorted(range(PRODUCTS), key=lambda product: -chances[product])
        return [str(product) for product in best if str(product) not in question.seen][:MOST]

    def hits(recommend: Callable[[Question], list[str]]) -> float:
        return round(sum(question.answer in recommend(question) for question in asked) / len(asked), 4)

    return {
        "views_learned_from": sum(view.at < HELD_OUT for view in views),
        "views_to_foresee": len(asked),
        "hit_rate_at_6": hits(learnt.recommend),
        "hit_rate_at_6_most_popular": hits(learnt.most_popular),
        "hit_rate_at_6_last_viewed": hits(lambda question: question.before),
        "hit_rate_at_6_all_knowing": hits(all_knowing),
    }


def event(number: int, view: View) -> Event:
    """As a browser tells it."""
    product = f"k{view.product}"
    properties = {
        "product_id": product,
        "name": f"Product {product}",
        "price": 24.5,
        "currency": "EUR",
        "image_url": f"{SITE}/{product}.jpg",
        "url": f"{SITE}/{product}",
        "category": str(view.product % 30),
    }
    return Event(f"v{number}", view.person, "product_viewed", view.at, view.at, properties)


async def served(folder: Path, views: Sequence[View]) -> dict[str, float]:
    """The same views through NATS, one mailer and PostgreSQL; then what mails wait for."""
    nats = await EmbeddedNats.start(folder / "nats", users_conf=USERS_CONF, passwords=NATS_PASSWORDS)
    postgres = await EmbeddedPostgres.start(folder / "postgres")
    await setup.prepare(postgres.url(), DATABASE_PASSWORDS)
    stack, sink = Stack(folder, nats, postgres, "postgres"), Sink().start()
    try:
        bus = await stack.bus("setup")
        await streams.declare(bus.nc.jetstream(timeout=10), partitions=PARTITIONS)
        settings = System(stack, sink).settings("mailer")
        first = await stack.start("mailer", **settings)  # makes the tables
        await first.stop()
        pool = await asyncpg.create_pool(stack.database_url("mailer"), min_size=1, max_size=1)
        catalogue = Catalogue(pool)
        await catalogue.put(
            {
                f"k{product}": Facts(f"Product {product}", Decimal(20), "EUR", None, SITE, str(product % 30))
                for product in range(PRODUCTS)
            },
            "feed",
            START,
        )
        await stack.publish(*(event(number, view) for number, view in enumerate(views)))
        mailer = await stack.start("mailer", **settings, SITE_URL=SITE)
        pids = {"mailer": mailer.process.pid, "postgresql": postgres.process.pid}
        used, began = cpu_s(pids), time.perf_counter()

        async def learned() -> bool:
            (row,) = await stack.fetch("SELECT sequence FROM mailer.learned")
            return bool(row["sequence"] >= len(views))

        await until(learned, within_s=600, what="everything is learned")
        seconds = time.perf_counter() - began
        spent = {name: after - used[name] for name, after in cpu_s(pids).items()}
        figures: dict[str, float] = {
            "events_learned_per_s": round(len(views) / seconds),
            **{f"{name}_us_per_event": round(each / len(views) * 1e6, 1) for name, each in spent.items()},
        }

        async def found() -> bool:
            rows = await stack.fetch("SELECT 1 FROM mailer.product_neighbours WHERE cardinality(others) > 0")
            return len(rows) > PRODUCTS * 0.9

        await until(found, within_s=60, what="neighbours are found")
        figures |= await looks(catalogue)
        await pool.close()
        return figures
    finally:
        await stack.close()
        sink.stop()
        await nats.stop()
        await postgres.stop()


async def looks(catalogue: Catalogue) -> dict[str, float]:
    """What a mail of four products in the cart and ten looked at waits for the catalogue, with recommendations and without."""
    shelf, rng = Shelf(catalogue), Random(SEED)
    blank = dict.fromkeys(("name", "price", "currency", "image_url", "url", "category", "quantity"))
    figures: dict[str, float] = {}
    for what, speaks_of in (("products", LISTS - {"recommended"}), ("recommended", LISTS)):
        taken = []
        for _ in range(MAILS):
            products = [{**blank, "product_id": f"k{number}"} for number in rng.sample(range(PRODUCTS), 10)]
            variables = {"cart": products[:4], "products": products, "recommended": []}
            began = time.perf_counter()
            found = await shelf.completed(variables, Person("ada"), speaks_of)
            taken.append((time.perf_counter() - began) * 1000)
            assert found is not None
            assert "recommended" not in speaks_of or len(found["recommended"]) == MOST
        taken.sort()
        figures[f"{what}_p50_ms"] = round(taken[MAILS // 2], 2)
        figures[f"{what}_p99_ms"] = round(taken[MAILS * 99 // 100], 2)
    return figures


async def measure(folder: Path, people: int, say: Callable[[str], None]) -> dict[str, float]:
    views = list(play(SEED, people, START))
    say(f"  {len(views)} views of {people} people, the last fifth held out …")
    found = quality(views)
    say("  the same through a mailer …")
    return found | await served(folder, views)
