"""What the throttle would have let through: a policy over firings of the past, or of a rule that is not live yet. Pure.

Time is played through from firing to firing, and between them to each instant at which something that waits is due, so
quiet hours, spacing and settle time put off what they would have put off. Each is decided as the throttle does.
"""

import heapq
from collections.abc import Iterable, Sequence

from msgspec import Struct

from services.throttle.decide import SETTLE, Decision, Deferral, Sent, Standing, decide_together, settle
from services.throttle.policy import Policy
from shared.clock import Instant
from shared.messages import Terms, Trigger
from shared.policies import ForecastFiring


class Firing(Struct, frozen=True):
    """A trigger as the throttle got it at ``at``. ``aliases``: who turned out to be the person. ``fixed``: what was decided
    of it whatever the policy, as where the person wants no mail. ``ended``: when, if it was sent, it came to nothing and gave its place back.
    ``zone``: the person's time zone, if it is known."""

    person: str
    rule: str
    at: Instant
    terms: Terms
    aliases: Sequence[str] = ()
    expires: Instant | None = None
    fixed: Decision | None = None
    ended: Instant | None = None
    zone: str = ""


class Played(Struct, frozen=True):
    """``waited``: what put it off, in order, before it was decided."""

    decision: Decision
    waited: tuple[str, ...] = ()


def forecast(policy: Policy, firings: Iterable[ForecastFiring]) -> list[Decision]:
    """A decision for each firing, which are in order. Every send counts towards the caps; nobody is suppressed, and everybody
    is in the policy's default time zone."""
    asked = [Firing(firing.person, firing.rule, firing.at, firing.terms) for firing in firings]
    return [played.decision for played in play(policy, asked)]


def play(policy: Policy, firings: Sequence[Firing]) -> list[Played]:
    """What becomes of each firing, which are in order of ``at``."""
    return _Play(policy, firings).run()


class _Play:
    def __init__(self, policy: Policy, firings: Sequence[Firing]) -> None:
        self._policy = policy
        self._firings = firings
        self._played: dict[int, Decision] = {}
        self._waited: dict[int, list[str]] = {}
        self._due: dict[int, Instant] = {}
        self._heap: list[tuple[Instant, int]] = []
        self._waiting: dict[str, set[int]] = {}
        """Who waits, by each of the names that person has."""
        self._sent: dict[str, list[tuple[Sent, Instant | None]]] = {}

    def run(self) -> list[Played]:
        for number, firing in enumerate(self._firings):
            self._return(firing.at)
            self._arrive(number, firing)
        self._return(None)
        return [
            Played(self._played[number], tuple(self._waited.get(number, ()))) for number in range(len(self._firings))
        ]

    def _return(self, until: Instant | None) -> None:
        """Decide what is due by ``until``; everything, without one."""
        while self._heap and (until is None or self._heap[0][0] <= until):
            due, number = heapq.heappop(self._heap)
            if self._due.get(number) == due:
                names, others = self._together(self._firings[number])
                self._decide([each for each in others if self._due[each] <= due], names, due)

    def _arrive(self, number: int, firing: Firing) -> None:
        if firing.fixed is not None:
            self._played[number] = firing.fixed
            return
        if self._policy.settle:
            _, others = self._together(firing)
            settling = [self._due[each] for each in others if self._waited[each][-1] == SETTLE]
            if deferral := settle(_trigger(number, firing), self._policy, min(settling, default=None), firing.at):
                self._put_off(number, deferral)
                return
        self._decide([number], _names(firing), firing.at)

    def _decide(self, numbers: Iterable[int], names: Iterable[str], now: Instant) -> None:
        triggers = [_trigger(number, self._firings[number]) for number in numbers]
        zones = (self._firings[int(trigger.id)].zone for trigger in triggers)
        standing = Standing(self._sends(names, now), zone=next(filter(None, zones), ""))
        for trigger, verdict in decide_together(triggers, standing, self._policy, now):
            number = int(trigger.id)
            firing = self._firings[number]
            if isinstance(verdict, Deferral):
                self._put_off(number, verdict)
                continue
            self._let_go(number)
            self._played[number] = verdict
            if verdict.outcome == "send":
                sent = Sent(firing.rule, firing.terms.category, now)
                self._sent.setdefault(firing.person, []).append((sent, firing.ended))

    def _put_off(self, number: int, deferral: Deferral) -> None:
        self._due[number] = deferral.until
        self._waited.setdefault(number, []).append(deferral.by)
        heapq.heappush(self._heap, (deferral.until, number))
        for name in _names(self._firings[number]):
            self._waiting.setdefault(name, set()).add(number)

    def _let_go(self, number: int) -> None:
        if self._due.pop(number, None) is not None:
            for name in _names(self._firings[number]):
                self._waiting[name].discard(number)

    def _together(self, firing: Firing) -> tuple[set[str], list[int]]:
        """Everybody who is the same person as far as those who wait tell, and what waits of them."""
        names, others, todo = set[str](), set[int](), list(_names(firing))
        while todo:
            if (name := todo.pop()) not in names:
                names.add(name)
                new = self._waiting.get(name, set[int]()) - others
                others |= new
                todo += [one for number in new for one in _names(self._firings[number])]
        return names, sorted(others)

    def _sends(self, names: Iterable[str], now: Instant) -> list[Sent]:
        """Those that count still; time only goes on, so the others never will again."""
        found = []
        for name in names:
            if name in self._sent:
                since = now - self._policy.horizon
                kept = [(s, ended) for s, ended in self._sent[name] if s.at > since and (ended is None or ended > now)]
                self._sent[name] = kept
                found += [sent for sent, _ in kept]
        return found


def _names(firing: Firing) -> Sequence[str]:
    return (firing.person, *firing.aliases)


def _trigger(number: int, firing: Firing) -> Trigger:
    """Of those that come at the same instant, the first in the list fired first."""
    return Trigger(f"{number:012}", firing.person, firing.rule, 0, firing.at, firing.terms, expires=firing.expires)
