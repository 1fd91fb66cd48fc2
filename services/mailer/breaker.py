"""When a relay is left alone for a while. Pure: ``now`` is in seconds of any clock that only goes forward.

It opens when the relay cannot be reached, falls silent on a mail's content, or puts off one mail after the other, whomever
they are for. While it is open the relay gets nothing; when the wait is over it gets one attempt a second, until one comes to
something.
"""

from services.mailer.replies import Deferred, Result, Uncertain, scope

FIRST_S = 0.5
LONGEST_AWAY_S = 5.0
"""Whether a server is back costs one connection to find out."""
LONGEST_STORM_S = 60.0
"""Whether it takes mails again costs a mail another delay."""
TRIAL_EVERY_S = 1.0
STORM = 5
"""So many mails put off in a row, for people of several domains, are no matter of the people's servers."""


class Breaker:
    """``reason`` is empty while everything may pass. ``storm``: connections are had, and only a mail can tell more."""

    def __init__(self) -> None:
        self.reason = "not tried yet"
        self.storm = False
        self._times = 0
        self._retry_at = 0.0
        self._put_off = 0
        self._domains: set[str] = set()

    @property
    def reachable(self) -> bool:
        """Whether the last attempt came to a connection."""
        return not self.reason or self.storm

    def wait_s(self, now: float) -> float:
        """0: an attempt may be made now."""
        return max(0.0, self._retry_at - now) if self.reason else 0.0

    def attempt(self, now: float) -> None:
        if self._times:
            self._retry_at = max(self._retry_at, now + TRIAL_EVERY_S)

    def connected(self) -> None:
        if not self.storm:
            self._reset()

    def lost(self, reason: str, now: float) -> None:
        """There is no connection to be had."""
        self.storm = False
        self._open(reason, now, LONGEST_AWAY_S)

    def answered(self, result: Result, domain: str, now: float) -> None:
        """What became of a mail for somebody of ``domain``."""
        if isinstance(result, Uncertain):
            self._suspect("leaves it open whether it took a mail", now)
        elif not isinstance(result, Deferred):
            self._close()
        elif (whose := scope(result)) != "mail":
            self._put_off += 1
            self._domains.add(domain)
            whole = self._put_off >= STORM and (whose == "relay" or len(self._domains) > 1)
            if whole or self.storm:
                self._suspect(f"puts off everything, last with {result.code or 'no answer'}", now)

    def _suspect(self, reason: str, now: float) -> None:
        self.storm = True
        self._open(reason, now, LONGEST_STORM_S)

    def _close(self) -> None:
        self.storm = False
        self._put_off = 0
        self._domains.clear()
        self._reset()

    def _reset(self) -> None:
        self.reason, self._times, self._retry_at = "", 0, 0.0

    def _open(self, reason: str, now: float, longest_s: float) -> None:
        self.reason = reason
        self._retry_at = now + min(longest_s, FIRST_S * 2.0 ** min(self._times, 16))
        self._times += 1
