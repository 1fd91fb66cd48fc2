"""What operators ask of the catalogue, and put in it."""

from services.mailer.catalogue import items
from services.mailer.catalogue.facts import Facts
from services.mailer.catalogue.recommend import gain
from services.mailer.catalogue.store import Catalogue
from shared import subjects
from shared.catalogue import GetProduct, ListProducts, ProductFound, ProductsListed, ProductsPut, PutProducts
from shared.clock import Clock
from shared.endpoints import Endpoint
from shared.errors import RequestRefused

MOST_ITEMS = 1000
MOST_LISTED = 500
TOGETHER = 10


class Service:
    def __init__(self, catalogue: Catalogue, clock: Clock) -> None:
        self._catalogue = catalogue
        self._clock = clock

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(subjects.CATALOGUE_PUT, PutProducts, self.on_put),
            Endpoint(subjects.CATALOGUE_LIST, ListProducts, self.on_list),
            Endpoint(subjects.CATALOGUE_GET, GetProduct, self.on_get),
        ]

    async def on_put(self, request: PutProducts) -> ProductsPut:
        """Repeating it changes nothing more. Of a product that is named twice the last counts."""
        if len(request.items) > MOST_ITEMS:
            raise RequestRefused(f"{len(request.items)} items, at most {MOST_ITEMS} at a time")
        if not request.feed:
            raise RequestRefused("feed is missing: a name of this import")
        products: dict[str, Facts] = {}
        refused = []
        for place, item in enumerate(request.items):
            try:
                product, facts = items.read(item)
                products[product] = facts
            except ValueError as error:
                refused.append((place, str(error)))
        if products:
            await self._catalogue.put(products, request.feed, self._clock.now())
        gone = await self._catalogue.retire(request.feed) if request.replace and not refused else 0
        return ProductsPut(len(request.items) - len(refused), refused, gone)

    async def on_list(self, request: ListProducts) -> ProductsListed:
        limit = max(1, min(request.limit, MOST_LISTED))
        found = await self._catalogue.list(request.after, limit, request.category)
        return ProductsListed(found, len(found) < limit)

    async def on_get(self, request: GetProduct) -> ProductFound:
        product = (await self._catalogue.get([request.product_id])).get(request.product_id)
        if product is None:
            return ProductFound(None)
        together = (await self._catalogue.neighbours([request.product_id])).get(request.product_id, ())
        sessions = await self._catalogue.weight(request.product_id) / gain(self._clock.now())
        return ProductFound(product, sessions, list(together[:TOGETHER]))
