"""The JSON Schema of a policy document, with which editors complete and check while one types. Pure.

It takes everything that ``document.read`` takes; the parser has the last word, on how long a duration may be and which time zones
there are, for example. Keys, scopes and days come from the parser's own tables.
"""

from typing import get_args

from services.throttle.document import CAP, CATEGORY, POLICY, QUIET, SCOPES, SPACING, TIME, WINDOW
from services.throttle.hours import DAYS
from services.throttle.policy import Then
from shared.durations import PATTERN
from shared.schemas import DRAFT, Schema, mapping, ref, said

ID = "https://beckon.example/policy.schema.json"


def policy_schema() -> Schema:
    return {
        "$schema": DRAFT,
        "$id": ID,
        "title": "Beckon policy",
        "description": "How often and when a person may be sent something, whatever the rules say.",
        **_all(POLICY, _POLICY, ["caps"]),
        "$defs": {
            "duration": {"type": "string", "pattern": PATTERN, "examples": ["4h", "24h", "7d", "2h30m"]},
            "time": {"type": "string", "pattern": f"^({TIME.pattern})$", "examples": ["08:00", "21:00"]},
            "zone": {"type": "string", "examples": ["Europe/Berlin", "UTC"]},
            "categories": {
                "type": "array",
                "minItems": 1,
                "items": {"type": "string", "pattern": f"^{CATEGORY.pattern}$"},
            },
            "days": {
                "type": "string",
                "pattern": f"^({'|'.join(DAYS)})(-({'|'.join(DAYS)}))?$",
                "examples": [*DAYS, "mon-fri"],
            },
        },
    }


def _all(keys: tuple[str, ...], known: dict[str, Schema], required: list[str]) -> Schema:
    """Raises ``KeyError`` at once if the parser has a key that is not described here."""
    return mapping({key: known[key] for key in keys}, required)


_ZONES = {
    "timezone": said("An attribute such as profile.timezone, or the same zone for everybody.", ref("zone")),
    "default_timezone": said("The zone of those whose own is not known.", ref("zone")),
}
_THEN = said("What becomes of what is held up: it leaves later, or not at all.", {"enum": list(get_args(Then))})
_HOURS = {"from": ref("time"), "to": said("Not later than `from`: of the next day.", ref("time"))}

_CAP = {
    "max": {"type": "integer", "minimum": 1},
    "per": said("A window that rolls: 24h are the last 24 hours.", ref("duration")),
    "scope": said("What is counted together.", {"enum": list(SCOPES)}),
}
_QUIET = {
    **_HOURS,
    **_ZONES,
    "then": _THEN,
    "except": said("These are sent all the same.", ref("categories")),
}
_WINDOW = {
    **_HOURS,
    "days": {"anyOf": [ref("days"), {"type": "array", "minItems": 1, "items": ref("days")}]},
    "categories": said("Without it: all that no other window names.", ref("categories")),
}
_SPACING = {
    "least": ref("duration"),
    "scope": {"enum": ["all", "category"]},
    "then": _THEN,
}
_POLICY = {
    "caps": said(
        "How much a person is sent at the most; [] for no caps at all.",
        {"type": "array", "items": _all(CAP, _CAP, ["max", "per", "scope"])},
    ),
    "quiet_hours": said("When nothing is sent, by the person's clock.", _all(QUIET, _QUIET, ["from", "to"])),
    "windows": said(
        "When alone something is sent, by the person's clock.",
        {"type": "array", "items": _all(WINDOW, _WINDOW, ["from", "to"])},
    ),
    "spacing": said(
        "The least time between any two mails to a person.",
        {"anyOf": [ref("duration"), _all(SPACING, _SPACING, ["least"])]},
    ),
    "settle": said(
        "For so long triggers of a person wait for each other; the highest priority goes first.", ref("duration")
    ),
    **_ZONES,
}
