"""Who may send what, and how fast. Pure.

A public key can be read on every page: with it anybody may say what somebody did, but only so fast, only so many different
things, and nothing that needs to be believed (``PROTECTED_EVENTS``) unless the site vouches for it with a user token.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from services.tracker import addresses
from services.tracker.addresses import Network
from services.tracker.events import Gate
from services.tracker.flaws import Flaw, shown
from services.tracker.keys import Access, Key, Keys, check_origin
from services.tracker.limits import Limits
from services.tracker.tokens import Tokens
from shared.clock import Instant
from shared.messages import Event


class Budget(NamedTuple):
    """How many different names a public key may bring, in one process."""

    events: int
    properties: int


class Guard:
    def __init__(
        self,
        keys: Keys,
        limits: Limits,
        tokens: Tokens,
        *,
        protected: Collection[str] = (),
        budget: Budget = Budget(500, 5000),  # noqa: B008 - frozen
        proxies: Sequence[Network] = (),
    ) -> None:
        self._keys = keys
        self._limits = limits
        self._tokens = tokens
        self._protected = frozenset(protected)
        self._budget = budget
        self._proxies = tuple(proxies)
        rate = limits.key.rate
        self._policy = f'"key";q={rate.burst};w={max(1, round(rate.burst / rate.per_s))}' if rate.per_s else ""
        self._events: dict[str, set[str]] = {}
        self._properties: dict[str, set[str]] = {}

    def admit(self, told: str | None, origin: str | None, now: Instant) -> Key:
        """The key, before anything is read of what it brings. Raises ``Unauthorised``, ``Forbidden`` or ``TooFast``."""
        key = self._keys.find(told)
        check_origin(key, origin)
        self._limits.key.check(key.name, 1, now)
        return key

    def count(
        self, key: Key, sender: tuple[str | None, str | None], people: Sequence[str], count: int, now: Instant
    ) -> Mapping[str, str]:
        """Count what a request brought; ``sender``: who connected, and whom they say they forward. Answers what is left as
        headers (draft-ietf-httpapi-ratelimit-headers). Raises ``TooFast``."""
        address = None
        if key.access is Access.PUBLIC:
            address = addresses.sender(*sender, self._proxies)
        left = self._limits.take(key.name, address, people, count, now)
        if not self._policy:
            return {}
        return {"RateLimit-Policy": self._policy, "RateLimit": f'"key";r={left}'}

    def gate(self, key: Key, now: Instant) -> Gate | None:
        """What each event must pass, for ``take``; none with a secret key."""
        if key.access is Access.SECRET:
            return None
        return lambda event, token: self._pass(key, event, token, now)

    def _pass(self, key: Key, event: Event, token: str | None, now: Instant) -> bool:
        vouched = token is not None and self._tokens.check(token, event.user_id, now)
        if event.name in self._protected and not vouched:
            raise Flaw(f"event: {event.name} is taken with a secret key or a user_token only")
        known = self._events.setdefault(key.name, set())
        if event.name not in known:
            self._spend("event", known, (event.name,), self._budget.events)
        known = self._properties.setdefault(key.name, set())
        if not known.issuperset(event.properties):
            self._spend("properties", known, event.properties, self._budget.properties)
        return vouched

    def _spend(self, what: str, known: set[str], names: Collection[str], most: int) -> None:
        fresh = [name for name in names if name not in known]
        if fresh and len(known) + len(fresh) > most:
            raise Flaw(
                f"{what}: {shown(fresh[0])} would be one name more than the {most} that a public key may bring;"
                " send what varies as a value"
            )
        known.update(fresh)
