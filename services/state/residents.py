"""The people of one group that are kept in memory, up to a number; everybody else is one read away."""

from collections import OrderedDict
from collections.abc import Collection, Mapping

from services.state.actor import Actor
from services.state.rows import Loaded
from services.state.store import Store
from shared.clock import Instant


class Residents:
    def __init__(self, store: Store, most: int) -> None:
        self._store = store
        self._most = most
        self.people: OrderedDict[str, Loaded] = OrderedDict()

    async def bring(self, homes: Mapping[str, int], keys: Collection[str]) -> None:
        """Have all of ``keys`` here, the latest asked for last to go. Somebody never heard of is an empty actor."""
        missing = [(homes[key], key) for key in keys if key not in self.people]
        if missing:
            loaded = await self._store.load(missing)
            for _, key in missing:
                self.people[key] = loaded.get(key) or Loaded(Actor(), None)
        for key in keys:
            self.people.move_to_end(key)

    def keep(self, people: Mapping[str, Loaded]) -> None:
        """As they are now committed."""
        self.people.update(people)
        while len(self.people) > self._most:
            self.people.popitem(last=False)

    def replace(self, key: str, actor: Actor) -> None:
        self.people[key] = self.people[key]._replace(actor=actor)

    def rearm(self, key: str, due: Instant | None) -> None:
        if key in self.people:
            self.people[key] = self.people[key]._replace(due=due)

    def clear(self) -> None:
        self.people.clear()
