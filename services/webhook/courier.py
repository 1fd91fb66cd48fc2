"""A webhook's turn: prepare it if this is the first, call the endpoint, and store what came of it.

An attempt is stored as begun before it is made and its result after: a process that dies in between leaves a claim that lapses,
and whoever takes over calls again with the same id. So an endpoint hears of everything at least once, and knows a repeat by
its ``webhook-id``.
"""

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import structlog
from msgspec import Struct, structs

from services.webhook import endings
from services.webhook.answers import Answer, due_again, patience
from services.webhook.caller import Caller
from services.webhook.endings import Ending
from services.webhook.gate import Refused
from services.webhook.preparing import Preparing, Ready
from services.webhook.signing import Keys, signed_headers
from services.webhook.store import Delivery, Store
from shared import db, metrics
from shared.bus import Bus, describe
from shared.clock import SECOND, Clock, Duration, Instant
from shared.errors import BusUnavailable, Unavailable
from shared.messages import Stamps
from shared.webaddress import web_address
from shared.webhooks import WebhookAttempt

log = structlog.get_logger()
T = TypeVar("T")


class Terms(Struct, frozen=True):
    """``delays``: between a failed attempt and the next. ``hold``: how long a claim is good for, more than an attempt takes.
    ``again``: after so long somebody is asked again who could not say whether a webhook is to be sent."""

    keys: Keys
    delays: Sequence[Duration]
    hold: Duration
    again: Duration
    test_url: str


