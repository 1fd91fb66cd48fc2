"""What travels between the services: facts in the past tense, requests in the imperative.

Every payload is one of these structs as MessagePack. A subject that carries, or may one day carry, several kinds has a
tagged struct. Unknown fields are ignored and new fields have defaults, so two versions run side by side in a roll-out.
Instants are microseconds since the epoch (``shared.clock``). ``gc=False`` stands on what exists by the hundred thousand and
never refers to itself: the collector need not visit it.
"""

from decimal import Decimal
from typing import Any, Literal

import msgspec
from msgspec import Struct

from shared.clock import Duration, Instant

Properties = dict[str, Any]


# --- EVENTS -----------------------------------------------------------------------------------------------------------


class Event(Struct, frozen=True, tag="event", omit_defaults=True, gc=False):
    """Something a person did, or something Beckon did to a person (``source == "beckon"``).

    ``timestamp`` is when it happened, as the sender says; ``received`` is when the tracker took it. The instant at which
    it *arrived*, which orders everything, is the stream's own and is not part of the payload. ``vouched``: it is ``trusted``
    because the site vouched for the person, by a user token. That says who sent it, and nothing of what a browser tells in it.
    """

    id: str
    person: str
    name: str
    timestamp: Instant
    received: Instant
    properties: Properties = {}
    context: Properties = {}
    user_id: str | None = None
    anonymous_id: str | None = None
    source: str = "api"
    trusted: bool = False
    vouched: bool = False


class HistoryEvent(Struct, frozen=True, array_like=True, gc=False):
    """An event as an actor remembers it. ``n`` counts the person's events in the order of arrival, from 1."""

    n: int
    id: str
    name: str
    timestamp: Instant
    arrived: Instant
    properties: Properties
    trusted: bool = False
    source: str = ""


# --- Evaluation -------------------------------------------------------------------------------------------------------


class RuleState(Struct, frozen=True, array_like=True, gc=False):
    """What a person's actor remembers about one rule.

    ``holds``: the truth of ``when`` at ``at``, the last instant it was evaluated for. ``seen``: the ordinal ``n`` of the
    last event taken into account. ``fired``: the firings that still count towards ``reentry``, oldest first, as
    (trigger id, instant); one that came to nothing is taken out again. ``change``: the earliest instant after ``at`` at which
    that truth could change by itself; 0 if that is not known.
    """

    version: int
    holds: bool
    at: Instant
    seen: int
    fired: list[tuple[str, Instant]] = []
    change: Instant = 0


class Person(Struct, array_like=True):
    """A person as the rules see one. ``history`` is ordered by (timestamp, n); ``count`` is the highest ``n`` given out."""

    key: str
    profile: Properties = {}
    history: list[HistoryEvent] = []
    count: int = 0


class Joined(Struct, frozen=True, array_like=True):
    """What another person turned out to be the same brings along: an anonymous visitor who signed in.

    ``history``: events the person has not had before, numbered on from the person's own; ``profile``: attributes, which the
    person's own go before; ``rules``: what was remembered of them.
    """

    profile: Properties = {}
    history: list[HistoryEvent] = []
    rules: dict[str, RuleState] = {}


class Step(Struct, frozen=True, array_like=True, gc=False):
    """One thing that happens to a person at ``at``: the arrival of ``event``, or of all that ``joined``; with neither, a due
    timer."""

    at: Instant
    event: HistoryEvent | None = None
    joined: Joined | None = None


class Case(Struct, array_like=True):
    """One person to be advanced through ``steps`` (in order of ``at``). ``person`` is as before the first step."""

    person: Person
    rules: dict[str, RuleState]
    steps: list[Step]


class EmailAction(Struct, frozen=True, tag="email", omit_defaults=True):
    """``uncertain``: what becomes of a mail of which nobody can tell whether it was sent: ``hold``, or ``retry_once``."""

    template: str
    coupon: str | None = None
    uncertain: str = "hold"


class WebhookAction(Struct, frozen=True, tag="webhook"):
    """``secret``: the name of what the request is signed with; the secret itself is known to the webhook service alone."""

    url: str
    secret: str


class Terms(Struct, frozen=True, omit_defaults=True):
    """What a rule says about its sends; travels with each trigger so that nobody has to look the rule up again.

    ``action`` is the mail, ``webhook`` the webhook: at least one of them is given.
    """

    action: EmailAction | None
    category: str = "default"
    priority: int = 0
    holdout: float = 0.0
    """Share of people, 0 to 1, to whom deliberately nothing is sent."""
    verify: bool = True
    test: bool = False
    """The rule's status is ``test``: deliver to the test recipients only."""
    webhook: WebhookAction | None = None
    variant: str = ""
    """Which of the rule's variants the person gets; empty if it has none."""

    @property
    def template(self) -> str:
        """Of the mail; empty if there is none."""
        return self.action.template if self.action else ""


