"""Each trigger is decided once: stored first, then published, then acknowledged. A trigger that comes again gets the same
decision, and what was published for it is published again under the same ids."""

import structlog

from services.throttle.policies import Policies
from services.throttle.policy import Decision, decide, effects
from services.throttle.store import Store
from shared import metrics, subjects
from shared.bus import Bus, Outgoing, encode
from shared.clock import Clock
from shared.errors import RetryLater
from shared.logs import bind
from shared.messages import Event, SendEmail, SendWebhook, Trigger

log = structlog.get_logger()

ROUNDS = 20
"""A person whose triggers are decided by many replicas at the same instant costs each of them a few rounds, no more."""


class Triggers:
    def __init__(self, bus: Bus, store: Store, policies: Policies, clock: Clock) -> None:
        self._bus = bus
        self._store = store
        self._policies = policies
        self._clock = clock

    async def on_trigger(self, trigger: Trigger) -> None:
        with bind(trigger=trigger.id, person=trigger.person, rule=trigger.rule):
            decision = await self._decide_once(trigger)
            for message in effects(trigger, decision):
                await self._bus.publish(self._outgoing(message, trigger.id))

    def _outgoing(self, message: SendEmail | SendWebhook | Event, trigger: str) -> Outgoing:
        match message:
            case SendEmail():
                return Outgoing(subjects.SENDS_EMAIL, encode(message), trigger)
            case SendWebhook():
                return Outgoing(subjects.SENDS_WEBHOOK, encode(message), f"{trigger}.webhook")
            case Event():
                return self._bus.event_message(message)

    async def _decide_once(self, trigger: Trigger) -> Decision:
        for _ in range(ROUNDS):
            now = self._clock.now()
            version, policy = self._policies.in_force
            look = await self._store.look(trigger, policy.horizon, now)
            if look.decided:
                log.info("trigger_decided_before", outcome=look.decided.outcome)
                return look.decided
            if look.policy != version:
                await self._policies.follow(look.policy)  # and look again, as far back as the new one asks
                continue
            decision = decide(trigger, look.standing, policy, now)
            if await self._store.record(trigger, decision, look.revisions):
                metrics.THROTTLE_DECISIONS.labels(decision.outcome).inc()
                log.info("trigger_decided", outcome=decision.outcome, reason=decision.reason)
                return decision
            metrics.THROTTLE_RACES.inc()
        raise RetryLater(0.1, "the person's other triggers are being decided")
