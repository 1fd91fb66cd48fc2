"""Each send ends once: sent, suppressed, expired, failed or uncertain.

The ending is stored with the events that tell it, then they are published, then the send is acknowledged; a send that
comes again after it ended publishes the same events again. A send that comes again while it is claimed was in the hands
of a process that died after it had begun to hand the content over: it may have gone or not, so it ends as uncertain and is
not sent again. The claim is taken after MAIL and RCPT and just before DATA, so that as little as possible is ever
uncertain.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import NamedTuple, TypeVar
from uuid import uuid4

import structlog
from msgspec import structs

from services.mailer import endings
from services.mailer.endings import ENDED, Ending
from services.mailer.preparing import Preparing, Ready
from services.mailer.replies import Deferred, Result, delay_s
from services.mailer.smtp import Connection, Pool, SmtpAway
from services.mailer.store import Delivery, Store
from shared import db, metrics
from shared.bus import Bus, describe
from shared.clock import SECOND, Clock, Duration, Instant
from shared.errors import RetryLater
from shared.logs import bind
from shared.messages import Event, SendEmail, Stamps, Trigger

log = structlog.get_logger()
T = TypeVar("T")

FRESH: Duration = 5 * SECOND
"""If a claim took longer, PostgreSQL was away, and what was verified may be true no more."""


class Backoff(NamedTuple):
    first_s: float
    longest_s: float


class Sends:
    """``ack_wait_s``: a send whose process died comes again after so long. A claim younger than that may be alive in another
    process."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        preparing: Preparing,
        pool: Pool,
        clock: Clock,
        *,
        backoff: Backoff,
        ack_wait_s: float,
    ) -> None:
        self._bus = bus
        self._store = store
        self._preparing = preparing
        self._pool = pool
        self._clock = clock
        self._backoff = backoff
        self._ack_wait_s = ack_wait_s
        self._in_hand: set[str] = set()

    async def on_send(self, send: SendEmail) -> None:
        trigger = send.trigger
        if trigger.id in self._in_hand:
            # NATS lost sight of us for a while and delivered it once more, to ourselves.
            raise RetryLater(self._ack_wait_s, "in hand already")
        self._in_hand.add(trigger.id)
        try:
            with bind(trigger=trigger.id, person=trigger.person, rule=trigger.rule):
                for event in await self._bring_to_an_end(trigger):
                    await self._bus.publish_event(event)
        finally:
            self._in_hand.discard(trigger.id)

    async def _bring_to_an_end(self, trigger: Trigger) -> tuple[Event, ...]:
        delivery = await self._store.find(trigger.id)
        if delivery and delivery.status in ENDED:
            log.info("send_ended_before", status=delivery.status)
            return delivery.facts
        now = self._clock.now()
        if delivery and delivery.status == "claimed":
            return await self._give_up_claimed(trigger, delivery, now)
        last = delivery.reason if delivery else ""
        if ending := endings.overdue(trigger, now, last):
            return await self._end(trigger, "", ending)
        try:
            return await self._send(trigger, last)
        except SmtpAway as away:
            spread_s = delay_s(1, trigger.id, 1, 1)
            raise RetryLater(
                self._in_time(trigger, away.retry_s + spread_s), f"no SMTP server: {away.reason}"
            ) from None

    async def _give_up_claimed(self, trigger: Trigger, delivery: Delivery, now: Instant) -> tuple[Event, ...]:
        age_s = (now - (delivery.claimed_at or 0)) / SECOND
        if age_s < self._ack_wait_s:
            raise RetryLater(self._ack_wait_s - max(age_s, 0), "claimed a moment ago")
        return await self._end(
            trigger, delivery.claim, endings.uncertain(trigger, now, "the process that was sending it died")
        )

    async def _send(self, trigger: Trigger, last: str) -> tuple[Event, ...]:
        claim = str(uuid4())
        while True:
            async with self._pool.connection() as connection:
                # Waiting for the connection may have taken a while.
                prepared = endings.overdue(trigger, self._clock.now(), last) or await self._preparing.prepare(trigger)
                if isinstance(prepared, Ending):
                    break
                result = await self._hand_over(connection, trigger, prepared, claim)
                if isinstance(result, Deferred) and connection.outlived:
                    continue
            return await self._after(result, trigger, prepared, claim)
        return await self._end(trigger, "", prepared)

    async def _hand_over(self, connection: Connection, trigger: Trigger, ready: Ready, claim: str) -> Result:
        if result := await connection.envelope(ready.letter):
            return result
        asked = self._clock.now()
        if not await self._insist(lambda: self._store.claim(trigger, claim, ready.letter.message_id, asked)):
            raise RetryLater(1, "another process has it in hand, or ended it")
        if self._clock.now() - asked > FRESH:
            return Deferred("data", "data: the claim took too long")
        return await connection.content(ready.letter)

    async def _after(self, result: Result, trigger: Trigger, ready: Ready, claim: str) -> tuple[Event, ...]:
        now = self._clock.now()
        if isinstance(result, Deferred):
            attempts = await self._insist(lambda: self._store.defer(trigger, claim, result.reason, now))
            if attempts is None:
                return await self._end(trigger, claim, endings.too_late(result, trigger, now))
            metrics.DELIVERIES_DEFERRED.inc()
            wait_s = self._in_time(trigger, delay_s(attempts, trigger.id, *self._backoff))
            raise RetryLater(
                wait_s, f"put off at {result.stage} ({result.code or 'no answer'}), {attempts} times by now"
            )
        stamps = structs.replace(ready.stamps, accepted=now)
        ending = endings.after_reply(
            result, trigger, stamps, ready.letter.message_id, trial=ready.trial, template_version=ready.template_version
        )
        facts = await self._end(trigger, claim, ending)
        if ending.status == "sent":
            _observe(stamps)
        return facts

    def _in_time(self, trigger: Trigger, wait_s: float) -> float:
        """Not so late that the send would only be found overdue long after it was."""
        left_s = (endings.last_chance(trigger) - self._clock.now()) / SECOND
        return min(wait_s, max(0.0, left_s) + 0.01)

    async def _end(self, trigger: Trigger, claim: str, ending: Ending) -> tuple[Event, ...]:
        """Store an ending and answer its facts; if the send has ended otherwise meanwhile, the facts of that."""
        now = self._clock.now()
        if not await self._insist(lambda: self._store.end(trigger, claim, ending, now)):
            delivery = await self._store.find(trigger.id)
            if delivery is None or delivery.status not in ENDED:
                raise RetryLater(1, "another process has it in hand")
            log.warning("send_ended_elsewhere", status=delivery.status, here=ending.status)
            return delivery.facts
        metrics.DELIVERIES.labels(ending.status).inc()
        fact = ending.facts[0]
        log.info(fact.name, stage=fact.properties.get("stage"), latency_ms=fact.properties.get("latency_ms"))
        return ending.facts

    async def _insist(self, call: Callable[[], Awaitable[T]]) -> T:
        """What has happened with the SMTP server must be stored, however long PostgreSQL is away. If this process ends
        before that, the send stays claimed and is uncertain to whoever gets it next."""
        wait_s = 0.1
        while True:
            try:
                return await call()
            except db.AWAY as error:
                log.warning("delivery_not_stored_yet", retry_in_s=wait_s, **describe(error))
            await asyncio.sleep(wait_s)
            wait_s = min(wait_s * 2, 2.0)


def _observe(stamps: Stamps) -> None:
    metrics.DUE_TO_ACCEPTED_S.observe(max(0, stamps.accepted - stamps.due) / SECOND)
    before = stamps.due
    for stage in ("committed", "decided", "verified", "accepted"):
        if at := getattr(stamps, stage):
            metrics.MAIL_STAGE_S.labels(stage).observe(max(0, at - before) / SECOND)
            before = at
