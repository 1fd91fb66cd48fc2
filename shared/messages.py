"""What travels between the services: facts in the past tense, requests in the imperative.

Every payload is one of these structs as MessagePack. A subject that carries, or may one day carry, several kinds has a
tagged struct. Unknown fields are ignored and new fields have defaults, so two versions run side by side in a roll-out.
Instants are microseconds since the epoch (``shared.clock``). ``gc=False`` stands on what exists by the hundred thousand and
never refers to itself: the collector need not visit it.
"""

from typing import Any

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
