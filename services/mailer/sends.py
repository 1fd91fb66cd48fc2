"""Each send ends once: sent, suppressed, expired, failed or uncertain.

The ending is stored with the events that tell it, then they are published, then the send is acknowledged; a send that
comes again after it ended publishes the same events again. A send that comes again while it is claimed was in the hands
of a process that died after it had begun to hand the content over: it may have gone or not, so it ends as uncertain and is
not sent again, unless its rule asks for one more time. The claim is taken when the server waits for the content and for
nothing else, so that as little as possible is ever uncertain.
"""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Iterator
from functools import partial
from typing import NamedTuple, NoReturn, TypeVar
from uuid import uuid4

import structlog
from msgspec import structs

from services.mailer import endings
from services.mailer.composing import Held
from services.mailer.domains import Domains
from services.mailer.endings import ENDED, Ending
from services.mailer.pool import SmtpAway
from services.mailer.preparing import Preparing, Ready
from services.mailer.relays import Relays
from services.mailer.replies import Deferred, Result, Uncertain, delay_s
from services.mailer.smtp import Connection
from services.mailer.store import Delivery, Store
from shared import db, metrics
from shared.bus import Bus
from shared.clock import SECOND, Clock, Duration, Instant
from shared.errors import RetryLater
from shared.logs import bind
from shared.messages import Event, SendEmail, Stamps, Trigger

log = structlog.get_logger()
T = TypeVar("T")

HOLD_S = 30.0
"""How long a mail waits for what it cannot do without, before it is looked for again."""

FRESH: Duration = 5 * SECOND
"""If a claim took longer, because PostgreSQL was away, what spoke for the mail may hold no more."""

MOST_HELD_BACK = 100_000


class Backoff(NamedTuple):
    first_s: float
    longest_s: float


class Attempt(NamedTuple):
    """One try of a send. ``last``: why it was put off last, if it was. ``unsure``: it may have been sent before."""

    trigger: Trigger
    claim: str
    last: str
    unsure: bool


class Offered(NamedTuple):
    ready: Ready
    result: Result


