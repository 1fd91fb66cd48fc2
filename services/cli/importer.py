"""Reading a file's rows, sending what they tell of, and writing down how far that is.

Rows go in chunks: one is sent while the next is read, and written down once all of it is stored. Whatever ends the process, at
most one chunk is sent again, with the same ids.
"""

import asyncio
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from zlib import crc32

import aiohttp
from msgspec import structs

from services.cli import journal as journals
from services.cli import rows
from services.cli.infile import Place, Row, Rows
from services.cli.journal import Journal, Rejects
from services.cli.posting import Target, post, session
from services.cli.rows import Checked
from services.tracker.events import MAX_EVENTS
from services.tracker.flaws import Flaw
from shared.clock import Clock

LANES = 4
"""Requests that are on their way at a time. A person's events go the same lane, one request after the other."""
CHUNK_ROWS, CHUNK_BYTES = 1600, 1024 * 1024
"""A lane's share of them fits one request, as a rule."""
MAX_BYTES = CHUNK_BYTES // 2
"""Of one request, before it is compressed."""
PATIENCE_S = 3600.0
"""How long a tracker that is away is waited for."""


class Ready(NamedTuple):
    event: Checked
    row: Row


class Refused(NamedTuple):
    row: Row
    reason: str


class Chunk(NamedTuple):
    """Rows that follow each other. ``place``: after them; ``position``: the same in bytes on the disk."""

    ready: list[Ready]
    refused: list[Refused]
    rows: int
    place: Place
    position: int


class Reader:
    def __init__(self, source: Rows, place: Place, clock: Clock) -> None:
        self._source = source
        self._clock = clock
        self._alias: str | None = None
        source.lines.seek(place)
        self._rows = iter(source)

    def chunk(self) -> Chunk | None:
        """None: there are no more."""
        ready: list[Ready] = []
        refused: list[Refused] = []
        size = count = 0
        now = self._clock.now()
        for row in self._rows:
            count += 1
            try:
                events = self._events(row, now)
                ready += [Ready(event, row) for event in events]
                size += sum(len(event.body) for event in events)
            except Flaw as flaw:
                refused.append(Refused(row, self._source.in_words(flaw.reason)))
                size += len(row.raw)
            if count >= CHUNK_ROWS or size >= CHUNK_BYTES:
                break
        lines = self._source.lines
        return Chunk(ready, refused, count, lines.place, lines.position) if count else None

    def _events(self, row: Row, now: int) -> list[Checked]:
        """Who is the same need not be said again right after it was."""
        items = self._source.events(row)
        checked = rows.check(items, now)
        alias = items[1].event_id if len(items) > 1 else None
        if alias is not None and alias == self._alias:
            return checked[:1]
        self._alias = alias
        return checked


class Import:
    """``progress`` is told of each chunk that is done, with the bytes read so far on the disk, ``refused`` of each row that is
    not taken, ``waiting`` why nothing goes on. ``journal`` is how far it is."""

    def __init__(
        self,
        path: Path,
        reader: Reader,
        journal: Journal,
        *,
        progress: Callable[[Journal, int], None],
        refused: Callable[[Refused], None],
        waiting: Callable[[str], None],
    ) -> None:
        self._path = path
        self._reader = reader
        self.journal = journal
        self._progress = progress
        self._refused = refused
        self._waiting = waiting
        self.first = b""
        """The first event, where they are only looked at."""

    def look(self) -> None:
        """Read everything and send nothing."""
        while chunk := self._reader.chunk():
            self.first = self.first or (chunk.ready[0].event.body if chunk.ready else b"")
            self._done(chunk, len(chunk.ready), chunk.refused, 0)

    async def send(self, target: Target, source: Rows, rate: float) -> None:
        """``rate``: events a second at most; 0: any number. Raises ``Failure`` if it cannot go on."""
        rejects = Rejects(self._path, source.head, self.journal.rejected_bytes)
        began, before = time.monotonic(), self.journal.events
        async with session() as http:
            sender = _Sender(http, target, self._waiting)
            chunk = await asyncio.to_thread(self._reader.chunk)
            while chunk is not None:
                following = asyncio.create_task(asyncio.to_thread(self._reader.chunk))
                stored, refused = await sender.send(chunk.ready)
                refused = sorted([*chunk.refused, *refused], key=lambda one: one.row.number)
                rejects.write([source.rejected(row, f"line {row.number}: {reason}") for row, reason in refused])
                self._done(chunk, stored, refused, rejects.size)
                journals.save(self._path, self.journal)
                if rate:
                    await asyncio.sleep(began + (self.journal.events - before) / rate - time.monotonic())
                chunk = await following
        self.journal = structs.replace(self.journal, done=True)
        journals.save(self._path, self.journal)

    def _done(self, chunk: Chunk, stored: int, refused: list[Refused], rejected_bytes: int) -> None:
        for one in refused:
            self._refused(one)
        self.journal = structs.replace(
            self.journal,
            place=chunk.place,
            rows=self.journal.rows + chunk.rows,
            events=self.journal.events + stored,
            rejected=self.journal.rejected + len(refused),
            rejected_bytes=rejected_bytes,
        )
        self._progress(self.journal, chunk.position)


class _Sender:
    def __init__(self, http: aiohttp.ClientSession, target: Target, waiting: Callable[[str], None]) -> None:
        self._http = http
        self._url = f"{target.tracker}/v1/import"
        self._key = target.secret_key
        self._waiting = waiting

    async def send(self, ready: list[Ready]) -> tuple[int, list[Refused]]:
        """How many are stored, and the rows of which the tracker refuses one. Raises ``Failure``."""
        lanes: list[list[Ready]] = [[] for _ in range(LANES)]
        for one in ready:
            lanes[crc32(one.event.person.encode()) % LANES].append(one)
        try:
            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(self._lane(lane)) for lane in lanes if lane]
        except ExceptionGroup as failed:  # the others were ended with the first
            raise failed.exceptions[0] from None
        sent = [task.result() for task in tasks]
        refused = {one.row.number: one for _, several in sent for one in reversed(several)}
        return sum(stored for stored, _ in sent), list(refused.values())

    async def _lane(self, lane: list[Ready]) -> tuple[int, list[Refused]]:
        stored = 0
        refused: list[Refused] = []
        for batch in _batches(lane):
            body = b"[%b]" % b",".join(one.event.body for one in batch)
            answer = await post(self._http, self._url, self._key, body, patience_s=PATIENCE_S, waiting=self._waiting)
            stored += answer.accepted
            refused += [Refused(batch[one.index].row, one.error) for one in answer.rejected]
        return stored, refused


def _batches(lane: list[Ready]) -> Iterator[list[Ready]]:
    batch: list[Ready] = []
    size = 0
    for one in lane:
        if batch and (len(batch) == MAX_EVENTS or size + len(one.event.body) > MAX_BYTES):
            yield batch
            batch, size = [], 0
        batch.append(one)
        size += len(one.event.body) + 1
    if batch:
        yield batch