class Fire(Struct, frozen=True, omit_defaults=True):
    """A rule turned true for a person. ``because``: ordinals ``n`` of the events that make it so."""

    trigger: str
    rule: str
    version: int
    at: Instant
    terms: Terms
    because: list[int] = []
    timer: bool = False
    """True if a due timer fired it, not an event."""
    expires: Instant | None = None


class Verdict(Struct, omit_defaults=True):
    """The answer to one ``Case``. ``wake``: the earliest later instant at which some truth could change by itself.

    ``error`` is set, and everything else is left as it was, if the case could not be evaluated.
    """

    rules: dict[str, RuleState] = {}
    fires: list[Fire] = []
    wake: Instant | None = None
    error: str = ""


class Evaluate(Struct):
    """Request on ``rules.evaluate``. ``revision``: of the ``Interest`` by which the histories were chosen."""

    cases: list[Case]
    revision: int = 0


class Evaluated(Struct):
    """Reply to ``Evaluate``: one verdict per case, in order. None at all, if the rules are at a later ``revision`` than
    those the histories were chosen for: ask again with what those need."""

    verdicts: list[Verdict]
    revision: int = 0


class Need(Struct, frozen=True, array_like=True):
    """Events that a condition must have to be judged at any later instant: those called ``name`` (any activity, if none),
    of them the ``last`` so many (all, if none), and no longer than ``horizon`` after they happened (for ever, if none).
    ``properties``: the names of theirs that are looked at."""

    name: str | None
    last: int | None = None
    horizon: Duration | None = None
    properties: tuple[str, ...] = ()


class Interest(Struct, frozen=True):
    """What the rules in force at ``revision`` need to know of people. Kept in the key-value bucket ``INTEREST``.

    ``watched``: the revision at which a condition last began or ceased to be watched. Who was not looked at since then may
    have a timer too many, or one too few.
    """

    revision: int
    watched: int
    needs: list[Need] = []


class Verify(Struct):
    """Request on ``rules.verify``: does ``when`` of this rule still hold for this person at ``at``?"""

    rule: str
    version: int
    person: Person
    at: Instant


class Verified(Struct):
    """Reply to ``Verify``. ``holds`` is false with a ``reason`` where the rule is no longer live."""

    holds: bool
    reason: str = ""


# --- People -----------------------------------------------------------------------------------------------------------


class GetPerson(Struct):
    """Request on ``people.get.<partition>``. ``whole``: also what the rules remember, and past triggers."""

    person: str
    whole: bool = False


class PastTrigger(Struct, array_like=True):
    """``outcome`` is none while it is on its way. ``person``: an earlier id of the person, maybe."""

    id: str
    person: str
    rule: str
    version: int
    at: Instant
    outcome: str | None = None
    reason: str | None = None
    outcome_at: Instant | None = None


class PersonFound(Struct):
    """Reply to ``GetPerson``: the person after every event the stream held when the question came.

    A person never heard of has an empty profile and no history. Whoever turned out to be somebody else is found as that
    other, whose ``aliases`` tell.
    """

    person: Person
    at: Instant
    rules: dict[str, RuleState] = {}
    triggers: list[PastTrigger] = []
    aliases: list[str] = []


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


# --- TRIGGERS and SENDS -----------------------------------------------------------------------------------------------


class Stamps(Struct, omit_defaults=True):
    """When each stage was done with it; 0: not yet, or not a stage of this one."""

    due: Instant = 0
    """The instant at which the rule became true."""
    received: Instant = 0
    """The tracker took the event that fired it (0 for a timer)."""
    committed: Instant = 0
    decided: Instant = 0
    verified: Instant = 0
    accepted: Instant = 0


class Trigger(Struct, frozen=True, tag="trigger", omit_defaults=True):
    """A rule fired for a person: published once it is committed, with its id as ``Nats-Msg-Id``. ``aliases``: who turned out
    to be this person; what was sent to them, and what they chose, counts."""

    id: str
    person: str
    rule: str
    version: int
    at: Instant
    terms: Terms
    because: list[HistoryEvent] = []
    timer: bool = False
    expires: Instant | None = None
    aliases: list[str] = []
    stamps: Stamps = msgspec.field(default_factory=Stamps)


class SendEmail(Struct, frozen=True, tag="email"):
    """The throttle allowed a trigger. The send's id is the trigger's."""

    trigger: Trigger


class SendWebhook(Struct, frozen=True, tag="webhook"):
    """The throttle allowed a trigger whose rule has a webhook. The send's id is the trigger's, as is the mail's."""

    trigger: Trigger