class Sends:
    """``ack_wait_s``: a send whose process died comes again after so long. A claim younger than that may be alive in another
    process."""

    def __init__(
        self,
        bus: Bus,
        store: Store,
        preparing: Preparing,
        relays: Relays,
        domains: Domains,
        clock: Clock,
        *,
        backoff: Backoff,
        ack_wait_s: float,
    ) -> None:
        self._bus = bus
        self._store = store
        self._preparing = preparing
        self._relays = relays
        self._domains = domains
        self._clock = clock
        self._backoff = backoff
        self._ack_wait_s = ack_wait_s
        self._in_hand: set[str] = set()
        self._held_back: dict[str, str] = {}
        """Sends that wait for their recipient's domain, and which that is: to ask for it again would be most of the work."""

    async def on_send(self, send: SendEmail) -> None:
        trigger = send.trigger
        if trigger.id in self._in_hand:
            # NATS lost sight of us for a while and delivered it once more, to ourselves.
            raise RetryLater(self._ack_wait_s, "in hand already")
        domain = self._held_back.pop(trigger.id, None)
        if domain and self._clock.now() <= endings.last_chance(trigger):
            self._admit(trigger, domain)
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
        if delivery and delivery.status == "claimed":
            return await self._give_up_claimed(trigger, delivery, self._clock.now())
        last, unsure = (delivery.reason, delivery.unsure) if delivery else ("", False)
        attempt = Attempt(trigger, str(uuid4()), last, unsure)
        if ending := endings.overdue(trigger, self._clock.now(), last):
            return await self._end(attempt, ending)
        try:
            return await self._send(attempt)
        except SmtpAway as away:
            spread_s = delay_s(1, trigger.id, 1, 1)
            raise RetryLater(
                self._in_time(trigger, away.retry_s + spread_s), f"no SMTP server: {away.reason}"
            ) from None

    async def _give_up_claimed(self, trigger: Trigger, delivery: Delivery, now: Instant) -> tuple[Event, ...]:
        age_s = (now - (delivery.claimed_at or 0)) / SECOND
        if age_s < self._ack_wait_s:
            raise RetryLater(self._ack_wait_s - max(age_s, 0), "claimed a moment ago")
        attempt = Attempt(trigger, delivery.claim, delivery.reason, delivery.unsure)
        reason = "the process that was sending it died"
        await self._repeat_if_asked(attempt, reason)
        return await self._end(attempt, endings.uncertain(trigger, now, reason))

    async def _send(self, attempt: Attempt) -> tuple[Event, ...]:
        offered: Offered | Ending | None = None
        while offered is None:
            self._relays.refuse_while_away()
            prepared = await self._prepare(attempt, partial(self._admit, attempt.trigger))
            offered = prepared if isinstance(prepared, Ending) else await self._offer(attempt, prepared)
        if isinstance(offered, Ending):
            return await self._end(attempt, offered)
        return await self._after(attempt, *offered)

    async def _prepare(self, attempt: Attempt, admit: Callable[[str], None]) -> Ready | Ending:
        if overdue := endings.overdue(attempt.trigger, self._clock.now(), attempt.last):
            return overdue
        prepared = await self._preparing.prepare(attempt.trigger, admit)
        if isinstance(prepared, Held):
            await self._hold(attempt, prepared)
        return prepared

    async def _hold(self, attempt: Attempt, held: Held) -> NoReturn:
        trigger = attempt.trigger
        await self._insist(lambda: self._store.defer(trigger, attempt.claim, held.reason, self._clock.now()))
        raise RetryLater(self._in_time(trigger, HOLD_S), held.reason)

    async def _offer(self, attempt: Attempt, ready: Ready) -> Offered | Ending | None:
        """None: the connection had ended before it was of use, another one may be."""
        with self._room_for(attempt.trigger, ready.domain):
            async with self._relays.line() as line:
                if self._preparing.stale(ready):
                    prepared = await self._prepare(attempt, lambda domain: None)
                    if isinstance(prepared, Ending):
                        return prepared
                    ready = prepared
                result = await self._hand_over(line.connection, attempt, ready)
                if isinstance(result, Ending):
                    return result
                if isinstance(result, Deferred) and result.stage == "mail" and line.connection.outlived:
                    return None
                line.relay.answered(result, ready.domain)
        if self._domains.answered(ready.domain, result, _now()):
            log.warning("recipient_domain_rests", code=getattr(result, "code", None))
        return Offered(ready, result)

    async def _hand_over(self, connection: Connection, attempt: Attempt, ready: Ready) -> Result | Ending:
        if result := await connection.envelope(ready.letter):
            return result
        trigger, claim, message_id = attempt.trigger, attempt.claim, ready.letter.message_id
        if objection := await self._preparing.objection(trigger, ready):
            return objection
        asked = self._clock.now()
        taken = await self._insist(lambda: self._store.claim(trigger, claim, message_id, asked, ready.address))
        if taken.against:
            return endings.refused_address(trigger, self._clock.now(), taken.against)
        if not taken.ours:
            raise RetryLater(1, "another process has it in hand, or ended it")
        if self._clock.now() - asked > FRESH:
            return Deferred("claim", "claim: it took too long")
        return await connection.content(ready.letter)

    async def _after(self, attempt: Attempt, ready: Ready, result: Result) -> tuple[Event, ...]:
        trigger, now = attempt.trigger, self._clock.now()
        if isinstance(result, Deferred):
            attempts = await self._insist(lambda: self._store.defer(trigger, attempt.claim, result.reason, now))
            if attempts is None:
                return await self._end(attempt, endings.too_late(result, trigger, now))
            metrics.DELIVERIES_DEFERRED.inc()
            wait_s = self._in_time(trigger, delay_s(attempts, trigger.id, *self._backoff))
            raise RetryLater(
                wait_s, f"put off at {result.stage} ({result.code or 'no answer'}), {attempts} times by now"
            )
        if isinstance(result, Uncertain):
            await self._repeat_if_asked(attempt, result.reason)
        stamps = structs.replace(ready.stamps, accepted=now)
        ending = endings.after_reply(
            result, trigger, stamps, ready.letter.message_id, trial=ready.trial, template_version=ready.template_version
        )
        facts = await self._end(attempt, ending, ready.address)
        if ending.status == "sent":
            _observe(stamps)
        return facts

    async def _repeat_if_asked(self, attempt: Attempt, reason: str) -> None:
        """Raises ``RetryLater`` if the send, of which nobody can tell whether it went, goes once more."""
        trigger, now = attempt.trigger, self._clock.now()
        if trigger.terms.action is None or trigger.terms.action.uncertain != "retry_once":
            return
        if await self._insist(lambda: self._store.repeat(trigger, attempt.claim, reason, now)):
            log.warning("send_repeated")
            metrics.DELIVERIES_REPEATED.inc()
            raise RetryLater(self._in_time(trigger, self._backoff.first_s), "it may have gone or not: once more")

    def _admit(self, trigger: Trigger, domain: str) -> None:
        """Raises ``RetryLater`` if nothing may go to the domain now."""
        wait = self._domains.wait(domain, _now())
        if wait.seconds:
            metrics.DELIVERIES_HELD_BACK.labels(wait.why).inc()
            if len(self._held_back) < MOST_HELD_BACK:
                self._held_back[trigger.id] = domain
            raise RetryLater(self._in_time(trigger, wait.seconds), f"the recipient's domain is {wait.why}")

    @contextlib.contextmanager
    def _room_for(self, trigger: Trigger, domain: str) -> Iterator[None]:
        """While a mail for the domain is in hand. Raises ``RetryLater``."""
        self._admit(trigger, domain)
        began = _now()
        self._domains.began(domain, began)
        try:
            yield
        finally:
            self._domains.ended(domain, _now() - began)

    def _in_time(self, trigger: Trigger, wait_s: float) -> float:
        """Not so late that the send would only be found overdue long after it was."""
        left_s = (endings.last_chance(trigger) - self._clock.now()) / SECOND
        return min(wait_s, max(0.0, left_s) + 0.01)

    async def _end(self, attempt: Attempt, ending: Ending, address: bytes | None = None) -> tuple[Event, ...]:
        """Store an ending and answer its facts; if the send has ended otherwise meanwhile, the facts of that."""
        trigger, now = attempt.trigger, self._clock.now()
        if attempt.unsure:
            ending = endings.of_repeated(ending, trigger, now)
        if not await self._insist(lambda: self._store.end(trigger, attempt.claim, ending, now, address)):
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
        return await db.insist(call, "delivery_not_stored_yet")


def _observe(stamps: Stamps) -> None:
    metrics.DUE_TO_ACCEPTED_S.observe(max(0, stamps.accepted - stamps.due) / SECOND)
    before = stamps.due
    for stage in ("committed", "decided", "verified", "accepted"):
        if at := getattr(stamps, stage):
            metrics.MAIL_STAGE_S.labels(stage).observe(max(0, at - before) / SECOND)
            before = at


def _now() -> float:
    """For what happens within this process."""
    return asyncio.get_running_loop().time()
