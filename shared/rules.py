"""What is asked about rules, and what they would have done."""

from msgspec import Struct

from shared.clock import Duration, Instant
from shared.messages import Event, Person, RuleState

# --- Rules ------------------------------------------------------------------------------------------------------------


class PutRule(Struct):
    """Request on ``rules.put``: a rule document as YAML or JSON text. Validated whole before anything is stored."""

    document: str
    by: str = ""


class RulePut(Struct):
    """Reply to ``PutRule``. ``errors`` name a path in the document; with any, nothing was stored.

    ``version`` is unchanged, and ``changed`` false, if the document equals the stored one.
    """

    id: str = ""
    version: int = 0
    changed: bool = False
    errors: list[str] = []
    warnings: list[str] = []


class ListRules(Struct):
    """Request on ``rules.list``."""


class GetRule(Struct):
    """Request on ``rules.get``; ``version`` 0 is the current one. ``history``: tell of all versions, too."""

    id: str
    version: int = 0
    history: bool = False


class DeleteRule(Struct):
    """Request on ``rules.delete``. Its versions stay on record, and one of them can be put again."""

    id: str
    by: str = ""


class RuleDeleted(Struct):
    """Reply to ``DeleteRule``. ``version`` 0: there is no such rule."""

    id: str
    version: int


class GetSchema(Struct):
    """Request on ``rules.schema``."""


class SchemaFound(Struct):
    """Reply to ``GetSchema``: the JSON Schema of a rule document, for editors."""

    schema: str


class RuleSummary(Struct):
    id: str
    version: int
    name: str
    status: str
    changed_at: Instant
    live_since: Instant | None = None
    by: str = ""


class RulesListed(Struct):
    rules: list[RuleSummary]


class RuleFound(Struct):
    """Reply to ``GetRule``; ``summary`` is none if there is no such rule. ``document`` is the text as it was put."""

    summary: RuleSummary | None = None
    document: str = ""
    versions: list[RuleSummary] = []


# --- Explanations -----------------------------------------------------------------------------------------------------


class Explain(Struct):
    """Request on ``rules.explain``: how the rules look at this person at ``at``. ``rule``: only that one, if given."""

    person: Person
    rules: dict[str, RuleState]
    at: Instant
    rule: str = ""


class Reason(Struct, frozen=True, array_like=True):
    """An event that makes a condition what it is."""

    event: str
    timestamp: Instant
    source: str = ""


class Explained(Struct):
    """A condition: ``text`` as it is written, whether it ``holds``, the events that make it so, ``found`` (as in «2, of at
    least 3»), and when it will change by itself, if it will."""

    text: str
    holds: bool
    reasons: list[Reason] = []
    found: str = ""
    changes: Instant | None = None
    parts: "list[Explained]" = []


class RuleExplained(Struct):
    """A rule and a person. ``turns_true``: when ``when`` turns true if nothing happens until then, ``unless`` one of these
    events does. ``not_before``: it fired so lately that it may not fire again before this. ``fired``: those firings that
    still count."""

    rule: str
    version: int
    name: str
    status: str
    when: Explained
    live_since: Instant | None = None
    turns_true: Instant | None = None
    unless: list[str] = []
    not_before: Instant | None = None
    never_again: bool = False
    fired: list[Instant] = []


class RulesExplained(Struct):
    """Reply to ``Explain``; empty if there is no such rule."""

    rules: list[RuleExplained]


# --- Back-tests and recorded history ----------------------------------------------------------------------------------


class ReadHistory(Struct):
    """Request on ``history.read``: what the people of a partition did themselves, whoever they turned out to be, in the
    order of their keys, after event ``n`` of ``person``."""

    partition: int
    person: str = ""
    n: int = 0


class RecordedEvent(Struct, array_like=True):
    """An event as it is recorded, with the ``n`` it had for ``person``. ``sequence``: its place in the stream."""

    person: str
    n: int
    arrived: Instant
    sequence: int
    event: Event


class HistoryRead(Struct):
    """Reply to ``ReadHistory``: go on after the last of ``events``; none are left if ``done``."""

    events: list[RecordedEvent]
    done: bool


class ReadLinks(Struct):
    """Request on ``history.links``: who turned out to be whom, after link ``after``."""

    after: int = 0


class LinksRead(Struct):
    """Reply to ``ReadLinks``: (number, previous, person), in the order in which they were made."""

    links: list[tuple[int, str, str]]
    done: bool


class Backtest(Struct):
    """Request on ``rules.backtest``: what these rules would have done with the recorded history.

    ``documents``: rules as YAML or JSON text; ``rules``: ids of stored ones, drafts too; both may be given. ``since`` and
    ``until`` bound the firings that are told, not the history. Several messages answer: ``BacktestProgress`` each second, then
    ``BacktestFirings`` in parts, then one ``BacktestDone``; or ``BacktestRefused``.
    """

    documents: list[str] = []
    rules: list[str] = []
    since: Instant | None = None
    until: Instant | None = None
    throttle: bool = True


class BacktestProgress(Struct, tag="progress"):
    events: int
    people: int
    firings: int
    partitions: int
    of_partitions: int


class PlayedFiring(Struct, array_like=True):
    """``verdict``: what the throttle would have said: send, suppressed, held_out, or nothing if it was not asked."""

    person: str
    rule: str
    at: Instant
    because: list[tuple[str, str, Instant]]
    """(event id, name, timestamp)."""
    verdict: str = ""
    reason: str = ""


class BacktestFirings(Struct, tag="firings"):
    firings: list[PlayedFiring]


class BacktestDone(Struct, tag="done"):
    events: int
    people: int
    firings: int
    seconds: float


class BacktestRefused(Struct, tag="refused"):
    errors: list[str]


BacktestTold = BacktestProgress | BacktestFirings | BacktestDone | BacktestRefused


class GetSweep(Struct):
    """Request on ``sweep.progress``."""


class SweepProgress(Struct):
    """Reply to ``GetSweep``: how far everybody has been gone through since conditions began or ceased to be watched at
    ``revision``. ``people`` is an estimate of how many there are."""

    revision: int
    partitions: int
    partitions_done: int
    seen: int
    armed: int
    people: int
    seconds: float


class GetResults(Struct):
    """Request on ``results.get``: what came of the triggers of ``rule`` (of all, if none) that fired from ``since`` on.
    ``window``: for how long a purchase counts after a click, and after a firing."""

    since: Instant
    window: Duration
    rule: str = ""


class RuleResults(Struct, frozen=True):
    """How many triggers of a rule fired, and of those: how they ended, what people (and machines) did with the mails, the
    purchases put down to them (``revenue`` by currency), and how many of those sent to, and of those held out, bought. A rule
    with variants has one of these for each."""

    rule: str
    fired: int
    sent: int
    suppressed: int
    held_out: int
    expired: int
    failed: int
    uncertain: int
    opened: int
    opened_by_machine: int
    clicked: int
    unsubscribed: int
    conversions: int
    sent_bought: int
    held_out_bought: int
    revenue: dict[str, float]
    variant: str = ""


class ResultsFound(Struct):
    """Reply to ``GetResults``."""

    rules: list[RuleResults]
