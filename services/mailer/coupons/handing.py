"""Handing codes out, and hearing of them again."""

import asyncio
import secrets
from collections.abc import Iterable, Iterator, Mapping
from decimal import Decimal
from typing import Any

import asyncpg
import structlog

from services.mailer.coupons import codes
from services.mailer.coupons.document import Coupon, flaw, parse
from services.mailer.coupons.store import Code, Redemption, Store, Taken
from services.mailer.money import amount
from shared import db, metrics, subjects
from shared.bus import describe
from shared.clock import Clock, rfc3339
from shared.coupons import (
    MOST_CODES,
    AddCodes,
    CheckCode,
    CodeChecked,
    CodesAdded,
    CodesRead,
    CouponPut,
    CouponsListed,
    ListCoupons,
    PutCoupon,
    ReadCodes,
)
from shared.endpoints import Endpoint
from shared.errors import RequestRefused
from shared.messages import Event, Trigger

log = structlog.get_logger()

WATCH_S = 10.0
COUNTED = 100_000
"""A pool is counted no further than this."""
PAGE = 1_000
TRIAL_CODE = "TRIAL-CODE"
"""What a mail to a test recipient shows: no real code is spent."""


class NoCode(Exception):
    """There is none to be had, for the reason given."""


class Missing(Mapping[str, Any]):
    """A coupon without a code, as a template meets it: ``{% if coupon %}`` is false, so a template that asks goes on without.
    One that writes the code regardless cannot do without, and gets ``NoCode``."""

    def __init__(self, reason: NoCode) -> None:
        self._reason = reason

    def __liquid__(self) -> None:
        """Liquid's truth of it."""

    def __getitem__(self, name: str) -> Any:
        raise self._reason

    def __iter__(self) -> Iterator[str]:
        return iter(())

    def __len__(self) -> int:
        return 0


class Coupons:
    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._alarmed: dict[str, str] = {}

    async def reserve(self, trigger: Trigger, *, trial: bool) -> Mapping[str, Any] | None:
        """What a template says of the rule's coupon: ``code``, ``text``, ``expires``; or ``Missing``; none if the rule has
        none. The same send always gets the same code, and gives it back by ending as suppressed, expired or failed."""
        coupon = trigger.terms.action and trigger.terms.action.coupon
        if not coupon:
            return None
        known = await self._store.find(coupon)
        if known is None:
            log.error("coupon_unknown", coupon=coupon)
            return Missing(NoCode(f"there is no coupon {coupon}"))
        try:
            code = await self._code(known, trigger, trial=trial)
        except NoCode as reason:
            return Missing(reason)
        return {"code": code.code, "text": known.text, "expires": code.expires and rfc3339(code.expires)}

    async def _code(self, coupon: Coupon, trigger: Trigger, *, trial: bool) -> Code:
        if coupon.kind == "fixed":
            return Code(coupon.code)
        if trial:
            return Code(TRIAL_CODE)
        while True:
            if mine := await self._store.reserved(trigger.id):
                return mine
            try:
                return await (self._make if coupon.kind == "generated" else self._take)(coupon, trigger)
            except asyncpg.UniqueViolationError:  # another attempt has one for this send
                continue

    async def _take(self, coupon: Coupon, trigger: Trigger) -> Code:
        code = await self._store.take(coupon.id, trigger.id, trigger.person, self._clock.now())
        if code is None:
            self._alarm(coupon, 0)
            raise NoCode(f"no code of coupon {coupon.id} is left")
        return code

    async def _make(self, coupon: Coupon, trigger: Trigger) -> Code:
        now = self._clock.now()
        expires = None if coupon.expires is None else now + coupon.expires
        while True:
            code = Code(codes.written(coupon.prefix, secrets.token_bytes(codes.ENTROPY)), expires)
            if await self._store.make(coupon.id, trigger.id, trigger.person, now, code):
                return code

    async def on_events(self, events: Iterable[Event]) -> None:
        """Purchases tell of codes that were redeemed; what was told before is no second one."""
        found = [redemption for event in events for redemption in _redemptions(event)]
        if found:
            for coupon in await self._store.redeem(found):
                metrics.COUPONS_REDEEMED.labels(coupon).inc()

    async def watch(self) -> None:
        """For ever: how many codes each pool has left, and an alarm where that is few."""
        while True:
            try:
                for coupon, free in await self._store.pools(COUNTED):
                    metrics.COUPON_CODES_LEFT.labels(coupon.id).set(free)
                    self._alarm(coupon, free)
            except db.AWAY as error:
                log.warning("coupon_pools_not_counted", **describe(error))
            await asyncio.sleep(WATCH_S)

    def _alarm(self, coupon: Coupon, free: int) -> None:
        """Once for each change for the worse."""
        alarm = "coupon_pool_empty" if not free else "coupon_pool_low" if free < coupon.low else ""
        if alarm and alarm != self._alarmed.get(coupon.id):
            log.error(alarm, coupon=coupon.id, left=free, hint=f"beckon coupons add {coupon.id} FILE")
        self._alarmed[coupon.id] = alarm

    # --- What operators ask --------------------------------------------------------------------------------------------

    def endpoints(self) -> list[Endpoint]:
        return [
            Endpoint(subjects.COUPONS_PUT, PutCoupon, self.on_put),
            Endpoint(subjects.COUPONS_ADD, AddCodes, self.on_add),
            Endpoint(subjects.COUPONS_LIST, ListCoupons, self.on_list),
            Endpoint(subjects.COUPONS_CODES, ReadCodes, self.on_codes),
            Endpoint(subjects.COUPONS_CHECK, CheckCode, self.on_check),
        ]

    async def on_put(self, request: PutCoupon) -> CouponPut:
        coupon, errors = parse(request.document)
        if coupon is None:
            return CouponPut(errors=errors)
        try:
            await self._store.put(coupon, request.document, request.by, self._clock.now())
        except Taken as error:
            return CouponPut(errors=[str(error)])
        log.info("coupon_put", coupon=coupon.id, by=request.by)
        return CouponPut(coupon.id)

    async def on_add(self, request: AddCodes) -> CodesAdded:
        coupon = await self._store.find(request.coupon)
        if coupon is None or coupon.kind != "pool":
            raise RequestRefused(f"{request.coupon} is no coupon with a pool")
        if len(request.codes) > MOST_CODES:
            raise RequestRefused(f"{len(request.codes)} codes at a time, at most {MOST_CODES}")
        for place, code in enumerate(request.codes):
            if wrong := flaw(code):
                raise RequestRefused(f"codes[{place}]: {wrong}")
        added = await self._store.add(coupon.id, request.codes)
        return CodesAdded(added, len(request.codes) - added)

    async def on_list(self, _: ListCoupons) -> CouponsListed:
        return CouponsListed(await self._store.summaries())

    async def on_codes(self, request: ReadCodes) -> CodesRead:
        found = await self._store.taken(request.coupon, request.after, PAGE)
        return CodesRead(found, done=len(found) < PAGE)

    async def on_check(self, request: CheckCode) -> CodeChecked:
        coupon, handed_out = await self._store.check(request.code)
        return CodeChecked(coupon, not coupon and not codes.plausible(request.code), handed_out)


def _redemptions(event: Event) -> Iterable[Redemption]:
    total = amount(event.properties.get("total"))
    currency = event.properties.get("currency")
    for code in codes.used(event):
        yield Redemption(
            event.id,
            code,
            event.person,
            event.timestamp,
            total or Decimal(0),
            currency if isinstance(currency, str) else "",
        )
