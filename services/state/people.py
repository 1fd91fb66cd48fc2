"""Answering ``people.get.<partition>`` for the partitions held here."""

import msgspec
import structlog
from nats.aio.subscription import Subscription
from nats.errors import Error as NatsError

from services.state.group import Group
from services.state.store import Store
from shared import subjects
from shared.bus import Bus
from shared.clock import Clock
from shared.endpoints import Endpoint, serve_subject
from shared.messages import GetPerson, PersonFound
from shared.partition import partition_of

log = structlog.get_logger()

TRIGGERS = 50
"""The latest triggers of a person that are told."""


class People:
    def __init__(self, bus: Bus, store: Store, clock: Clock, groups: list[Group]) -> None:
        self._bus = bus
        self._store = store
        self._clock = clock
        self._groups = groups
        self._served: dict[int, Subscription] = {}

    async def serve(self, partitions: set[int]) -> None:
        """Serve exactly ``partitions``: subscribe to what is new, leave what went."""
        for number in self._served.keys() - partitions:
            try:
                await self._served.pop(number).unsubscribe()
            except NatsError as error:
                log.debug("unsubscribed_while_disconnected", partition=number, error=str(error))
        for number in partitions - self._served.keys():
            endpoint = Endpoint(subjects.people_get(number), GetPerson, self._get)
            self._served[number] = await serve_subject(self._bus, endpoint)

    async def _get(self, request: GetPerson) -> PersonFound:
        """Of somebody who turned out to be another, that other is told."""
        number = partition_of(request.person, self._bus.partitions)
        actor = await self._groups[number % len(self._groups)].actor(number, request.person)
        if actor.into:
            asked = msgspec.structs.replace(request, person=actor.into)
            subject = subjects.people_get(partition_of(actor.into, self._bus.partitions))
            return await self._bus.request(subject, asked, PersonFound)
        found = PersonFound(actor.person(request.person), self._clock.now(), aliases=actor.aliases)
        if request.whole:
            found.rules = actor.rules
            found.triggers = await self._store.triggers_of(request.person, TRIGGERS)
            found.aliases = await self._store.aliases_of(request.person)
        return found
