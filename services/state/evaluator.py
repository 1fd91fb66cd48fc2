"""Asking the rule-evaluator for verdicts, in requests that fit."""

import asyncio

import msgspec

from shared import metrics, subjects
from shared.bus import Bus, encode
from shared.errors import RequestRefused, Unavailable
from shared.messages import Case, Evaluated, Verdict

REQUEST_BYTES = 240 * 1024
"""Requests stay below 256 KiB, so that several replicas share the work of a large batch."""
TIMEOUT_S = 10.0


class _Evaluate(msgspec.Struct):
    """``messages.Evaluate`` with its cases already encoded: their sizes decide how they are split."""

    cases: list[msgspec.Raw]
    revision: int


class Stale(Unavailable):
    """The rules have gone on to ``revision``: the histories were chosen for what is no longer watched."""

    def __init__(self, revision: int) -> None:
        super().__init__(f"the rules are at revision {revision}")
        self.revision = revision


class Evaluator:
    def __init__(self, bus: Bus) -> None:
        self._bus = bus

    async def evaluate(self, cases: list[Case], revision: int) -> list[Verdict]:
        """One verdict per case, in order. ``revision``: of the interest by which histories were chosen; 0: they are whole.

        Raises ``Unavailable`` if not every request was answered, ``Stale`` if the rules are not those any more."""
        with metrics.STATE_EVALUATE_S.time():
            parts = split([encode(case) for case in cases])
            answers = await asyncio.gather(*(self._ask(part, revision) for part in parts))
        return [verdict for answer in answers for verdict in answer]

    async def _ask(self, cases: list[bytes], revision: int) -> list[Verdict]:
        """A request that is refused is asked again in halves, until the case that spoils it stands alone."""
        request = _Evaluate([msgspec.Raw(case) for case in cases], revision)
        try:
            answer = await self._bus.request(subjects.RULES_EVALUATE, request, Evaluated, timeout_s=TIMEOUT_S)
        except RequestRefused as refusal:
            if len(cases) == 1:
                return [Verdict(error=refusal.reason)]
            half = len(cases) // 2
            return await self._ask(cases[:half], revision) + await self._ask(cases[half:], revision)
        if len(answer.verdicts) != len(cases):
            raise Stale(answer.revision)
        return answer.verdicts


def split(cases: list[bytes], most: int = REQUEST_BYTES) -> list[list[bytes]]:
    """Runs of cases whose bytes add up to at most ``most``; one that is larger by itself goes alone."""
    parts: list[list[bytes]] = []
    size = most
    for case in cases:
        if size + len(case) > most:
            parts.append([])
            size = 0
        parts[-1].append(case)
        size += len(case)
    return parts
