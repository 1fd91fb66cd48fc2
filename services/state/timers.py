"""The timers of one partition that are due soon. Pure.

Only the next few minutes are kept in memory; the rest are rows, found by an index.
"""

import heapq

from shared.clock import Instant


class Timers:
    """A person has at most one timer. Arming again replaces it; the old heap entry is skipped when it comes up."""

    def __init__(self) -> None:
        self._heap: list[tuple[Instant, str]] = []
        self._due: dict[str, Instant] = {}

    def __len__(self) -> int:
        return len(self._due)

    def __contains__(self, person: str) -> bool:
        return person in self._due

    def arm(self, person: str, due: Instant) -> None:
        if self._due.get(person) != due:
            self._due[person] = due
            heapq.heappush(self._heap, (due, person))

    def disarm(self, person: str) -> None:
        self._due.pop(person, None)

    def next_due(self) -> Instant | None:
        while self._heap and self._due.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def pop(self, now: Instant, limit: int) -> list[tuple[str, Instant]]:
        """Up to ``limit`` people whose timers are due, earliest first, with the instant they were due."""
        popped: list[tuple[str, Instant]] = []
        while len(popped) < limit and (due := self.next_due()) is not None and due <= now:
            _, person = heapq.heappop(self._heap)
            del self._due[person]
            popped.append((person, due))
        return popped