class Courier:
    """``clock`` is the installation's, ``day`` the time of day, which may be another in a time-lapse: signatures carry that."""

    def __init__(
        self, bus: Bus, store: Store, preparing: Preparing, caller: Caller, terms: Terms, clock: Clock, day: Clock
    ) -> None:
        self._bus = bus
        self._store = store
        self._preparing = preparing
        self._caller = caller
        self._terms = terms
        self._clock = clock
        self._day = day

    async def deliver(self, delivery: Delivery) -> Answer | None:
        """What the endpoint answered; none if it was not called. Whatever is not stored comes up again when the claim lapses."""
        try:
            return await self._attempt(delivery)
        except db.AWAY as error:
            log.warning("webhook_waits", **describe(error))
        except Exception:  # a bug must not end the process, which would take up the same webhook again and again
            log.exception("webhook_not_handled")
        return None

    async def give_up(self, delivery: Delivery) -> None:
        """Its time is up."""
        now = self._clock.now()
        await self._end(delivery, endings.too_late(delivery.trigger, now, delivery.reason, begun=delivery.begun))

    async def _attempt(self, delivery: Delivery) -> Answer | None:
        trigger = delivery.trigger
        webhook = trigger.terms.webhook
        keys = self._terms.keys.get(webhook.secret) if webhook else None
        if keys is None:
            name = webhook.secret if webhook else ""
            reason = f"the rule signs with secret {name!r}, which WEBHOOK_SECRETS does not have"
            await self._end(delivery, endings.failed(trigger, self._clock.now(), "secret", reason))
            return None
        if self._preparing.is_test(trigger) and delivery.url != self._terms.test_url:
            reason = "under test, and there was no WEBHOOK_TEST_URL to send it to"
            await self._end(delivery, endings.suppressed(trigger, self._clock.now(), "address", reason))
            return None
        ready = await self._ready(delivery)
        if isinstance(ready, Ready):
            # What was said once is said again in the same words, also in a replay.
            return await self._call(delivery, keys, structs.replace(ready, body=delivery.body or ready.body))
        if ready:
            await self._end(delivery, ready)
        return None

    async def _call(self, delivery: Delivery, keys: Sequence[bytes], ready: Ready) -> Answer | None:
        now = self._clock.now()
        last_chance = now + patience(self._terms.delays)
        if not await self._store.begin(delivery, ready.body, now + self._terms.hold, last_chance, now):
            log.info("webhook_in_other_hands")
            return None
        headers = signed_headers(keys, delivery.id, self._day.now(), ready.body)
        try:
            answer = await self._caller.call(web_address(delivery.url), headers, ready.body)
        except (Refused, ValueError) as refused:
            await self._end(delivery, endings.failed(delivery.trigger, self._clock.now(), "address", str(refused)))
            return None
        await self._after(delivery, answer, ready.stamps, now)
        return answer

    async def _ready(self, delivery: Delivery) -> Ready | Ending | None:
        """None: nobody could say, and it was put back."""
        trigger, now = delivery.trigger, self._clock.now()
        if delivery.begun:
            return Ready(delivery.body, trigger.stamps)
        if now > endings.first_chance_ends(trigger) and not delivery.replayed:
            return endings.too_late(trigger, now, delivery.reason, begun=False)
        try:
            return await self._preparing.prepare(trigger, replayed=delivery.replayed)
        except Unavailable as error:
            log.warning("webhook_waits", **describe(error))
            await self._store.put_back(delivery, self._clock.now() + self._terms.again)
            return None

    async def _after(self, delivery: Delivery, answer: Answer, stamps: Stamps, began: Instant) -> None:
        metrics.WEBHOOK_ATTEMPTS.labels(answer.verdict).inc()
        metrics.WEBHOOK_ATTEMPT_S.observe(answer.took / SECOND)
        trigger, now, attempts = delivery.trigger, self._clock.now(), delivery.attempts + 1
        attempt = WebhookAttempt(began, answer.status, answer.took, answer.error)
        if answer.verdict == "taken":
            trial = self._preparing.is_test(trigger)
            stamps = structs.replace(stamps, accepted=now)
            ending = endings.sent(trigger, stamps, delivery.endpoint, attempts, trial=trial)
            await self._end(delivery, ending, attempt)
            if attempts == 1 and not delivery.replayed:
                metrics.DUE_TO_WEBHOOK_S.observe(max(0, now - (stamps.due or trigger.at)) / SECOND)
            return
        if answer.verdict == "gone":
            await self._disable(delivery.endpoint, now)
        due = due_again(delivery.id, attempts, now, self._terms.delays, answer)
        if due is None:
            reason = f"not taken at {attempts} attempts, the last: {answer.text}"
            await self._end(delivery, endings.failed(trigger, now, "webhook", reason), attempt)
            return
        if await self._insist(lambda: self._store.defer(delivery, attempt, due, answer.text)):
            wait_s = round((due - now) / SECOND, 3)
            log.info("webhook_retried_later", reason=answer.text, attempts=attempts, delay_s=wait_s)

    async def _disable(self, endpoint: str, now: Instant) -> None:
        if await self._insist(lambda: self._store.disable(endpoint, "it answered 410 Gone", now)):
            log.warning("endpoint_disabled", endpoint=endpoint, hint="beckon webhooks enable")

    async def _end(self, delivery: Delivery, ending: Ending, attempt: WebhookAttempt | None = None) -> None:
        """Store an ending, then tell it. What is not told now is found by the sweep."""
        now = self._clock.now()
        if not await self._insist(lambda: self._store.end(delivery, ending, attempt, now)):
            log.info("webhook_in_other_hands", here=ending.status)
            return
        metrics.WEBHOOKS.labels(ending.status).inc()
        told = ending.fact.properties
        log.info(ending.fact.name, reason=ending.reason, replayed=delivery.replayed, latency_ms=told.get("latency_ms"))
        if delivery.replayed:  # how it ended at first was told
            return
        try:
            await self._bus.publish_event(ending.fact)
            await self._store.told([delivery.id])
        except (BusUnavailable, *db.AWAY) as error:
            log.warning("outcome_waits", **describe(error))

    async def tell(self) -> None:
        """Tell the endings that somebody stored a while ago and could not tell."""
        untold = await self._store.untold(self._clock.now() - self._terms.hold)
        if untold:
            failures = await self._bus.publish_many([self._bus.event_message(fact) for fact in untold.values()])
            await self._store.told([id_ for id_, failed in zip(untold, failures, strict=True) if not failed])

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """What an endpoint has answered is worth storing, however long PostgreSQL is away; otherwise it is called again."""
        return await db.insist(call, "webhook_not_stored_yet")
