"""What a mail shows of the catalogue: its products as they are today, none that is sold out, and what goes with them."""

import asyncio
import time
from collections.abc import Mapping, Sequence, Set

from services.mailer.catalogue import showing
from services.mailer.catalogue.recommend import MOST, SEEDS, recommended, scored
from services.mailer.catalogue.store import Catalogue
from services.mailer.products import Product
from shared import metrics
from shared.catalogue import CatalogueProduct
from shared.messages import Person

NEVER = float("-inf")
POPULAR_S = 60.0
"""For so long what is popular is remembered."""
SPARE = 18
"""Found beyond what is shown: some may be sold out."""


class Shelf:
    def __init__(self, catalogue: Catalogue) -> None:
        self._catalogue = catalogue
        self._popular: Mapping[str, Sequence[str]] = {}
        self._looked = NEVER
        self._looking = asyncio.Lock()

    async def completed(
        self, lists: dict[str, list[Product]], person: Person, speaks_of: Set[str]
    ) -> dict[str, list[Product]] | None:
        """``lists``, of which the template speaks of these. None if it had products to show and all are sold out.

        One query for what the mail shows, and one more for what to recommend; none for a template that shows no products.
        """
        if not speaks_of & showing.LISTS:
            return lists
        began = time.perf_counter()
        found = await self._recommended(lists, person) if "recommended" in speaks_of else []
        known = await self._known(lists, found)
        metrics.CATALOGUE_LOOK_S.observe(time.perf_counter() - began)
        shown = showing.shown(lists, found, known)
        return None if showing.nothing_left(speaks_of, lists, shown) else shown

    async def _recommended(self, lists: Mapping[str, list[Product]], person: Person) -> list[str]:
        seen = showing.seen(lists)
        seeds = seen[:SEEDS]
        refused = {*seen, *showing.bought(person.history)}
        scores = scored(await self._catalogue.neighbours(seeds), seeds) if seeds else {}
        categories = showing.categories(lists)
        return recommended(scores, categories, await self._most_seen(), refused, MOST + SPARE)

    async def _known(self, lists: Mapping[str, list[Product]], found: Sequence[str]) -> dict[str, CatalogueProduct]:
        products = {*showing.seen(lists), *found}
        return await self._catalogue.get(products) if products else {}

    async def _most_seen(self) -> Mapping[str, Sequence[str]]:
        """While somebody looks it up anew, others go on with what was found before."""
        now = asyncio.get_running_loop().time()
        if self._looked == NEVER or (now - self._looked > POPULAR_S and not self._looking.locked()):
            async with self._looking:
                if now - self._looked > POPULAR_S:
                    self._popular = await self._catalogue.popular(SEEDS + MOST + SPARE)
                    self._looked = now
        return self._popular
