"""The description of the tracker's calls (OpenAPI 3.1), made of the structs that read and answer them. Pure."""

from typing import Any

import msgspec

from services.tracker.answers import ANSWERS, Accepted, CallsAccepted, CallsRefused, HookTaken, Refused, WebhookTaken
from services.tracker.events import MAX_EVENTS, EventIn
from services.tracker.providers import PROVIDERS, Provider
from services.tracker.segment import BatchIn, CallIn
from services.tracker.shops import SHOPS, Shop
from shared import names

Schema = dict[str, Any]

REFERENCE = "#/components/schemas/{name}"
_SUMMARIES = {
    "track": "Somebody did something",
    "identify": "Who somebody is",
    "page": "Somebody looked at a page",
    "screen": "Somebody looked at a screen of an app",
    "alias": "Two ids are one person",
    "group": "Somebody belongs to something",
    "batch": "Several calls",
}
_REASONS = {
    400: "Nothing in the request can be taken; the reason names the place and what would be right",
    401: "No key, or one that is not known",
    403: "The key is not for this: for pages of another origin, or a public one where a secret one is needed",
    404: "There is no such thing",
    408: "The body did not come in time",
    413: "Too many events, or too large a body",
    415: "Another Content-Type or Content-Encoding",
    429: "More events than the key, the address or the person may have",
    503: "The events could not be stored: send the whole request again",
}


def describe() -> Schema:
    structs = [EventIn, Accepted, Refused, CallIn, BatchIn, CallsAccepted, CallsRefused, WebhookTaken, HookTaken]
    _, components = msgspec.json.schema_components(structs, ref_template=REFERENCE)
    calls = {"type": "array", "items": _ref("CallIn"), "minItems": 1, "maxItems": MAX_EVENTS}
    components["BatchIn"]["properties"]["batch"] = calls
    components["EventIn"]["anyOf"] = [_named("user_id"), _named("anonymous_id")]
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Beckon tracker",
            "version": "1",
            "description": "Events in. Each answer comes once the events are stored.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"basic": []}, {"bearer": []}, {"header": []}, {"query": []}],
        "paths": {
            "/v1/events": {
                "post": _events("postEvents", "One event, or several, each judged by itself", _ref("EventIn"))
            },
            "/v1/import": {"post": _events("importEvents", "The same of any age, with a secret key", _past())},
            "/track": {"get": _pixel(components["EventIn"]["properties"])},
            **{f"/v1/{kind}": {"post": _call(kind)} for kind in _SUMMARIES},
            **{path: {"post": _webhook(shop)} for path, shop in SHOPS.items()},
            **{path: {"post": _hook(provider)} for path, provider in PROVIDERS.items()},
            "/v1/projects/{key}/settings": {"get": _settings()},
            "/o/{token}.gif": {"get": _image_link()},
            "/c/{token}": {"get": _click()},
            "/u/{token}": {"get": _preferences("preferences"), "post": _choose()},
            "/sdk.js": {"get": _file("The browser SDK", "text/javascript")},
            "/sdk.json": {
                "get": _file("Under which name the browser SDK lasts, and its integrity", "application/json")
            },
            "/openapi.json": {"get": _file("This description", "application/json")},
            "/docs": {"get": _file("This description, to be read", "text/html")},
        },
        "components": {
            "schemas": components,
            "securitySchemes": {
                "basic": {"type": "http", "scheme": "basic", "description": "The key is the user name."},
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-Write-Key"},
                "query": {"type": "apiKey", "in": "query", "name": "key"},
            },
        },
    }


def _named(field: str) -> Schema:
    """The field is there and not null."""
    return {"required": [field], "properties": {field: {"type": "string"}}}


def _past() -> Schema:
    """An event that says when it happened and has an id."""
    at = {"required": ["timestamp"], "properties": {"timestamp": {"type": ["string", "number"]}}}
    return {"allOf": [_ref("EventIn"), at, _named("event_id")]}


def _events(operation: str, summary: str, event: Schema) -> Schema:
    several = {"type": "array", "items": event, "minItems": 1, "maxItems": MAX_EVENTS}
    return {
        "operationId": operation,
        "summary": summary,
        "requestBody": _json({"anyOf": [event, several]}, required=True),
        "responses": {
            "202": _answer("Every event counted in `accepted` is stored", "Accepted"),
            **_refusals("Refused", *_statuses()),
        },
    }


def _pixel(described: Schema) -> Schema:
    parameters = [
        {
            "name": name,
            "in": "query",
            "required": name == "event",
            "description": described[name].get("description", ""),
            "schema": _text(described[name]),
        }
        for name in ("event", "user_id", "anonymous_id", "timestamp", "event_id")
    ]
    image = {"image/gif": {"schema": {"type": "string", "contentMediaType": "image/gif"}}}
    refused = {
        str(status): {"description": _REASONS[status], "content": image}
        for status in _statuses()
        if status not in (408, 413, 415)
    }
    return {
        "operationId": "pixel",
        "summary": "One event, from an image; properties as `properties.NAME`",
        "security": [{}, {"query": []}],
        "parameters": parameters,
        "responses": {"200": {"description": "The event is stored", "content": image}, **refused},
    }


