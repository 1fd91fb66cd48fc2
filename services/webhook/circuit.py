"""How much of an endpoint's work this process takes in hand at a time: less, if it does not answer.

A circuit shuts after ``FAILURES`` calls in a row that were not answered. While it is shut nothing is called, and what waits
loses no attempt. Then one call at a time is tried: if it is answered the circuit is whole again, if not it shuts for twice as
long.
"""

from typing import NamedTuple

from services.webhook.answers import Verdict
from shared.clock import MINUTE, SECOND, Duration, Instant

FAILURES = 5
SHUT_FIRST: Duration = 10 * SECOND
SHUT_LONGEST: Duration = 5 * MINUTE


class Circuit(NamedTuple):
    failures: int = 0
    shut_until: Instant = 0

    @property
    def broken(self) -> bool:
        return self.failures >= FAILURES


def room(circuit: Circuit, busy: int, parallel: int, now: Instant) -> int:
    """How many more calls may be begun while ``busy`` are under way, ``parallel`` being the most of a circuit that is whole."""
    if now < circuit.shut_until:
        return 0
    return max(0, (1 if circuit.broken else parallel) - busy)


def after(circuit: Circuit, verdict: Verdict, now: Instant, retry_after: Duration = 0) -> Circuit:
    """The circuit after a call. What fails while it is shut was begun before that and says nothing new."""
    if verdict != "troubled":
        return Circuit()
    until = max(circuit.shut_until, now + retry_after if retry_after else 0)
    if now < circuit.shut_until:
        return Circuit(circuit.failures, until)
    failures = circuit.failures + 1
    if failures >= FAILURES:
        until = max(until, now + min(SHUT_FIRST << min(failures - FAILURES, 16), SHUT_LONGEST))
    return Circuit(failures, until)
