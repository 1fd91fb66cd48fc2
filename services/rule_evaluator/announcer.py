"""Telling the state services what the rules in force need to know of people, so that they remember and send just that."""

import asyncio

import msgspec
import structlog

from services.rule_evaluator.store import Store
from shared import db, keyvalue, subjects
from shared.bus import Bus, describe, encode
from shared.errors import Unavailable
from shared.messages import Interest

log = structlog.get_logger()

RETRY_S = 0.5

_decode = msgspec.msgpack.Decoder(Interest).decode


class Announcer:
    """Every replica announces what it follows. What is older than what stands there never replaces it.

    If what stands there is newer than the database itself, that was put back to an earlier state: its revisions go on
    behind everything that was ever announced, so that everybody is looked at anew.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._interest: Interest | None = None
        self._changed = asyncio.Event()

    def announce(self, interest: Interest) -> None:
        self._interest = interest
        self._changed.set()

    async def run(self, bus: Bus) -> None:
        """For ever. While NATS is away it is tried again; after a reconnection too, in case the bucket was lost."""
        bus.on_reconnect(self._changed.set)
        while True:
            await self._changed.wait()
            self._changed.clear()
            try:
                await self._write(bus)
            except (Unavailable, *db.AWAY) as error:
                log.warning("interest_waits", **describe(error))
                self._changed.set()
                await asyncio.sleep(RETRY_S)

    async def _write(self, bus: Bus) -> None:
        while (interest := self._interest) is not None:
            entry = await keyvalue.read(bus, subjects.INTEREST_STREAM, subjects.INTEREST_LIVE)
            announced = _decode(entry.data).revision if entry is not None else -1
            if announced >= interest.revision:
                if await self._store.go_on_after(announced):
                    log.error("rules_went_back", announced=announced, revision=interest.revision)
                return
            after = entry.sequence if entry is not None else 0
            if await keyvalue.write(bus, subjects.INTEREST_LIVE, encode(interest), after):
                log.info("interest_announced", revision=interest.revision, needs=len(interest.needs))
                return
