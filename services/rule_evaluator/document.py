"""Rule documents: from text to a rule that can be evaluated, or to everything that is wrong with it. Pure."""

import re
from typing import Any, Literal, NamedTuple, TypeAlias, cast

import msgspec
from msgspec import Struct, structs

from services.rule_evaluator import actions
from services.rule_evaluator.actions import A_LABEL, LABEL, Actions
from services.rule_evaluator.conditions import Concerns, Condition, concerns_of
from services.rule_evaluator.heads import parse_condition
from services.rule_evaluator.variants import Variant, chosen
from shared import markup
from shared.clock import SECOND, Duration
from shared.messages import Terms
from shared.places import Place, shown

Status: TypeAlias = Literal["draft", "test", "live", "paused"]
STATUSES: tuple[Status, ...] = ("draft", "test", "live", "paused")

FOREVER: Duration = 2**62
"""``reentry: never``."""

KEYS = ("id", "name", "status", "when", "reentry", "expires", "verify", "holdout", "throttle", "action")

_SHARE = re.compile(r"([0-9]{1,3}(?:\.[0-9]{1,9})?)%")


class Rule(Struct, frozen=True, eq=False):
    """``condition`` is ``when`` in a form in which equal conditions are equal texts. ``variants``: the mails of which each
    person gets one; ``terms`` holds the first."""

    id: str
    name: str
    status: Status
    when: Condition
    concerns: Concerns
    condition: str
    reentry: Duration | None
    expires: Duration | None
    terms: Terms
    variants: tuple[Variant, ...]

    def terms_for(self, person: str) -> Terms:
        if len(self.variants) < 2:
            return self.terms
        variant = chosen(self.id, person, self.variants)
        return structs.replace(self.terms, action=variant.action, variant=variant.name)


class Reading(NamedTuple):
    """``rule`` is none if there is any error; each error and warning begins with a path in the document."""

    rule: Rule | None
    errors: list[str]
    warnings: list[str]


def parse_document(text: str) -> Reading:
    errors: list[str] = []
    warnings: list[str] = []
    try:
        place = Place(markup.load(text), "", errors)
    except markup.MarkupError as error:
        return Reading(None, [str(error)], [])
    if not isinstance(place.value, dict):
        return Reading(None, [f"a rule is a mapping with {', '.join(KEYS)}, this is {shown(place.value)}"], [])
    rule = _rule(place, warnings)
    return Reading(rule if not errors else None, errors, warnings)


def _rule(place: Place, warnings: list[str]) -> Rule | None:
    place.only(KEYS)
    rule_id = child.text(r"[a-z0-9-]{1,64}", "1 to 64 of a-z, 0-9 and -") if (child := _needed(place, "id")) else None
    name = child.text(r"[^\x00-\x1f\x7f]{1,200}", "1 to 200 characters") if (child := place.given("name")) else rule_id
    status = child.one_of(STATUSES) if (child := place.given("status")) else "draft"
    when = parse_condition(child) if (child := _needed(place, "when")) else None
    reentry = _reentry(child) if (child := place.given("reentry")) else None
    expires = child.duration(least=SECOND) if (child := place.given("expires")) else None
    found = actions.parse(child, warnings) if (child := _needed(place, "action")) else Actions()
    terms = _terms(place, found, warnings, test=status == "test")
    if rule_id is None or name is None or status is None or when is None or terms is None:
        return None
    condition = msgspec.json.encode(place.value["when"], order="deterministic").decode()
    return Rule(
        rule_id, name, cast(Status, status), when, concerns_of(when), condition, reentry, expires, terms, found.mails
    )


_EXAMPLES = {
    "id": "id: cart-abandonment",
    "when": "when: {event: added_to_cart}",
    "action": "action: {email: {template: cart-reminder}}",
}


def _needed(place: Place, key: str) -> Place | None:
    return place.required(key, _EXAMPLES[key])


def _reentry(place: Place) -> Duration | None:
    if place.value == "never":
        return FOREVER
    return place.duration()


def _terms(place: Place, found: Actions, warnings: list[str], *, test: bool) -> Terms | None:
    verify = child.boolean() if (child := place.given("verify")) else True
    holdout = child.read(_share) if (child := place.given("holdout")) else 0.0
    category, priority = "default", 0
    if (throttle := place.given("throttle")) and throttle.is_mapping("{category: nudge}"):
        throttle.only(("category", "priority"))
        if child := throttle.given("category"):
            category = child.text(LABEL, A_LABEL) or category
        if child := throttle.given("priority"):
            priority = child.whole(-1000, 1000) or 0
            if priority:
                warnings.append(f"{child.path}: caps are first come, first served, a priority changes nothing yet")
    if not any(found) or verify is None or holdout is None:
        return None
    mail = found.mails[0].action if found.mails else None
    return Terms(mail, category, priority, holdout, verify, test, found.webhook)


def _share(value: Any) -> float:
    """``5%`` as 0.05."""
    if type(value) is int and value == 0:
        return 0.0
    match = _SHARE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a share, try 5%")
    share = float(match[1]) / 100
    if share > 1:
        raise ValueError(f"{shown(value)} is not a share from 0% to 100%")
    return share
