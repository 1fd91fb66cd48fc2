"""Holding partitions: joining, renewing, taking, handing over, and letting go in time."""

import asyncio

import nats.errors
import structlog

from services.state.clock import DatabaseClock
from services.state.group import Group
from services.state.people import People
from services.state.rows import Claim, Lease
from services.state.shares import share
from services.state.store import LEASE_S, Store
from shared import db, metrics
from shared.bus import describe
from shared.clock import SECOND, Instant
from shared.errors import Unavailable

log = structlog.get_logger()

RENEW_S = 1.0
BALANCE_S = 0.25
"""How often to see whether a partition is to be taken or given: what stands still meanwhile stands still no longer."""
FENCE_S = 3.0
"""Without a renewal for so long this process stops writing by itself, well before others may take over."""


class Leases:
    """Two loops: ``renew`` does nothing but prolong, so that work on a large take-over cannot cost the leases it is for;
    ``balance`` compares who holds what with who should."""

    def __init__(self, store: Store, clock: DatabaseClock, groups: list[Group], people: People) -> None:
        self._store = store
        self._clock = clock
        self._groups = groups
        self._people = people
        self._renewed: Instant | None = None
        self._look = asyncio.Event()
        self._reopen = False
        self._leaving = False
        self._round_in_hand = asyncio.Lock()

    def held(self) -> bool:
        """Whether what this process owned a moment ago is surely still its own."""
        return self._renewed is not None and self._clock.monotonic() - self._renewed < FENCE_S * SECOND

    def look_again(self) -> None:
        """Something was dropped: see at once what is still ours, and adopt it anew."""
        self._look.set()

    def open_anew(self) -> None:
        """The connection to NATS is new: nothing that was read ahead is to be trusted."""
        self._reopen = True
        self._look.set()

    async def renew(self) -> None:
        while not self._leaving:
            asked = self._clock.monotonic()
            try:
                async with asyncio.timeout(FENCE_S - RENEW_S):
                    await self._store.join()
                    alive = await self._observe()
                if self._renewed is None:
                    log.info("state_joined", owner=self._store.owner, members=len(alive))
                    self._look.set()
                self._renewed = asked
            except db.AWAY as error:
                log.warning("lease_not_renewed", **describe(error))
                if not self.held():
                    self._look.set()
            await asyncio.sleep(RENEW_S)

    async def _observe(self) -> list[str]:
        asked = self._clock.monotonic()
        alive = await self._store.alive()
        self._clock.observe(alive.now, asked, self._clock.monotonic())
        return alive.members

    async def balance(self) -> None:
        wait_s = BALANCE_S
        while not self._leaving:
            try:
                async with asyncio.timeout(wait_s):
                    await self._look.wait()
            except TimeoutError:
                pass  # a round is due by time
            self._look.clear()
            wait_s = BALANCE_S
            try:
                async with self._round_in_hand:
                    wait_s = await self._round()
            except (Unavailable, nats.errors.Error, *db.AWAY) as error:
                log.warning("partitions_not_balanced", **describe(error))
            metrics.PARTITIONS_OWNED.set(len(self._adopted()))
            metrics.ACTORS_RESIDENT.set(sum(group.resident for group in self._groups))

    async def leave(self) -> None:
        """Drain, then free everything at once, so that nobody has to wait for a lease to run out."""
        self._leaving = True
        for group in self._groups:
            group.stop()
        async with self._round_in_hand:
            await self._people.serve(set())
            await self._drop(self._adopted())
            await self._store.leave()

    async def _round(self) -> float:
        """Give what is others', take what is ours. Answers in how many seconds to look again."""
        if self._reopen or not self.held():
            if self._adopted() and not self.held():
                log.error("leases_given_up", not_renewed_for_s=FENCE_S)
            self._reopen = False
            await self._drop(self._adopted())
        if self._leaving or not self.held():
            return BALANCE_S
        members = await self._observe()
        leases = await self._store.leases()
        mine = {lease.id for lease in leases if lease.owner == self._store.owner}
        wanted = share(self._store.owner, members, [lease.id for lease in leases])
        if lost := self._adopted() - mine:
            log.warning("partitions_lost", count=len(lost))
            await self._drop(lost)
        if surplus := mine - wanted:
            await self._drop(surplus)
            await self._people.serve(self._adopted())
            await self._store.release(surplus)
            log.info("partitions_handed_over", count=len(surplus))
        claims = await self._store.held((mine & wanted) - self._adopted())
        if free := {lease.id for lease in leases if lease.id in wanted and self._is_free(lease)}:
            claims += await self._store.claim(free)
        if claims:
            await self._adopt(claims)
        await self._people.serve(self._adopted())
        return self._next_round(leases, wanted)

    def _is_free(self, lease: Lease) -> bool:
        return lease.owner is None or (lease.expired and lease.owner != self._store.owner)

    def _next_round(self, leases: list[Lease], wanted: set[int]) -> float:
        """A lease that belongs to us by share and runs out soon is taken the moment it does."""
        foreign = [lease for lease in leases if lease.id in wanted and lease.owner not in (None, self._store.owner)]
        return max(0.02, min([BALANCE_S, *(lease.left_s + 0.01 for lease in foreign)]))

    def _adopted(self) -> set[int]:
        return {number for group in self._groups for number in group.partitions}

    async def _adopt(self, claims: list[Claim]) -> None:
        before = self._adopted()
        for index, group in enumerate(self._groups):
            if ours := [claim for claim in claims if claim.id % len(self._groups) == index]:
                await group.adopt(ours)
        if taken := self._adopted() - before:
            log.info("partitions_taken", count=len(taken), owned=len(self._adopted()), lease_s=LEASE_S)

    async def _drop(self, partitions: set[int]) -> None:
        for index, group in enumerate(self._groups):
            await group.drop([number for number in partitions if number % len(self._groups) == index])
