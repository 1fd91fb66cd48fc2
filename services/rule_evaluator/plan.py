"""Rules made ready to run together: compiled once, with what they have in common shared. Pure.

What a step costs depends on the rules its event concerns, not on how many there are: selectors that say the same keep one
series of events for all, and an event's name leads straight to the rules that care.
"""

from collections.abc import Callable, Iterable
from typing import NamedTuple

from services.rule_evaluator.code import Blocked, write
from services.rule_evaluator.conditions import Combination
from services.rule_evaluator.rules import LiveRule
from services.rule_evaluator.view import IDENTIFY, Selector, Slots, View
from shared.clock import Instant
from shared.messages import Need, Person
from shared.outcomes import BESIDE_MAIL, TAKEN_BACK

Touched = tuple[tuple[int, frozenset[int]], ...]
"""Numbers of rules, each with those of its parts."""


class Compiled(NamedTuple):
    """``look`` at all of several parts, which tells what blocks it. ``slots``: of each part, the series it looks at."""

    live: LiveRule
    look: Callable[[View, Instant], Blocked]
    slots: tuple[frozenset[int], ...]


class Plan:
    """``rules`` in the order given. The same for every person; nothing in it changes."""

    def __init__(self, rules: Iterable[LiveRule]) -> None:
        self.slots = Slots()
        self.rules = tuple(self._compile(live) for live in rules)
        self._touched: dict[tuple[int, ...], Touched] = {}
        self.profile = (self.slots.number(Selector(IDENTIFY)),)
        """Stands for a change of the profile."""

    def _compile(self, live: LiveRule) -> Compiled:
        when = live.rule.when
        is_all = isinstance(when, Combination) and not when.decisive
        parts = when.conditions if isinstance(when, Combination) and is_all else (when,)
        slots = (frozenset(map(self.slots.number, part.selectors())) for part in parts)
        look = write([part.code(self.slots) for part in parts], decisive=False)
        return Compiled(live, look, tuple(slots))

    def holds(self, rule: str, person: Person, at: Instant) -> bool:
        """Whether ``when`` of the rule, which must be one of these, is true at ``at``."""
        (compiled,) = (compiled for compiled in self.rules if compiled.live.rule.id == rule)
        return compiled.look(View(self.slots, person.profile, person.history, at), at)[0]

    def touched(self, slots: tuple[int, ...]) -> Touched:
        """What may be true or false now that these series have one event more."""
        if (found := self._touched.get(slots)) is None:
            parts = [
                frozenset(number for number, looked_at in enumerate(rule.slots) if not looked_at.isdisjoint(slots))
                for rule in self.rules
            ]
            found = tuple((number, touched) for number, touched in enumerate(parts) if touched)
            if len(self._touched) < 10_000:
                self._touched[slots] = found
        return found

    def needs(self) -> list[Need]:
        """What all rules need together, without what one need says better than another."""
        every = {need for rule in self.rules for need in rule.live.rule.when.needs()}
        if self.rules:  # a rule that begins later wants to know which of its firings came to nothing
            every |= {Need(name, last=8, properties=(BESIDE_MAIL, "trigger_id")) for name in TAKEN_BACK}
        return sorted(
            (need for need in every if not any(other != need and _includes(other, need) for other in every)),
            key=lambda need: (need.name or "", need.last or 0, need.horizon or 0, need.properties),
        )


def _includes(wide: Need, narrow: Need) -> bool:
    return (
        wide.name == narrow.name
        and (wide.last is None or (narrow.last is not None and narrow.last <= wide.last))
        and (wide.horizon is None or (narrow.horizon is not None and narrow.horizon <= wide.horizon))
        and set(narrow.properties) <= set(wide.properties)
    )
