"""A rule in force, and the set of them."""

from collections.abc import Mapping
from typing import NamedTuple

from msgspec import Struct

from services.rule_evaluator.document import Rule
from shared.clock import Instant


class LiveRule(NamedTuple):
    """``version`` is the document's. ``baseline`` is the version with which the rule last went live or got another
    ``when``, at ``live_since``: what people's actors remember about the rule belongs to that, and outlives a change of,
    say, the hold-out."""

    rule: Rule
    version: int
    baseline: int
    live_since: Instant


class RuleSet(Struct, frozen=True, eq=False):
    """``baselines`` and ``statuses`` hold every rule there is, ``live`` those that are evaluated, in the order of ids."""

    revision: int
    live: Mapping[str, LiveRule] = {}
    baselines: Mapping[str, int] = {}
    versions: Mapping[str, int] = {}
    statuses: Mapping[str, str] = {}
