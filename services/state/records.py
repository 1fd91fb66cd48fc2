"""Answering what is recorded: histories for back-tests, links, how far a sweep is, and what rules came to."""

from services.state.interest import Following
from services.state.store import Store
from shared.bus import encode
from shared.rules import (
    GetResults,
    GetSweep,
    HistoryRead,
    LinksRead,
    ReadHistory,
    ReadLinks,
    RecordedEvent,
    ResultsFound,
    SweepProgress,
)

PEOPLE = 200
EVENTS = 1500
"""In one answer, if they are of the usual size."""
LINKS = 5000
ANSWER_BYTES = 240 * 1024


class Records:
    """Any process answers for any partition: what is recorded stands in the database."""

    def __init__(self, store: Store, following: Following) -> None:
        self._store = store
        self._following = following

    async def on_history(self, request: ReadHistory) -> HistoryRead:
        people = await self._store.people(request.partition, request.person, PEOPLE)
        begun = [request.person] if request.person else []
        events = await self._store.history(begun + people, request.person, request.n, EVENTS)
        if not events and people:
            return await self.on_history(ReadHistory(request.partition, people[-1]))
        fitting = _fitting(events)
        return HistoryRead(fitting, done=not people and len(fitting) == len(events) < EVENTS)

    async def on_links(self, request: ReadLinks) -> LinksRead:
        links = await self._store.links(request.after, LINKS)
        return LinksRead([(link.id, link.previous, link.person) for link in links], done=len(links) < LINKS)

    async def on_sweep(self, _: GetSweep) -> SweepProgress:
        return await self._store.progress(self._following.memory.watched)

    async def on_results(self, request: GetResults) -> ResultsFound:
        return ResultsFound(await self._store.results(request))


def _fitting(events: list[RecordedEvent]) -> list[RecordedEvent]:
    """As many as one answer carries, and one at least."""
    size = 0
    for count, event in enumerate(events):
        size += len(encode(event))
        if count and size > ANSWER_BYTES:
            return events[:count]
    return events
