"""The JSON Schema of a policy document, with which editors complete and check while one types. Pure.

It takes everything that ``document.read`` takes; the parser has the last word, on how long a duration may be and which time zones
there are, for example. Keys, scopes and days come from the parser's own tables.
"""

from typing import Any, get_args

from services.throttle.document import CAP, CATEGORY, POLICY, QUIET, SCOPES, SPACING, TIME, WINDOW
from services.throttle.hours import DAYS
from services.throttle.policy import Then
from shared.durations import PATTERN

Schema = dict[str, Any]

ID = "https://beckon.example/policy.schema.json"


def policy_schema() -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "Beckon policy",
        "description": "How often and when a person may be sent something, whatever the rules say.",
        **_mapping(POLICY, _POLICY, required=["caps"]),
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


def _ref(name: str, description: str = "") -> Schema:
    return ({"description": description} if description else {}) | {"$ref": f"#/$defs/{name}"}


def _mapping(keys: tuple[str, ...], schemas: dict[str, Schema], required: list[str]) -> Schema:
    properties = {key: schemas[key] for key in keys}
    return {"type": "object", "required": required, "additionalProperties": False, "properties": properties}


_ZONES = {
    "timezone": _ref("zone", "An attribute such as profile.timezone, or the same zone for everybody."),
    "default_timezone": _ref("zone", "The zone of those whose own is not known."),
}
_THEN = {
    "description": "What becomes of what is held up: it leaves later, or not at all.",
    "enum": list(get_args(Then)),
}
_HOURS = {"from": _ref("time"), "to": _ref("time", "Not later than `from`: of the next day.")}

_CAP = {
    "max": {"type": "integer", "minimum": 1},
    "per": _ref("duration", "A window that rolls: 24h are the last 24 hours."),
    "scope": {"description": "What is counted together.", "enum": list(SCOPES)},
}
_QUIET = {
    **_HOURS,
    **_ZONES,
    "then": _THEN,
    "except": _ref("categories", "These are sent all the same."),
}
_WINDOW = {
    **_HOURS,
    "days": {"anyOf": [_ref("days"), {"type": "array", "minItems": 1, "items": _ref("days")}]},
    "categories": _ref("categories", "Without it: all that no other window names."),
}
_SPACING = {
    "least": _ref("duration"),
    "scope": {"enum": ["all", "category"]},
    "then": _THEN,
}
_POLICY = {
    "caps": {
        "description": "How much a person is sent at the most; [] for no caps at all.",
        "type": "array",
        "items": _mapping(CAP, _CAP, required=["max", "per", "scope"]),
    },
    "quiet_hours": {
        "description": "When nothing is sent, by the person's clock.",
        **_mapping(QUIET, _QUIET, required=["from", "to"]),
    },
    "windows": {
        "description": "When alone something is sent, by the person's clock.",
        "type": "array",
        "items": _mapping(WINDOW, _WINDOW, required=["from", "to"]),
    },
    "spacing": {
        "description": "The least time between any two mails to a person.",
        "anyOf": [_ref("duration"), _mapping(SPACING, _SPACING, required=["least"])],
    },
    "settle": _ref(
        "duration", "For so long triggers of a person wait for each other; the highest priority goes first."
    ),
    **_ZONES,
}
