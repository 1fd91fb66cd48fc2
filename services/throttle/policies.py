"""The policy in force: put by an operator or a file, read by every decision."""

import asyncio
from pathlib import Path
from typing import NamedTuple

import structlog

from services.throttle import document
from services.throttle.forecast import forecast
from services.throttle.policy import DEFAULT, Policy
from services.throttle.replay import replay
from services.throttle.store import Store
from shared.clock import Clock
from shared.errors import RequestRefused, RetryLater, StartError
from shared.policies import (
    Forecast,
    Forecasted,
    GetPolicy,
    ListPolicies,
    PoliciesListed,
    PolicyFound,
    PolicyPut,
    PutPolicy,
    Replay,
    Replayed,
)

log = structlog.get_logger()

MOST_REPLAYED = 500_000
"""Some 20 s of work, and half a GB of memory."""
FROM_FILE = "POLICY_FILE"

DEFAULT_DOCUMENT = """\
caps:
  - {max: 1, per: 24h, scope: rule}
  - {max: 2, per: 24h, scope: all}
"""
"""``policy.DEFAULT`` as people write it."""


class InForce(NamedTuple):
    version: int
    policy: Policy


class Policies:
    """``in_force`` is what this process read last; ``follow`` moves it to another version."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.in_force = InForce(0, DEFAULT)

    async def follow(self, version: int) -> None:
        """Raises ``RetryLater`` if the document is of a kind that only a newer release knows."""
        try:
            policy = document.read(await self._store.policy(version) or "")
        except document.PolicyError as error:
            raise RetryLater(5, f"version {version} of the policy cannot be read: {error}") from None
        self.in_force = InForce(version, policy)
        log.info("policy_followed", version=version)

    async def load(self, path: str) -> None:
        """Put the file's policy, unless the file is the same as when it was last put: a restart never undoes what an
        operator put since. Raises ``StartError`` if it cannot be read or is flawed."""
        text = _from_file(path)
        if await self._store.last_policy_by(FROM_FILE) != text:
            version = await self._store.put_policy(text, FROM_FILE, self._clock.now())
            log.info("policy_put", version=version, by=FROM_FILE)

    async def on_put(self, request: PutPolicy) -> PolicyPut:
        try:
            document.read(request.document)
        except document.PolicyError as error:
            return PolicyPut(errors=error.errors)
        version = await self._store.put_policy(request.document, request.by, self._clock.now())
        log.info("policy_put", version=version, by=request.by)
        return PolicyPut(version=version)

    async def on_forecast(self, request: Forecast) -> Forecasted:
        """By the document given, else by the policy in force. Raises ``RequestRefused`` if the document is flawed."""
        text = request.document or (await self._store.current_policy())[1]
        try:
            policy = document.read(text) if text else DEFAULT
        except document.PolicyError as error:
            raise RequestRefused(str(error)) from None
        decisions = forecast(policy, request.firings)
        return Forecasted([(decision.outcome, decision.reason) for decision in decisions])

    async def on_replay(self, request: Replay) -> Replayed:
        """In a thread of its own: it is long work, and deciding goes on. Raises ``RequestRefused`` if it is too long."""
        try:
            policy = document.read(request.document)
        except document.PolicyError as error:
            return Replayed(errors=error.errors)
        past = await self._store.past(request.since - policy.horizon, MOST_REPLAYED + 1)
        if len(past) > MOST_REPLAYED:
            raise RequestRefused(f"more than {MOST_REPLAYED} triggers were decided since then: ask for a shorter time")
        return await asyncio.to_thread(replay, policy, past, request.since)

    async def on_get(self, request: GetPolicy) -> PolicyFound:
        if request.version:
            return PolicyFound(request.version, await self._store.policy(request.version) or "")
        version, text = await self._store.current_policy()
        return PolicyFound(version, text or DEFAULT_DOCUMENT)

    async def on_list(self, request: ListPolicies) -> PoliciesListed:
        return PoliciesListed(await self._store.policies())


def _from_file(path: str) -> str:
    try:
        text = Path(path).read_text(encoding="utf-8")
        document.read(text)
    except (OSError, UnicodeDecodeError) as error:
        raise StartError(f"POLICY_FILE: cannot read {path!r}: {error}") from None
    except document.PolicyError as error:
        raise StartError(f"POLICY_FILE: {path}: {error}") from None
    return text
