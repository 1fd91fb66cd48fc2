"""A seeded clickstream in which what people look at hangs together, as no public one may be shipped and the simulated shoppers
(``services.simulate``) choose what they look at without any taste. All of it is made up; no figure is taken from data.

- 600 products in 30 categories; popularity is 1 / rank ** 0.8. Each product has a place in a space of tastes, near the centre
  of its category, and six complements, likelier the nearer they are and mostly of other categories: what people look at after it.
- People like what is near two places of that space, one strongly. A visit begins there, at something popular. The next product
  is a complement of the one before (0.35), something else to their taste (0.4), anything popular (0.15), or something of the same
  category (0.1). So a quarter of what happens cannot be foreseen by anybody, and nothing better than by its chance.
- Over the span new products come (a tenth of all), and people come two to five times.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate
from math import exp
from random import Random
from typing import NamedTuple

from shared.clock import DAY, MINUTE, SECOND, Instant

PRODUCTS, CATEGORIES, TASTES, COMPLEMENTS = 600, 30, 8, 6
DAYS = 60
ZIPF = 0.8
COMPLEMENT, TASTE, ANYTHING = 0.35, 0.4, 0.15
_SHARPNESS = 3.0
_SPREAD = 0.5

Place = tuple[float, ...]


class View(NamedTuple):
    at: Instant
    person: str
    session: int
    product: int


class Shop:
    def __init__(self, seed: int) -> None:
        rng = Random(seed)
        centres = [_place(rng) for _ in range(CATEGORIES)]
        self.category = [product % CATEGORIES for product in range(PRODUCTS)]
        self.places = [_near(rng, centres[category]) for category in self.category]
        self.popularity = [(product + 1) ** -ZIPF for product in range(PRODUCTS)]
        self.since = [0 if rng.random() < 0.9 else rng.randrange(DAYS - 15) * DAY for _ in range(PRODUCTS)]
        self.complements = [self._complements(rng, product) for product in range(PRODUCTS)]
        shelves: list[list[int]] = [[] for _ in range(CATEGORIES)]
        for product, category in enumerate(self.category):
            shelves[category].append(product)
        self.shelves = shelves

    def _complements(self, rng: Random, product: int) -> list[int]:
        nearness = [
            0.0
            if other == product
            else exp(_SHARPNESS * _alike(self.places[product], place))
            * (0.2 if self.category[other] == self.category[product] else 1.0)
            for other, place in enumerate(self.places)
        ]
        found: dict[int, None] = {}
        while len(found) < COMPLEMENTS:
            found[_draw(rng, list(accumulate(nearness)))] = None
        return list(found)

    def liked(self, likes: Sequence[Place]) -> list[float]:
        """How much somebody with these tastes wants each product, the first taste four times the second."""
        return [
            popularity
            * (
                0.8 * exp(_SHARPNESS * 2 * _alike(likes[0], place))
                + 0.2 * exp(_SHARPNESS * 2 * _alike(likes[1], place))
            )
            for popularity, place in zip(self.popularity, self.places, strict=True)
        ]


def play(seed: int, people: int, start: Instant) -> Iterator[View]:
    """All views, in their order."""
    shop = Shop(seed)
    views = [view for number in range(people) for view in _person(shop, Random(f"{seed}-{number}"), number, start)]
    yield from sorted(views)


def foreseen(shop: Shop, seed: int, person: str, last: int, age: int, tastes: dict[str, list[float]]) -> list[float]:
    """How likely each product is what ``person`` looks at after ``last``, ``age`` after the start. ``tastes``: of those people who
    were asked for before."""
    if person not in tastes:
        rng = Random(f"{seed}-{person.removeprefix('p')}")
        liked = shop.liked([_place(rng), _place(rng)])
        tastes[person] = [wanted / sum(liked) for wanted in liked]
    popular = ANYTHING / sum(shop.popularity)
    chances = [
        TASTE * wanted + popular * popularity
        for wanted, popularity in zip(tastes[person], shop.popularity, strict=True)
    ]
    for product in shop.complements[last]:
        chances[product] += COMPLEMENT / COMPLEMENTS
    shelf = shop.shelves[shop.category[last]]
    for product in shelf:
        chances[product] += (1 - COMPLEMENT - TASTE - ANYTHING) / len(shelf)
    return [chance if shop.since[product] <= age else 0.0 for product, chance in enumerate(chances)]


def _person(shop: Shop, rng: Random, number: int, start: Instant) -> Iterator[View]:
    liked = list(accumulate(shop.liked([_place(rng), _place(rng)])))
    anything = list(accumulate(shop.popularity))
    for session in range(rng.randint(2, 5)):
        age = rng.randrange(DAYS * DAY)
        at, product = start + age, -1
        for _ in range(2 + int(rng.expovariate(1 / 4))):
            product = _next(shop, rng, product, liked, anything, age)
            yield View(at, f"p{number}", session, product)
            at += int(rng.expovariate(1 / 40)) * SECOND % (20 * MINUTE) + SECOND


def _next(shop: Shop, rng: Random, last: int, liked: list[float], anything: list[float], age: int) -> int:
    while True:
        chance = rng.random()
        if last < 0 or COMPLEMENT <= chance < COMPLEMENT + TASTE:
            product = _draw(rng, liked)
        elif chance < COMPLEMENT:
            product = rng.choice(shop.complements[last])
        elif chance < COMPLEMENT + TASTE + ANYTHING:
            product = _draw(rng, anything)
        else:
            product = rng.choice(shop.shelves[shop.category[last]])
        if product != last and shop.since[product] <= age:
            return product


def _place(rng: Random) -> Place:
    return _unit([rng.gauss(0, 1) for _ in range(TASTES)])


def _near(rng: Random, centre: Place) -> Place:
    return _unit([value + rng.gauss(0, _SPREAD / TASTES**0.5) for value in centre])


def _unit(values: Sequence[float]) -> Place:
    length = sum(value * value for value in values) ** 0.5
    return tuple(value / length for value in values)


def _alike(one: Place, other: Place) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))


def _draw(rng: Random, cumulated: list[float]) -> int:
    return bisect_right(cumulated, rng.random() * cumulated[-1], hi=len(cumulated) - 1)
