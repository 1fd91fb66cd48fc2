"""The JSON Schema of a rule document, with which editors complete and check while one types. Pure.

It takes everything that ``document.parse_document`` takes, but for explicit nulls; the parser has the last word. Heads,
options, comparisons and statuses come from the parser's own tables.
"""

from services.rule_evaluator import variants
from services.rule_evaluator.actions import LABEL, UNCERTAIN
from services.rule_evaluator.document import KEYS, STATUSES
from services.rule_evaluator.heads import HEADS, NUMERIC
from services.rule_evaluator.values import COMPARISONS
from shared import names
from shared.durations import PATTERN
from shared.schemas import DRAFT, Schema, mapping, ref, said
from shared.webaddress import LONGEST

ID = "https://beckon.example/rule.schema.json"

_LABEL = f"^{LABEL}$"
_SCALAR: Schema = {"type": ["string", "number", "boolean"]}
_ORDERED: Schema = {"type": ["string", "number"]}


def rule_schema() -> Schema:
    return {
        "$schema": DRAFT,
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
                "pattern": names.PATTERN,
                "examples": ["product_viewed", "added_to_cart", "removed_from_cart", "checkout_started", "purchased"],
            },
            "step": mapping({"event": ref("event"), "where": ref("where")}, ["event"]),
            "where": {
                "description": "Only events whose properties pass; $trusted: sent with a secret key.",
                "type": "object",
                "additionalProperties": ref("test"),
            },
            "test": {"anyOf": [_SCALAR, {**mapping(_operands(_SCALAR, _ORDERED)), "minProperties": 1}]},
            "count": {
                "anyOf": [
                    {"type": "number"},
                    {
                        **mapping(
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
    schema = mapping(properties, required)
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
        return said("The last of these events, or `activity`: anything the person did.", ref("event"))
    return _OPTIONS[key]


_REQUIRED = {"elapsed": ("since",), "sequence": ("within",)}
_NAME: Schema = {"type": "string", "minLength": 1, "maxLength": 128}
_CONDITIONS: Schema = {"type": "array", "minItems": 1, "items": ref("condition")}

_OPTIONS: dict[str, Schema] = {
    "all": said("Every one holds.", _CONDITIONS),
    "any": said("At least one holds.", _CONDITIONS),
    "not": said("Does not hold.", ref("condition")),
    "event": said("Events of that name count at least once.", ref("event")),
    "elapsed": said("At least so long ago was the last one; false if there never was one.", ref("duration")),
    "sequence": said("Events in this order.", {"type": "array", "minItems": 1, "items": ref("step")}),
    "profile": said("An attribute of the person; a dotted path reaches inside.", _NAME),
    "where": ref("where"),
    "count": said("How many there must be; at least one unless given.", ref("count")),
    "within": said("Only events so recent.", ref("duration")),
    "since": said("Only events after the last of these; none if there never was one.", ref("event")),
    "same": said("Only the largest group that shares this property is counted.", _NAME),
    "distinct": said("The different values of this property are counted.", _NAME),
    "sum": said("This property is added up, and count tests the sum.", _NAME),
}

_MAIL: Schema = {
    "template": {"type": "string", "pattern": _LABEL},
    "coupon": said("Whose codes the mail hands out.", {"type": "string", "pattern": _LABEL}),
}

_UNCERTAIN = said(
    "What becomes of a mail of which nobody can tell whether it was sent.",
    {"enum": list(UNCERTAIN), "default": UNCERTAIN[0]},
)
_VARIANTS = said(
    "Each person gets always the same one of these.",
    {
        "type": "array",
        "minItems": 2,
        "maxItems": variants.MOST,
        "items": mapping(
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
    "status": said("test delivers to TEST_RECIPIENTS only.", {"enum": list(STATUSES), "default": "draft"}),
    "when": ref("condition"),
    "reentry": said(
        "How long before it may fire again for the same person; never: once in a lifetime.",
        {"anyOf": [ref("duration"), {"const": "never"}]},
    ),
    "expires": said(
        "A mail not accepted, and a webhook not tried, within this long of firing is dropped.", ref("duration")
    ),
    "verify": said("Evaluate `when` once more just before sending.", {"type": "boolean", "default": True}),
    "holdout": said(
        "Share of people to whom deliberately nothing is sent, to measure lift.",
        {"anyOf": [{"type": "string", "pattern": r"^[0-9]{1,3}(\.[0-9]{1,9})?%$"}, {"const": 0}]},
    ),
    "throttle": mapping(
        {
            "category": {"type": "string", "pattern": _LABEL},
            "priority": {"type": "integer", "minimum": -1000, "maximum": 1000},
        }
    ),
    "action": said(
        "What is sent: a mail, a webhook, or both.",
        {
            **mapping(
                {
                    "email": {
                        "anyOf": [
                            mapping({**_MAIL, "uncertain": _UNCERTAIN}, ["template"]),
                            mapping({"variants": _VARIANTS, "uncertain": _UNCERTAIN}, ["variants"]),
                        ]
                    },
                    "webhook": mapping(
                        {
                            "url": {"type": "string", "pattern": r"^https?://[!-\[\]-~]+$", "maxLength": LONGEST},
                            "secret": said(
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
