"""What of a person's history must be remembered, and sent, so that the rules in force can be judged. Pure.

Each rule says which events it needs and for how long (``shared.messages.Need``). What none needs goes first when a history
grows, and is never sent. Properties are sent whole: they are passed on as the bytes they came in, and picking out some would
cost ten times as much as sending all.
"""

from collections.abc import Sequence

from msgspec import Raw, Struct

from shared.clock import MINUTE, Duration, Instant
from shared.messages import Interest, Need
from shared.outcomes import NOT_ACTIVITY

MARGIN: Duration = MINUTE
"""How long ago a rule may have begun that was not known when a person was last looked at: events are kept so much longer."""


class Remembered(Struct, frozen=True, array_like=True, gc=False):
    """A ``shared.messages.HistoryEvent`` whose properties stay the bytes they came in: nothing here looks at them."""

    n: int
    id: str
    name: str
    timestamp: Instant
    arrived: Instant
    properties: Raw
    trusted: bool = False
    source: str = ""


class _Want(Struct, frozen=True):
    last: int | None
    horizon: Duration | None
    of_activity: bool


class Memory:
    """``interest``: none while it is not known; then everything is needed."""

    def __init__(self, interest: Interest | None = None, margin: Duration = MARGIN) -> None:
        self.interest = interest
        self._margin = margin
        self._wants: dict[str, tuple[_Want, ...]] = {}

    @property
    def revision(self) -> int:
        return self.interest.revision if self.interest is not None else 0

    @property
    def watched(self) -> int:
        return self.interest.watched if self.interest is not None else 0

    def concerns(self, name: str) -> bool:
        """Whether the arrival of an event of that name can change any truth."""
        return self.interest is None or bool(self._of(name))

    def needed(self, history: Sequence[Remembered], since: Instant) -> list[Remembered]:
        """Those of ``history``, which is ordered, without which some truth at ``since`` or later could not be told."""
        if self.interest is None:
            return list(history)
        kept = []
        ranks: dict[str, int] = {}
        activity = 0
        begun = since - self._margin
        for event in reversed(history):
            name = event.name
            if event.timestamp <= since and event.arrived <= begun:  # before that it was not the latest yet
                ranks[name] = ranks.get(name, 0) + 1
                activity += name not in NOT_ACTIVITY
            rank = ranks.get(name, 0)
            for want in self._of(name):
                if want.horizon is not None and event.timestamp <= begun - want.horizon:
                    continue
                if want.last is None or (activity if want.of_activity else rank) <= want.last:
                    kept.append(event)
                    break
        kept.reverse()
        return kept

    def _of(self, name: str) -> tuple[_Want, ...]:
        if (found := self._wants.get(name)) is None:
            needs = self.interest.needs if self.interest is not None else []
            found = tuple(_Want(need.last, need.horizon, need.name is None) for need in needs if _is_of(need, name))
            if len(self._wants) < 10_000:  # names come from outside
                self._wants[name] = found
        return found


def _is_of(need: Need, name: str) -> bool:
    return need.name == name if need.name is not None else name not in NOT_ACTIVITY
