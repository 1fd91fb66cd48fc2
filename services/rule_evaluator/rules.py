"""A rule in force, and all rules as they are at some revision. Pure."""

from collections.abc import Iterable, Mapping
from typing import Literal, NamedTuple

from msgspec import Struct

from services.rule_evaluator.document import Rule, Status, parse_document
from shared.clock import Instant
from shared.messages import RuleState


class LiveRule(NamedTuple):
    """``version`` is the document's. ``baseline`` is the version with which the rule last went live or got another
    ``when``, at ``live_since``: what is remembered of people belongs to that, and outlives a change of, say, the hold-out.
    """

    rule: Rule
    version: int
    baseline: int
    live_since: Instant


class Stored(NamedTuple):
    """The current version of a rule. ``baseline`` and ``live_since`` are none if it is not live."""

    id: str
    version: int
    document: str
    status: Status | Literal["deleted"]
    baseline: int | None
    live_since: Instant | None


class Unreadable(NamedTuple):
    """A live rule that this release cannot read: a newer one wrote it."""

    id: str
    version: int
    errors: list[str]


class Revision(NamedTuple):
    """``number`` grows with every change; at ``watched`` a condition last began or ceased to be watched."""

    number: int
    watched: int


class RuleSet(Struct, frozen=True, eq=False):
    """Every rule at a ``revision``; ``live`` are those that are evaluated, by id."""

    revision: Revision
    live: Mapping[str, LiveRule] = {}
    stored: Mapping[str, Stored] = {}
    unreadable: tuple[Unreadable, ...] = ()

    def is_older_than(self, states: Mapping[str, RuleState]) -> bool:
        """Whether somebody has evaluated a rule in a version that is not known here."""
        for name, state in states.items():
            if (known := self.stored.get(name)) is None or known.version < state.version:
                return True
        return False


def assemble(revision: Revision, stored: Iterable[Stored], before: RuleSet) -> RuleSet:
    """The set at ``revision``. What is unchanged since ``before`` is not read anew."""
    every = {rule.id: rule for rule in stored}
    live: dict[str, LiveRule] = {}
    unreadable = []
    for name, current in every.items():
        if current.baseline is None or current.live_since is None:
            continue
        known = before.live.get(name)
        if known is not None and known.version == current.version:
            live[name] = known
            continue
        rule, errors, _ = parse_document(current.document)
        if rule is None:
            unreadable.append(Unreadable(name, current.version, errors))
        else:
            live[name] = LiveRule(rule, current.version, current.baseline, current.live_since)
    return RuleSet(revision, live, every, tuple(unreadable))
