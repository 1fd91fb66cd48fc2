"""How much goes to the people of one domain at a time, and when nothing does. Pure: ``now`` as in ``breaker``.

A domain whose servers put mails off gets a rest, a longer one each time. Its mails are told when to come again; they hold
neither a connection nor a place in the queue, so everybody else's go on. The same is true of mails for a slow domain that has
as many in hand as it may: they are told to come when one of those should be done. A quick one holds nobody up, and to send its
mails away would cost more than to send them: there is no limit to it. Every domain is slow until it has shown to be quick.
"""

from typing import NamedTuple

from msgspec import Struct

from services.mailer.replies import Deferred, Result, delay_s, scope, too_much

STRIKES = 3
"""Deferrals in a row after which a domain gets a rest; one is enough if the answer asks for fewer mails."""
TRIAL_EVERY_S = 1.0
"""After a rest one mail goes at a time, until one is taken."""
MOST_IDLE = 10_000
"""Domains that are remembered though nothing is in hand."""
QUICK_S = 0.25
_FIRST_GUESS_S = 0.26
"""Slow, until one mail has shown otherwise."""
_LONGEST_TURN_S = 30.0


class Wait(NamedTuple):
    """``seconds``: 0 if a mail may go now. ``why``: ``busy`` or ``resting``."""

    seconds: float
    why: str = ""


class _Domain(Struct):
    busy: int = 0
    took_s: float = _FIRST_GUESS_S
    """How long a mail is in hand, on average."""
    turn: float = 0.0
    """When the last of those that wait was told to come."""
    strikes: int = 0
    rests: int = 0
    rest_until: float = 0.0


class Domains:
    """``concurrency``: mails in hand for one slow domain. ``first_s``, ``longest_s``: of its rests."""

    def __init__(self, concurrency: int, first_s: float, longest_s: float) -> None:
        self._concurrency = concurrency
        self._first_s = first_s
        self._longest_s = longest_s
        self._domains: dict[str, _Domain] = {}

    def __len__(self) -> int:
        return len(self._domains)

    def wait(self, domain: str, now: float) -> Wait:
        """For how long a mail has to wait. Asking for a turn takes it: the next one gets a later one."""
        known = self._domains.get(domain)
        if known is None:
            return Wait(0)
        if known.rest_until > now:
            return Wait(self._turn(known, known.rest_until, now), "resting")
        if known.busy >= self._concurrency and known.took_s > QUICK_S:
            return Wait(self._turn(known, now, now), "busy")
        return Wait(0)

    def began(self, domain: str, now: float) -> None:
        if len(self._domains) >= MOST_IDLE:
            self._forget(now)
        known = self._domains.setdefault(domain, _Domain())
        known.busy += 1
        if known.rests:
            known.rest_until = now + TRIAL_EVERY_S

    def ended(self, domain: str, took_s: float) -> None:
        known = self._domains[domain]
        known.busy -= 1
        known.took_s += (took_s - known.took_s) / 8

    def answered(self, domain: str, result: Result, now: float) -> bool:
        """Whether the domain gets a rest now."""
        known = self._domains[domain]
        if not isinstance(result, Deferred):
            known.strikes = known.rests = 0
            known.rest_until = 0.0
            return False
        if scope(result) != "domain":
            return False
        known.strikes += 1
        if known.strikes < STRIKES and not too_much(result):
            return False
        known.rests += 1
        known.rest_until = now + delay_s(known.rests, domain, self._first_s, self._longest_s)
        return True

    def _turn(self, known: _Domain, earliest: float, now: float) -> float:
        """One after the other, as fast as they are expected to be done. Where that is too long, from the middle again: expected
        too late is worse than told to come again, and all at once is worst."""
        known.turn = max(known.turn, earliest) + known.took_s / self._concurrency
        if known.turn > earliest + _LONGEST_TURN_S:
            known.turn = earliest + _LONGEST_TURN_S / 2
        return known.turn - now

    def _forget(self, now: float) -> None:
        for domain in [name for name, known in self._domains.items() if not known.busy and known.rest_until <= now]:
            del self._domains[domain]
