"""What is asked of the throttle about its policy, and about what waits by it."""

from msgspec import Struct

from shared.clock import Instant
from shared.messages import Terms


class PutPolicy(Struct):
    """Request on ``policy.put``: a policy document as YAML or JSON text."""

    document: str
    by: str = ""


class PolicyPut(Struct):
    version: int = 0
    errors: list[str] = []


class GetPolicy(Struct):
    """Request on ``policy.get``; ``version`` 0 is the one in force."""

    version: int = 0


class PolicyFound(Struct):
    """Reply to ``GetPolicy``. ``document`` is empty if there is no such version."""

    version: int
    document: str


class ListPolicies(Struct):
    """Request on ``policy.list``."""


class PolicyVersion(Struct):
    version: int
    put_at: Instant
    by: str


class PoliciesListed(Struct):
    """Reply to ``ListPolicies``: every version, the first one first; the last one is in force."""

    versions: list[PolicyVersion]


class GetWaiting(Struct):
    """Request on ``policy.waiting``: which triggers of these ids, who are one person, wait for their time."""

    people: list[str]


class Waits(Struct, array_like=True):
    """``by``: what put it off, as a path in the policy or ``settle``."""

    trigger: str
    due: Instant
    by: str
    reason: str


class WaitingFound(Struct):
    """Reply to ``GetWaiting``."""

    triggers: list[Waits]


class Forecast(Struct):
    """Request on ``policy.forecast``: what would be let through of these firings, in order, by the policy in force, or by
    ``document``."""

    firings: list["ForecastFiring"]
    document: str = ""


class ForecastFiring(Struct, array_like=True):
    person: str
    rule: str
    at: Instant
    terms: Terms


class Forecasted(Struct):
    """Reply to ``Forecast``: (outcome, reason) for each firing."""

    decisions: list[tuple[str, str]]


class Replay(Struct):
    """Request on ``policy.replay``: what ``document`` would have made of the triggers that came since ``since``."""

    document: str
    since: Instant


class PartReplayed(Struct, frozen=True):
    """``part``: a path in the policy, or ``consent``, ``holdout``, ``expiry``. ``says``: what stands there. ``stopped`` and
    ``put_off``: how many triggers."""

    part: str
    says: str
    stopped: int = 0
    put_off: int = 0


class RuleReplayed(Struct, frozen=True):
    """``sent``: as it was; ``would_send``: as it would have been; ``stopped``: how many, by part."""

    rule: str
    triggers: int
    sent: int
    would_send: int
    stopped: dict[str, int] = {}


class Replayed(Struct, frozen=True):
    """Reply to ``Replay``. ``gained``, ``lost``: triggers that would have been sent and were not, and the other way round.
    ``zones_unknown``: triggers of people whose time zone then was not asked for, or not known. ``errors``: of the document."""

    triggers: int = 0
    sent: int = 0
    would_send: int = 0
    gained: int = 0
    lost: int = 0
    zones_unknown: int = 0
    parts: list[PartReplayed] = []
    rules: list[RuleReplayed] = []
    errors: list[str] = []