# --- Throttle ---------------------------------------------------------------------------------------------------------


class PutPolicy(Struct):
    """Request on ``policy.put``: a policy document as YAML or JSON text."""

    document: str
    by: str = ""


class PolicyPut(Struct):
    version: int = 0
    errors: list[str] = []


class GetPolicy(Struct):
    """Request on ``policy.get``."""


class PolicyFound(Struct):
    version: int
    document: str


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


class Suppress(Struct):
    """Request on ``suppressions.put``: send nothing to this person any more (``remove``: lift that)."""

    person: str
    reason: str
    remove: bool = False


class Suppressed(Struct):
    person: str
    suppressed: bool


class GetConsents(Struct):
    """Request on ``consents.get``."""

    person: str


class Consents(Struct, frozen=True):
    """Reply to ``GetConsents``: whether the person wants mail at all, and of which categories, of those they ever got or
    chose about."""

    everything: bool = True
    categories: dict[str, bool] = {}


class CheckConsent(Struct):
    """Request on ``consents.check``: may this person, under whatever id, still be sent mail of this category?"""

    person: str
    category: str
    aliases: list[str] = []


class ConsentChecked(Struct):
    """Reply to ``CheckConsent``: why not, empty if nothing is against it."""

    refusal: str = ""


# --- Catalogue --------------------------------------------------------------------------------------------------------


class PutProducts(Struct):
    """Request on ``catalogue.put``: products of the feed called ``feed``, each as named texts or numbers. ``replace``: the feed
    ends with these, and what it did not name is gone."""

    items: list[Properties]
    feed: str
    replace: bool = False


class ProductsPut(Struct):
    """Reply to ``PutProducts``. ``refused``: (place in ``items`` from 0, why); all others are stored."""

    stored: int
    refused: list[tuple[int, str]] = []
    gone: int = 0


class CatalogueProduct(Struct, frozen=True):
    """What is known of a product. ``source``: feed, event or browser, whose word that is. ``sold_out``: it is not shown."""

    product_id: str
    name: str | None
    price: Decimal | None
    currency: str | None
    image_url: str | None
    url: str | None
    category: str | None
    availability: str | None
    stock: int | None
    gone: bool
    sold_out: bool
    source: str
    updated_at: Instant


class ListProducts(Struct):
    """Request on ``catalogue.list``: in the order of their ids, after ``after``."""

    after: str = ""
    limit: int = 100
    category: str = ""


class ProductsListed(Struct):
    """Reply to ``ListProducts``; there are no more if ``done``."""

    products: list[CatalogueProduct]
    done: bool


class GetProduct(Struct):
    """Request on ``catalogue.get``."""

    product_id: str


class ProductFound(Struct):
    """Reply to ``GetProduct``, none if there is no such product. ``sessions``: how many it was seen in, old ones counting less;
    ``together``: what goes with it best, with how well, from 0 to 1."""

    product: CatalogueProduct | None
    sessions: float = 0.0
    together: list[tuple[str, float]] = []


# --- Reports of mails that were sent ----------------------------------------------------------------------------------

Bounce = Literal["hard", "soft", "blocked"]
"""The address does not exist; a full mailbox or a fault on the way; refused for what or whom it came from."""


class MailReport(Struct, frozen=True, omit_defaults=True):
    """What somebody who handled a mail says became of it, named by its trigger or by its Message-ID. No address: the mailer
    knows whom the mail went to.

    ``kind`` none: a bounce whose kind follows from ``status``, an enhanced status code (RFC 3463) and what follows it, or
    from ``code``, an SMTP reply code.
    """

    source: str
    trigger: str = ""
    message_id: str = ""
    kind: Bounce | Literal["complaint"] | None = None
    status: str = ""
    code: int | None = None
    reason: str = ""


class ReportMails(Struct):
    """Request on ``deliveries.report``."""

    reports: list[MailReport]


class MailsReported(Struct):
    """Reply to ``ReportMails``, once what the reports say is stored and told. ``unknown``: about mails nobody sent."""

    known: int
    unknown: int


class SuppressAddress(Struct):
    """Request on ``addresses.suppress``: send nothing to this address any more (``remove``: lift that)."""

    address: str
    reason: str = ""
    remove: bool = False


class AddressSuppressed(Struct):
    suppressed: bool


# --- Webhooks ---------------------------------------------------------------------------------------------------------


class WebhookAttempt(Struct, frozen=True, omit_defaults=True):
    """``status`` 0: there was no answer, and ``error`` says why."""

    at: Instant
    status: int
    took: Duration
    error: str = ""


