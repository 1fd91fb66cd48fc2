"""The tables of coupons. A code belongs to one send at most, and a send to one code."""

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

import asyncpg
import msgspec
from msgspec import Struct

from services.mailer.coupons.codes import normal
from services.mailer.coupons.document import Coupon, parse
from shared import db
from shared.clock import Instant, from_datetime, to_datetime
from shared.coupons import CouponSummary, HandedOut

_SQL = db.queries(Path(__file__).parent.parent / "sql" / "coupons.sql")


class Code(Struct, frozen=True):
    code: str
    expires: Instant | None = None


class Redemption(NamedTuple):
    """A purchase with a code; ``code`` as it is compared."""

    event: str
    code: str
    person: str
    at: Instant
    total: Decimal
    currency: str


class Taken(Exception):
    """The code is another coupon's, or the id one of another kind."""


class Store:
    """Raises what ``db.AWAY`` lists while PostgreSQL is away."""

    def __init__(self, pool: asyncpg.Pool) -> None:
        self._pool = pool

    async def put(self, coupon: Coupon, document: str, by: str, now: Instant) -> None:
        """Raises ``Taken``; then nothing was stored."""
        async with self._pool.acquire() as connection, connection.transaction():
            at = to_datetime(now)
            if not await connection.fetchrow(_SQL["put"], coupon.id, document, coupon.kind, by, at):
                raise Taken("kind: a coupon of this id is of another kind, and keeps it")
            if coupon.kind == "fixed" and not await connection.fetchrow(
                _SQL["put_fixed"], coupon.id, coupon.code, normal(coupon.code)
            ):
                raise Taken(f"code: {coupon.code} belongs to another coupon")

    async def find(self, coupon: str) -> Coupon | None:
        document = await self._pool.fetchval(_SQL["document"], coupon)
        return None if document is None else _known(document)

    async def add(self, coupon: str, codes: Sequence[str]) -> int:
        """How many were new."""
        unique = {normal(code): code for code in codes}
        added: int = await self._pool.fetchval(_SQL["add"], coupon, list(unique.values()), list(unique))
        return added

    async def reserved(self, send: str) -> Code | None:
        row = await self._pool.fetchrow(_SQL["reserved"], send)
        return Code(row["code"], _instant(row["expires_at"])) if row else None

    async def take(self, coupon: str, send: str, person: str, now: Instant) -> Code | None:
        """None if the pool is empty. Raises ``asyncpg.UniqueViolationError`` if another attempt has just taken one for the
        same send."""
        code: str | None = await self._pool.fetchval(_SQL["take"], coupon, send, person, to_datetime(now))
        return None if code is None else Code(code)

    async def make(self, coupon: str, send: str, person: str, now: Instant, code: Code) -> bool:
        """False if there is such a code already. Raises as ``take`` does."""
        expires = None if code.expires is None else to_datetime(code.expires)
        row = await self._pool.fetchrow(
            _SQL["make"], coupon, send, person, to_datetime(now), code.code, normal(code.code), expires
        )
        return row is not None

    async def summaries(self) -> list[CouponSummary]:
        found = []
        for row in await self._pool.fetch(_SQL["list"]):
            coupon = _known(row["document"])
            revenue = msgspec.json.decode(row["revenue"], type=dict[str, float])
            free = row["free"] if coupon.kind == "pool" else None
            handed_out = None if coupon.kind == "fixed" else row["handed_out"]
            found.append(CouponSummary(row["id"], coupon.kind, coupon.text, free, handed_out, row["redeemed"], revenue))
        return found

    async def taken(self, coupon: str, after: int, most: int) -> list[HandedOut]:
        return [_handed_out(row) for row in await self._pool.fetch(_SQL["taken"], coupon, after, most)]

    async def check(self, code: str) -> tuple[str, HandedOut | None]:
        """The coupon the code is of, and whom it was handed out to; an empty name if it is none of ours."""
        row = await self._pool.fetchrow(_SQL["check"], normal(code))
        if row is None:
            return "", None
        return row["coupon"], _handed_out(row) if row["send_id"] is not None else None

    async def redeem(self, redemptions: Sequence[Redemption]) -> list[str]:
        """The coupons that were redeemed, once for each; codes that are none of ours are passed over."""
        rows = await self._pool.fetch(
            _SQL["redeem"],
            [each.event for each in redemptions],
            [each.code for each in redemptions],
            [each.person for each in redemptions],
            [to_datetime(each.at) for each in redemptions],
            [each.total for each in redemptions],
            [each.currency for each in redemptions],
        )
        return [row["coupon"] for row in rows]

    async def pools(self, most: int) -> list[tuple[Coupon, int]]:
        """How many codes are left in each pool, counted up to ``most``."""
        return [(_known(row["document"]), row["free"]) for row in await self._pool.fetch(_SQL["pools"], most)]


def _known(document: str) -> Coupon:
    coupon, errors = parse(document)
    if coupon is None:
        raise RuntimeError(f"a newer release stored this coupon: {'; '.join(errors)}")
    return coupon


def _handed_out(row: asyncpg.Record) -> HandedOut:
    return HandedOut(
        row["number"],
        row["code"],
        row["person"],
        row["send_id"],
        from_datetime(row["reserved_at"]),
        _instant(row["expires_at"]),
        _instant(row["redeemed_at"]),
    )


def _instant(at: object) -> Instant | None:
    return from_datetime(at) if at is not None else None  # type: ignore[arg-type]
