"""What a mail shows of the catalogue: its products as they are today, none that is sold out, and what goes with them."""

import asyncio
import time
from collections.abc import Mapping, Sequence, Set
from typing import Any

from services.mailer.catalogue import showing
from services.mailer.catalogue.recommend import MOST, SEEDS, recommended, scored
from services.mailer.catalogue.store import Catalogue
from services.mailer.products import Product
from shared import metrics
from shared.clock import Clock
from shared.messages import CatalogueProduct, Person

POPULAR_S = 60.0
"""For so long what is popular is remembered."""
SPARE = 6
"""Found beyond what is shown: some may have been sold out since what is popular was looked up."""


class Shelf:
    def __init__(self, catalogue: Catalogue, clock: Clock) -> None:
        self._catalogue = catalogue
        self._clock = clock
        self._popular: Mapping[str, Sequence[str]] = {}
        self._looked = -POPULAR_S
        self._looking = asyncio.Lock()

    async def completed(self, variables: dict[str, Any], person: Person, speaks_of: Set[str]) -> dict[str, Any]:
        """``variables`` of a template that speaks of these. One query for what the mail shows, and one more for what to
        recommend; none for a template that shows no products."""
        if not speaks_of & showing.LISTS:
            return variables
        began = time.perf_counter()
        lists: dict[str, list[Product]] = {name: variables[name] for name in showing.LISTS}
        found = await self._recommended(lists, person) if "recommended" in speaks_of else []
        known = await self._known(lists, found)
        metrics.CATALOGUE_LOOK_S.observe(time.perf_counter() - began)
        return {**variables, **showing.shown(lists, found, known)}

    async def _recommended(self, lists: Mapping[str, list[Product]], person: Person) -> list[str]:
        seen = showing.seen(lists)
        seeds = seen[:SEEDS]
        refused = {*seen, *showing.bought(person.history)}
        neighbours = await self._catalogue.neighbours(seeds, refused) if seeds else []
        scores = scored(neighbours, seeds, self._clock.now())
        categories = showing.categories(lists)
        return recommended(scores, categories, await self._most_seen(), refused, MOST + SPARE)

    async def _known(self, lists: Mapping[str, list[Product]], found: Sequence[str]) -> dict[str, CatalogueProduct]:
        products = {*showing.seen(lists), *found}
        return await self._catalogue.get(products) if products else {}

    async def _most_seen(self) -> Mapping[str, Sequence[str]]:
        async with self._looking:
            now = asyncio.get_running_loop().time()
            if now - self._looked >= POPULAR_S:
                self._popular = await self._catalogue.popular(SEEDS + MOST + SPARE)
                self._looked = now
        return self._popular
