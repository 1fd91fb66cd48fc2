"""Deciding a trigger: look at its person, ask the policy, and store what it says if nothing has changed meanwhile.

Triggers that wait for the same moment are decided together, whoever of them is asked for, so the most important goes first.
A replica that takes one of them takes all; if another does the same at that instant, one of the two finds that something has
changed, looks again, and sees what was decided.
"""

from collections.abc import Iterable, Sequence

import structlog
from msgspec import structs

from services.throttle.decide import SETTLE, Deferral, Standing, decide_together, settle
from services.throttle.hours import zone_of
from services.throttle.policies import Policies
from services.throttle.policy import Policy
from services.throttle.store import Made, Store, Waiting
from shared import metrics
from shared.bus import Bus
from shared.clock import Clock, Instant, rfc3339
from shared.errors import RetryLater
from shared.messages import PersonFound, Trigger
from shared.questions import who_is

log = structlog.get_logger()

ROUNDS = 30
"""A person whose triggers are decided by many replicas at the same instant costs each of them a few rounds, no more."""


class Deciding:
    def __init__(self, bus: Bus, store: Store, policies: Policies, clock: Clock) -> None:
        self._bus = bus
        self._store = store
        self._policies = policies
        self._clock = clock

    async def arrived(self, trigger: Trigger) -> Sequence[Made]:
        """What was stored about a trigger that has just come: nothing new, if it waits already. Raises ``RetryLater`` and
        ``Unavailable``."""
        return await self._decide(Waiting(trigger, self._clock.now(), 0), returned=False)

    async def returned(self, waiting: Waiting) -> Sequence[Made]:
        """What was stored about a trigger that has waited, and about all that were due with it. Raises the same."""
        return await self._decide(waiting, returned=True)

    async def _decide(self, seed: Waiting, *, returned: bool) -> Sequence[Made]:
        people = _distinct(seed.trigger.person, *seed.trigger.aliases)
        found: PersonFound | None = None
        asked: Sequence[Waiting] = [] if self._policies.in_force.policy.settle and not returned else [seed]
        for _ in range(ROUNDS):
            version, policy = self._policies.in_force
            if found is None and _must_ask(asked, policy):
                found = await who_is(self._bus, seed.trigger.person)
                people = _distinct(*people, found.person.key, *found.aliases)
            now = self._clock.now()
            look = await self._store.look(seed.trigger.id, people, policy.horizon, now)
            if look.decided:
                log.info("trigger_decided_before", outcome=look.decided.outcome)
                return [Made(seed.trigger, seed.asked, look.decided)]
            if look.waits and not returned:
                return []
            if look.policy != version:
                await self._policies.follow(look.policy)  # and look again, as far back as the new one asks
                continue
            settles = policy.settle > 0 and not returned
            others, whose = await self._store.others(people) if returned or settles else ([seed], set())
            if not whose.issubset(people):
                people = _distinct(*people, *sorted(whose))
                continue
            asked = [each for each in others if each.due <= now] if returned else [seed]
            if seed.trigger.id not in (each.trigger.id for each in asked):
                return []  # somebody else has put it off again
            if deferral := _settle(seed, others, policy, now) if settles else None:
                made = [Made(seed.trigger, seed.asked, deferral)]
            elif found is None and _must_ask(asked, policy):
                continue
            else:
                made = _made(asked, people, structs.replace(look.standing, zone=_zone(found, policy)), policy, now)
            if await self._store.record(people, look.revisions, made, _zone(found, policy)):
                _tell(made)
                return made
            metrics.THROTTLE_RACES.inc()
        raise RetryLater(0.1, "the person's other triggers are being decided")


def _settle(seed: Waiting, others: Iterable[Waiting], policy: Policy, now: Instant) -> Deferral | None:
    """As long as those that settle already."""
    dues = [each.due for each in others if each.by == SETTLE and each.due > now]
    return settle(seed.trigger, policy, min(dues, default=None), now)


def _must_ask(asked: Iterable[Waiting], policy: Policy) -> bool:
    """The state service knows in which time zone a person is, and after a longer wait, who it turned out to be meanwhile."""
    return any(each.by not in ("", SETTLE) or policy.asks_zone(each.trigger.terms.category) for each in asked)


def _zone(found: PersonFound | None, policy: Policy) -> str:
    return zone_of(found.person.profile, policy.zone.attribute) if found and policy.zone.attribute else ""


def _made(asked: Sequence[Waiting], people: list[str], standing: Standing, policy: Policy, now: Instant) -> list[Made]:
    """``people``, all of whom turned out to be one, go along with each trigger."""
    since = {each.trigger.id: each.asked for each in asked}
    triggers = [_known_as(each.trigger, people) for each in asked]
    return [
        Made(trigger, since[trigger.id], verdict)
        for trigger, verdict in decide_together(triggers, standing, policy, now)
    ]


def _known_as(trigger: Trigger, people: list[str]) -> Trigger:
    if len(people) == 1 + len(trigger.aliases):  # nobody more than it names itself
        return trigger
    return structs.replace(trigger, aliases=[one for one in people if one != trigger.person])


def _tell(made: Iterable[Made]) -> None:
    for one in made:
        trigger, verdict = one.trigger, one.verdict
        about = {"trigger": trigger.id, "person": trigger.person, "rule": trigger.rule}
        if isinstance(verdict, Deferral):
            metrics.THROTTLE_DEFERRALS.labels(verdict.by).inc()
            log.info("trigger_deferred", by=verdict.by, until=rfc3339(verdict.until), reason=verdict.reason, **about)
        else:
            metrics.THROTTLE_DECISIONS.labels(verdict.outcome).inc()
            log.info("trigger_decided", outcome=verdict.outcome, reason=verdict.reason, **about)


def _distinct(*people: str) -> list[str]:
    return list(dict.fromkeys(people))
