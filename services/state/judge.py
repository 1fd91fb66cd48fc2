"""Asking what the rules say to a turn, until somebody answers who knows the same rules."""

import asyncio
from collections.abc import Callable, Collection

import structlog

from services.state import actor as actors
from services.state import work
from services.state.actor import Limits
from services.state.evaluator import Evaluator, Stale
from services.state.intake import Turn
from services.state.interest import Following
from services.state.memory import Memory
from services.state.residents import Residents
from services.state.store import Store
from services.state.work import Work
from shared import metrics
from shared.bus import describe
from shared.errors import Unavailable
from shared.messages import Verdict

log = structlog.get_logger()

RECORDED = 5000
"""Events of a person that are looked through when the rules need more than was remembered."""


class Judge:
    def __init__(
        self, store: Store, evaluator: Evaluator, following: Following, residents: Residents, limits: Limits
    ) -> None:
        self._store = store
        self._evaluator = evaluator
        self._following = following
        self._residents = residents
        self._limits = limits
        self._stopping = False

    def stop(self) -> None:
        """Wait for no verdict any longer."""
        self._stopping = True

    async def turn(self, turn: Turn, held: Callable[[], bool]) -> tuple[Work, dict[str, Verdict], Memory]:
        """What everybody in the turn is asked, and what the rules say; with the memory by which they were asked.

        Raises ``Unavailable`` once the partitions are no longer ``held``, or the process stops.
        """
        await self._residents.bring(turn.homes, turn.people)
        people = self._residents.people
        while True:
            memory = await self._following.current()
            begun = work.begin(turn, people, memory)
            if await self._refill([key for key in begun.asked if not people[key].actor.complete(memory)], memory):
                begun = work.begin(turn, people, memory)
            try:
                return begun, await self._verdicts(begun, memory, held), memory
            except Stale as stale:
                await self._following.reach(stale.revision)

    async def _refill(self, people: Collection[str], memory: Memory) -> bool:
        """The rules need what these people no longer remember: look it up in what is recorded of them."""
        for key in people:
            recorded = await self._store.recorded(key, RECORDED)
            actor = self._residents.people[key].actor
            self._residents.replace(key, actors.refilled(actor, recorded, memory, self._limits))
            metrics.HISTORIES_REFILLED.inc()
        return bool(people)

    async def _verdicts(self, begun: Work, memory: Memory, held: Callable[[], bool]) -> dict[str, Verdict]:
        """Ask until answered: while no rule-evaluator is there events wait in the stream, and nothing is decided."""
        delay_s = 0.02
        while begun.asked:
            try:
                answers = await self._evaluator.evaluate(list(begun.asked.values()), memory.revision)
                return dict(zip(begun.asked, answers, strict=True))
            except Stale:
                raise
            except Unavailable as error:
                if self._stopping or not held():
                    raise
                log.warning("evaluation_waits", cases=len(begun.asked), **describe(error))
            await asyncio.sleep(delay_s)
            delay_s = min(delay_s * 2, 0.5)
        return {}
