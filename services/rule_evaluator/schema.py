"""The JSON Schema of a rule document, with which editors complete and check while one types. Pure.

It takes everything that ``document.parse_document`` takes, but for explicit nulls; the parser has the last word. Heads,
options, comparisons and statuses come from the parser's own tables.
"""

from typing import Any

from services.rule_evaluator import variants
from services.rule_evaluator.actions import UNCERTAIN
from services.rule_evaluator.document import KEYS, STATUSES
from services.rule_evaluator.heads import HEADS, NUMERIC
from services.rule_evaluator.values import COMPARISONS
from shared.durations import PATTERN
from shared.webaddress import LONGEST

Schema = dict[str, Any]

ID = "https://beckon.example/rule.schema.json"

_LABEL = r"^[a-zA-Z0-9_-]{1,64}$"
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_ORDERED: Schema = {"type": ["string", "number"]}


def rule_schema() -> Schema:
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": ID,
        "title": "Beckon rule",
        "description": "Fires for a person at the moment `when` turns true.",
        "type": "object",
        "required": ["id", "when", "action"],
        "additionalProperties": False,
        "properties": {key: _PROPERTIES[key] for key in KEYS},
        "$defs": {
            "condition": {
                "type": "object",
                "oneOf": [_head(name) for name in HEADS],
            },
            "duration": {"type": "string", "pattern": PATTERN, "examples": ["45s", "30m", "24h", "14d", "2h30m"]},
            "event": {
                "type": "string",
                "pattern": r"^[a-zA-Z0-9_ .:-]{1,64}$",
                "examples": ["product_viewed", "added_to_cart", "removed_from_cart", "checkout_started", "purchased"],
            },
            "step": _object({"event": _ref("event"), "where": _ref("where")}, ["event"]),
            "where": {
                "description": "Only events whose properties pass; $trusted: sent with a secret key.",
                "type": "object",
                "additionalProperties": _ref("test"),
            },
            "test": {"anyOf": [_SCALAR, {**_object(_operands(_SCALAR, _ORDERED)), "minProperties": 1}]},
            "count": {
                "anyOf": [
                    {"type": "number"},
                    {
                        **_object(
                            {
                                name: test
                                for name, test in _operands({"type": "number"}, {"type": "number"}).items()
                                if name in NUMERIC
                            }
                        ),
                        "minProperties": 1,
                    },
                ]
            },
        },
    }


def _ref(name: str) -> Schema:
    return {"$ref": f"#/$defs/{name}"}


def _object(properties: Schema, required: list[str] | None = None) -> Schema:
    found = {"type": "object", "properties": properties, "additionalProperties": False}
    return found | ({"required": required} if required else {})


def _said(description: str, schema: Schema) -> Schema:
    return {"description": description, **schema}


def _operands(scalar: Schema, ordered: Schema) -> dict[str, Schema]:
    several = {"type": "array", "minItems": 1, "items": scalar}
    special: dict[str, Schema] = {
        "in": several,
        "not_in": several,
        "exists": {"type": "boolean"},
        "starts_with": {"type": "string", "minLength": 1},
    }
    special |= dict.fromkeys(("gt", "gte", "lt", "lte"), ordered)
    return {name: special.get(name, scalar) for name in COMPARISONS}


def _head(name: str) -> Schema:
    required = [name, *_REQUIRED.get(name, ())]
    properties = {key: _described(name, key) for key in (name, *HEADS[name].options)}
    schema = _object(properties, required)
    if name == "profile":
        schema["minProperties"] = 2
    if name == "event":
        schema["allOf"] = [
            {"not": {"required": [one, other]}}
            for one, other in (("same", "distinct"), ("same", "sum"), ("distinct", "sum"))
        ]
    return schema


def _described(head: str, key: str) -> Schema:
    if head == "profile" and key in COMPARISONS:
        return _operands(_SCALAR, _ORDERED)[key]
    if head == "elapsed" and key == "since":
        return _said("The last of these events, or `activity`: anything the person did.", _ref("event"))
    return _OPTIONS[key]