def _text(described: Schema) -> Schema:
    """What a query, which knows only text, has of a field."""
    return {
        "type": "string",
        **{key: described[key] for key in ("pattern", "minLength", "maxLength") if key in described},
    }


def _call(kind: str) -> Schema:
    schema = _ref("BatchIn" if kind == "batch" else "CallIn")
    if kind == "track":
        event = {"required": ["event"], "properties": {"event": {"type": "string", "pattern": names.PATTERN}}}
        schema = {"allOf": [schema, event]}
    return {
        "operationId": kind,
        "summary": f"{_SUMMARIES[kind]} (Segment's tracking API)",
        "requestBody": _json(schema, required=True),
        "responses": {
            "200": _answer("Every call counted in `accepted` is stored", "CallsAccepted"),
            **_refusals("CallsRefused", *_statuses()),
        },
    }


def _webhook(shop: Shop) -> Schema:
    headers = {shop.topic: "what happened", shop.signature: f"of the body, by one of {shop.setting}"}
    return {
        "operationId": shop.name,
        "summary": f"A webhook of {shop.name}, signed by the shop",
        "security": [{}],
        "parameters": [
            {"name": name, "in": "header", "required": True, "description": description, "schema": {"type": "string"}}
            for name, description in headers.items()
        ],
        "requestBody": _json({"type": "object"}, required=True),
        "responses": {
            "200": _answer("Every event counted in `accepted` is stored; nothing is to be sent again", "WebhookTaken"),
            **_refusals("Refused", *sorted({404, *_statuses()} - {403})),
        },
    }


def _hook(provider: Provider) -> Schema:
    return {
        "operationId": f"{provider.name}Hook",
        "summary": f"Bounces and complaints, told by {provider.name}",
        "security": [{}],
        "parameters": [
            {
                "name": name,
                "in": "header",
                "required": True,
                "description": f"by {provider.setting}",
                "schema": {"type": "string"},
            }
            for name in provider.headers
            if name != "Authorization"  # which is no parameter (OpenAPI 3.1 section 4.8.12)
        ],
        "requestBody": _json({"type": "array" if provider.name == "sendgrid" else "object"}, required=True),
        "responses": {
            "200": _answer("Every report counted in `known` is kept; nothing is to be sent again", "HookTaken"),
            **_refusals("Refused", *sorted({404, *_statuses()} - {403, 429})),
        },
    }


def _settings() -> Schema:
    key = {"name": "key", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
    return {
        "operationId": "settings",
        "summary": "What Segment's browser library asks before it sends",
        "security": [{}],
        "parameters": [key],
        "responses": {
            "200": {"description": "Where to send", **_json({"type": "object"})},
            **_refusals("Refused", 401, 403, 404, 429),
        },
    }


_TOKEN = {"name": "token", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_HTML = {"text/html": {"schema": {"type": "string"}}}
_NO_LINK = {"404": {"description": "No link of ours", "content": _HTML}}


def _image_link() -> Schema:
    image = {"image/gif": {"schema": {"type": "string", "contentMediaType": "image/gif"}}}
    return {
        "operationId": "open",
        "summary": "A mail is opened: the image at its end",
        "security": [{}],
        "parameters": [_TOKEN],
        "responses": {
            "200": {"description": "An image", "content": image},
            "404": {"description": "No link of ours", "content": image},
        },
    }


def _click() -> Schema:
    return {
        "operationId": "click",
        "summary": "A link in a mail is followed",
        "security": [{}],
        "parameters": [_TOKEN],
        "responses": {"302": {"description": "To where the mail says, and nowhere else"}, **_NO_LINK},
    }


def _preferences(operation: str) -> Schema:
    return {
        "operationId": operation,
        "summary": "What a person gets, as a page; changes nothing",
        "security": [{}],
        "parameters": [_TOKEN],
        "responses": {"200": {"description": "The page", "content": _HTML}, **_NO_LINK},
    }


def _choose() -> Schema:
    form = {
        "type": "object",
        "properties": {
            "List-Unsubscribe": {"const": "One-Click"},
            "action": {"enum": ["none", "again", "save"]},
        },
    }
    refused = {str(status): {"description": _REASONS[status], "content": _HTML} for status in (400, 408, 413, 415, 503)}
    return {
        **_preferences("choose"),
        "summary": "Unsubscribe in one click (RFC 8058), or what the page sends",
        "requestBody": {"content": {"application/x-www-form-urlencoded": {"schema": form}}},
        "responses": {"200": {"description": "The choice is stored", "content": _HTML}, **_NO_LINK, **refused},
    }


def _file(summary: str, kind: str) -> Schema:
    return {
        "summary": summary,
        "security": [{}],
        "responses": {"200": {"description": summary, "content": {kind: {"schema": {}}}}},
    }


def _statuses() -> list[int]:
    """With which a call that brings events can be refused."""
    return sorted({answer.status for answer in ANSWERS.values()} - {404})


def _refusals(body: str, *statuses: int) -> Schema:
    return {str(status): _answer(_REASONS[status], body) for status in statuses}


def _answer(description: str, body: str) -> Schema:
    return {"description": description, **_json(_ref(body))}


def _json(schema: Schema, **more: Any) -> Schema:
    return {"content": {"application/json": {"schema": schema}}, **more}


def _ref(name: str) -> Schema:
    return {"$ref": REFERENCE.format(name=name)}
