"""Playing a history again: which rules would have fired, for whom, when and why. Pure.

The same evaluation as in service, over as many people as there are, with visitors that turn out to be somebody known.
Everything that fires counts towards ``reentry``.
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from services.rule_evaluator.advance import Run
from services.rule_evaluator.document import Rule
from services.rule_evaluator.plan import Plan
from services.rule_evaluator.rules import LiveRule
from shared import identity
from shared.clock import Instant
from shared.identity import Identities
from shared.messages import Event, Fire, HistoryEvent, Joined, Person, Step
from shared.outcomes import TAKEN_BACK

_BEFORE_ALL: Instant = -1


class Firing(NamedTuple):
    """``because``: the events that made it so, in order."""

    person: str
    fire: Fire
    because: list[HistoryEvent]


def live_from_the_beginning(rules: Iterable[Rule]) -> Plan:
    """The rules, whatever their status, as if they had been live since before the first event."""
    return Plan(LiveRule(rule, 0, 0, _BEFORE_ALL) for rule in rules)


class _Life:
    def __init__(self, plan: Plan, key: str) -> None:
        self.key = key
        self.run = Run(plan, Person(key), {})
        self.known: set[str] = set()
        self.count = 0

    def firings(self) -> Iterator[Firing]:
        if fires := self.run.fires:
            by_number = {event.n: event for event in self.run.view.events}
            for fire in fires:
                yield Firing(self.key, fire, [by_number[n] for n in fire.because])
            fires.clear()

    def history(self) -> list[HistoryEvent]:
        return [*self.run.view.events, *self.run.view.ahead]


class Replay:
    """Take events in the order of their arrival, then ``finish``."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._lives: dict[str, _Life] = {}
        self._identities = Identities()

    def take(self, event: Event, arrived: Instant) -> Iterator[Firing]:
        """What fires up to ``arrived`` for the person of the event."""
        life = self._life(self._identities.person(event.person))
        if event.id in life.known or event.name in TAKEN_BACK:
            return
        if event.user_id is not None:
            self._identities.knows(event.user_id)
        life.known.add(event.id)
        life.count += 1
        happened = HistoryEvent(
            life.count, event.id, event.name, event.timestamp, arrived, event.properties, event.trusted, event.source
        )
        life.run.take(Step(arrived, happened))
        yield from life.firings()
        if (tie := identity.tie(event, life.key)) is not None and (link := self._identities.link(tie)) is not None:
            yield from self._link(*link, self._life(self._identities.person(tie.person)), arrived)

    @property
    def people(self) -> int:
        """How many there are, after some turned out to be one."""
        return len(self._lives)

    def finish(self, until: Instant) -> Iterator[Firing]:
        """What fires by itself up to ``until``, for everybody."""
        for life in self._lives.values():
            life.run.take(Step(until))
            yield from life.firings()

    def _life(self, key: str) -> _Life:
        if (life := self._lives.get(key)) is None:
            life = self._lives[key] = _Life(self._plan, key)
        return life

    def _link(self, previous: str, with_all: bool, life: _Life, arrived: Instant) -> Iterator[Firing]:
        left = self._lives.pop(previous, None) if with_all else None
        if left is None:
            return
        left.run.take(Step(arrived))
        yield from left.firings()
        brought = [
            HistoryEvent(life.count + e.n, e.id, e.name, e.timestamp, arrived, e.properties, e.trusted, e.source)
            for e in left.history()
            if e.id not in life.known
        ]
        life.count += left.count
        life.known |= left.known
        life.run.take(Step(arrived, joined=Joined(left.run.view.profile, brought, left.run.states())))
        yield from life.firings()