class WebhookEndpoint(Struct, frozen=True):
    """``waiting``: webhooks that are not taken yet. ``disabled_at`` is none while the endpoint is enabled."""

    id: str
    url: str
    waiting: int
    disabled_at: Instant | None = None
    reason: str = ""


class WebhookSummary(Struct, frozen=True):
    """``status``: pending, sent, failed, expired, suppressed. ``reason``: why it ended so, or why the last attempt failed.
    ``due_at``: when it is tried next, if it is pending."""

    id: str
    person: str
    rule: str
    endpoint: str
    url: str
    status: str
    attempts: int
    reason: str
    created_at: Instant
    due_at: Instant | None = None
    ended_at: Instant | None = None


class ListWebhooks(Struct):
    """Request on ``webhooks.list``: every endpoint, and the latest webhooks of a status, an endpoint (its id or its URL) and a
    rule, where these are given."""

    status: str = ""
    endpoint: str = ""
    rule: str = ""
    limit: int = 50


class WebhooksListed(Struct):
    endpoints: list[WebhookEndpoint]
    webhooks: list[WebhookSummary]


class GetWebhook(Struct):
    """Request on ``webhooks.get``."""

    id: str


class WebhookFound(Struct):
    """Reply to ``GetWebhook``; ``webhook`` is none if it is not known, or no more. ``body`` is empty before the first attempt."""

    webhook: WebhookSummary | None = None
    attempts: list[WebhookAttempt] = []
    body: str = ""


class ReplayWebhooks(Struct):
    """Request on ``webhooks.replay``: send these again, and all of an endpoint (its id or its URL) that failed or expired. Those
    that wait for their next attempt are tried at once."""

    ids: list[str] = []
    endpoint: str = ""


class WebhooksReplayed(Struct):
    """Reply to ``ReplayWebhooks``: those that will be sent. Not those that are suppressed, under way, or not known."""

    ids: list[str]


class EnableEndpoint(Struct):
    """Request on ``webhooks.enable``: the endpoint's id, or its URL."""

    endpoint: str


class EndpointEnabled(Struct):
    """Reply to ``EnableEndpoint``: how many webhooks waited for that."""

    endpoint: str
    waiting: int


# --- Outcomes as events -----------------------------------------------------------------------------------------------

AFTER_SENDING = frozenset(
    {
        "email_bounced",
        "email_complained",
        "email_unsubscribed",
        "email_resubscribed",
        "email_opened",
        "email_opened_by_machine",
        "email_clicked",
        "email_clicked_by_machine",
    }
)
"""Names of the events that happen to a mail that was sent."""

OUTCOMES = AFTER_SENDING | {
    "email_sent",
    "email_failed",
    "email_expired",
    "email_uncertain",
    "trigger_suppressed",
    "trigger_held_out",
    "webhook_sent",
    "webhook_failed",
    "webhook_expired",
}
"""Names of the events Beckon writes itself. Those that do not happen to a mail that was sent end a trigger, but for those
``beside_mail``."""

NOT_ACTIVITY = (OUTCOMES - {"email_opened", "email_clicked"}) | {"identify", "alias"}
"""Names of the events that a person did not cause."""

IMPORTED = "import"
"""The source of events that tell of the past: what they make true does not fire."""

TAKEN_BACK = frozenset({"trigger_suppressed", "email_failed", "email_expired", "webhook_failed", "webhook_expired"})
"""Outcomes by which a firing came to nothing: it no longer counts towards ``reentry`` or caps."""

BESIDE_MAIL = "beside_mail"
"""A property of what became of the webhook of a rule that sends a mail, too. The mail's outcome ends the trigger; this one
is told, and neither ends anything nor takes anything back."""


def beside_mail(event: Event | HistoryEvent) -> bool:
    return bool(event.properties.get(BESIDE_MAIL))


OWN_ID = "beckon:"
"""How the ids of those events begin. The tracker takes no such id from outside: nobody can pass off an event of a site as
the repeat of an outcome."""


def own_event(name: str, occasion: str, person: str, now: Instant, properties: Properties) -> Event:
    """A fact that Beckon states itself. The same ``occasion`` gives the same event id, so repeating it is one event."""
    return Event(
        id=f"{OWN_ID}{occasion}",
        person=person,
        name=name,
        timestamp=now,
        received=now,
        properties=properties,
        source="beckon",
        trusted=True,
    )


def outcome(name: str, trigger: Trigger, now: Instant, **properties: Any) -> Event:
    """The fact that ``trigger`` ended as ``name``: said again, it is the same event."""
    about = {"trigger_id": trigger.id, "rule": trigger.rule, "version": trigger.version}
    if trigger.terms.variant:
        about["variant"] = trigger.terms.variant
    return own_event(name, f"{trigger.id}.{name}", trigger.person, now, about | properties)