_REQUIRED = {"elapsed": ("since",), "sequence": ("within",)}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 128}
_CONDITIONS: Schema = {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/condition"}}

_OPTIONS: dict[str, Schema] = {
    "all": _said("Every one holds.", _CONDITIONS),
    "any": _said("At least one holds.", _CONDITIONS),
    "not": _said("Does not hold.", _ref("condition")),
    "event": _said("Events of that name count at least once.", _ref("event")),
    "elapsed": _said("At least so long ago was the last one; false if there never was one.", _ref("duration")),
    "sequence": _said("Events in this order.", {"type": "array", "minItems": 1, "items": _ref("step")}),
    "profile": _said("An attribute of the person; a dotted path reaches inside.", _NAME),
    "where": _ref("where"),
    "count": _said("How many there must be; at least one unless given.", _ref("count")),
    "within": _said("Only events so recent.", _ref("duration")),
    "since": _said("Only events after the last of these; none if there never was one.", _ref("event")),
    "same": _said("Only the largest group that shares this property is counted.", _NAME),
    "distinct": _said("The different values of this property are counted.", _NAME),
    "sum": _said("This property is added up, and count tests the sum.", _NAME),
}

_MAIL: Schema = {
    "template": {"type": "string", "pattern": _LABEL},
    "coupon": _said("Whose codes the mail hands out.", {"type": "string", "pattern": _LABEL}),
}

_UNCERTAIN = _said(
    "What becomes of a mail of which nobody can tell whether it was sent.",
    {"enum": list(UNCERTAIN), "default": UNCERTAIN[0]},
)
_VARIANTS = _said(
    "Each person gets always the same one of these.",
    {
        "type": "array",
        "minItems": 2,
        "maxItems": variants.MOST,
        "items": _object(
            {
                "name": {"type": "string", "pattern": _LABEL},
                "weight": {"type": "integer", "minimum": 1, "maximum": 1000, "default": 1},
                **_MAIL,
            },
            ["name", "template"],
        ),
    },
)

_PROPERTIES: dict[str, Schema] = {
    "id": {"type": "string", "pattern": "^[a-z0-9-]{1,64}$"},
    "name": {"type": "string", "minLength": 1, "maxLength": 200},
    "status": _said("test delivers to TEST_RECIPIENTS only.", {"enum": list(STATUSES), "default": "draft"}),
    "when": _ref("condition"),
    "reentry": _said(
        "How long before it may fire again for the same person; never: once in a lifetime.",
        {"anyOf": [_ref("duration"), {"const": "never"}]},
    ),
    "expires": _said(
        "A mail not accepted, and a webhook not tried, within this long of firing is dropped.", _ref("duration")
    ),
    "verify": _said("Evaluate `when` once more just before sending.", {"type": "boolean", "default": True}),
    "holdout": _said(
        "Share of people to whom deliberately nothing is sent, to measure lift.",
        {"anyOf": [{"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,9})?%$"}, {"const": 0}]},
    ),
    "throttle": _object(
        {
            "category": {"type": "string", "pattern": _LABEL},
            "priority": {"type": "integer", "minimum": -1000, "maximum": 1000},
        }
    ),
    "action": _said(
        "What is sent: a mail, a webhook, or both.",
        {
            **_object(
                {
                    "email": {
                        "anyOf": [
                            _object({**_MAIL, "uncertain": _UNCERTAIN}, ["template"]),
                            _object({"variants": _VARIANTS, "uncertain": _UNCERTAIN}, ["variants"]),
                        ]
                    },
                    "webhook": _object(
                        {
                            "url": {"type": "string", "pattern": r"^https?://[!-\[\]-~]+$", "maxLength": LONGEST},
                            "secret": _said(
                                "The name of what it is signed with, of WEBHOOK_SECRETS.",
                                {"type": "string", "pattern": _LABEL},
                            ),
                        },
                        ["url", "secret"],
                    ),
                }
            ),
            "minProperties": 1,
        },
    ),
}
