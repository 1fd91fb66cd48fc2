"""What the services and the operator say of coupons on NATS."""

from msgspec import Struct

from shared.clock import Instant


class PutCoupon(Struct):
    """Request on ``coupons.put``: a coupon's document as YAML or JSON text. Checked whole before anything is stored."""

    document: str
    by: str = ""


class CouponPut(Struct):
    """Reply to ``PutCoupon``. ``errors`` name a path in the document; with any, nothing was stored."""

    id: str = ""
    errors: list[str] = []


class AddCodes(Struct):
    """Request on ``coupons.add``: put codes into a pool, at most ``MOST_CODES`` at a time. Repeating it changes nothing."""

    coupon: str
    codes: list[str]


class CodesAdded(Struct):
    """Reply to ``AddCodes``. ``known``: those that were there already, in this pool or another, used or not."""

    added: int
    known: int


class ListCoupons(Struct):
    """Request on ``coupons.list``."""


class CouponSummary(Struct):
    """``free``: codes of a pool that nobody has; none of other kinds. ``handed_out``: to sends that have not come to nothing.
    ``redeemed``: purchases with one of its codes; ``revenue`` of those by currency. Of a fixed code it is not known how often it
    was handed out."""

    id: str
    kind: str
    text: str
    free: int | None
    handed_out: int | None
    redeemed: int
    revenue: dict[str, float]


class CouponsListed(Struct):
    coupons: list[CouponSummary]


class ReadCodes(Struct):
    """Request on ``coupons.codes``: what was handed out of ``coupon``, in order, after number ``after``."""

    coupon: str
    after: int = 0


class HandedOut(Struct, array_like=True):
    number: int
    code: str
    person: str
    send: str
    at: Instant
    expires: Instant | None = None
    redeemed: Instant | None = None


class CodesRead(Struct):
    """Reply to ``ReadCodes``; there may be more if not ``done``."""

    codes: list[HandedOut]
    done: bool


class CheckCode(Struct):
    """Request on ``coupons.check``: what is this code?"""

    code: str


class CodeChecked(Struct):
    """Reply to ``CheckCode``. ``coupon`` is empty if the code is none of ours; ``mistyped``: it cannot be one."""

    coupon: str = ""
    mistyped: bool = False
    handed_out: HandedOut | None = None


MOST_CODES = 2_000
"""In one request: with ``LONGEST_CODE`` it stays below what one message may hold."""
LONGEST_CODE = 64
