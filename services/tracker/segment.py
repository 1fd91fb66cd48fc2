"""Segment's HTTP tracking API, as its own and RudderStack's client libraries speak it. Pure.

https://segment.com/docs/connections/sources/catalog/libraries/server/http-api/ and
https://segment.com/docs/connections/spec/ say what a call is; what follows here is what becomes of it.
"""

import re
from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from services.tracker.events import (
    MAX_EVENTS,
    EventIn,
    Malformed,
    Read,
    TooMany,
    decode_body,
    decode_event,
)
from services.tracker.flaws import Flaw, shown
from services.tracker.timestamps import Time

NAMES = {"identify": "identify", "alias": "alias", "group": "group", "page": "page_viewed", "screen": "screen_viewed"}
"""What the calls that are not ``track`` are called here."""
KINDS = ("track", *NAMES, "batch")
PATHS = {
    **{f"/v1/{kind}": kind for kind in KINDS},
    **{f"/v1/{kind[0]}": kind for kind in KINDS},  # what the browser library calls them
    "/v1/import": "batch",
}
"""The calls by path."""
TRAITS = {"firstName": "first_name", "lastName": "last_name", "createdAt": "created_at"}
"""Segment's reserved traits whose names differ from those that templates know. They are kept beside the originals."""
PROPERTIES = {"sku": "product_id", "revenue": "total"}
"""What stands in for a property of the e-commerce specification that is not given."""
CHANNELS = {"web": "web", "browser": "web", "mobile": "mobile", "server": "server"}

_NO_ZONE = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?", re.ASCII)

Id = str | int | float | None


class CallIn(Struct, frozen=True, rename="camel"):
    """One call. Whole numbers are taken for ids, as databases have them. Fields that are not here are ignored."""

    type: str | None = None
    event: str | None = None
    user_id: Id = None
    anonymous_id: Id = None
    message_id: str | None = None
    timestamp: Time = None
    original_timestamp: Time = None
    sent_at: Time = None
    properties: dict[str, Any] | None = None
    traits: dict[str, Any] | None = None
    context: dict[str, Any] | None = None
    name: str | None = None
    category: str | None = None
    group_id: Id = None
    previous_id: Id = None
    channel: str | None = None
    write_key: str | None = None


class BatchIn(Struct, frozen=True, rename="camel"):
    """Several calls; ``context`` and ``sent_at`` are of each that has none."""

    batch: list[msgspec.Raw]
    sent_at: Time = None
    context: dict[str, Any] | None = None
    write_key: str | None = None


_decode_call = msgspec.json.Decoder(CallIn).decode
_decode_batch = msgspec.json.Decoder(BatchIn).decode
_decode_raw = msgspec.json.Decoder(msgspec.Raw).decode


class _MaybeBatch(Struct):
    batch: msgspec.Raw = msgspec.Raw()


_decode_maybe = msgspec.json.Decoder(_MaybeBatch).decode


def is_batch(body: bytes) -> bool:
    """Whether a body is one of Segment's batches, where it could be another."""
    try:
        return len(decode_body(_decode_maybe, body).batch) > 0
    except Malformed:
        return False


def read_calls(kind: str, body: bytes) -> Read:
    """What the body of a call of this ``kind`` (a value of ``PATHS``) says. Raises ``Malformed`` or ``TooMany``."""
    if kind != "batch":
        call = decode_event(_decode_call, decode_body(_decode_raw, body))
        return Read([_event(call, kind, None)], [call])
    batch = decode_body(_decode_batch, body)
    if not batch.batch:
        raise Malformed("batch is an empty array: send at least one call")
    if len(batch.batch) > MAX_EVENTS:
        raise TooMany(f"{len(batch.batch)} calls in one batch, at most {MAX_EVENTS}")
    calls = [decode_event(_decode_call, raw) for raw in batch.batch]
    return Read([_event(call, None, batch) for call in calls], [batch, *calls])


def _event(call: CallIn | Flaw, kind: str | None, batch: BatchIn | None) -> EventIn | Flaw:
    """``kind`` none: as the call itself says."""
    if isinstance(call, Flaw):
        return call
    kind = kind or call.type or ""
    try:
        return EventIn(
            event=_name(call, kind),
            user_id=_id("userId", call.user_id),
            anonymous_id=_id("anonymousId", call.anonymous_id),
            timestamp=_time(call.timestamp if call.original_timestamp is None else call.original_timestamp),
            sent_at=_time(call.sent_at if batch is None or batch.sent_at is None else batch.sent_at),
            event_id=call.message_id or None,
            properties=_properties(call, kind),
            context=_context(call, batch),
        )
    except Flaw as flaw:
        return flaw


def _name(call: CallIn, kind: str) -> str:
    if kind == "track":
        if not call.event:
            raise Flaw("event is missing")
        return call.event
    if kind not in NAMES:
        raise Flaw(f"type: {shown(kind)} is none of track, {', '.join(NAMES)}")
    return NAMES[kind]


def _id(field: str, value: Id) -> str | None:
    """An empty text is none: the libraries' users send it for somebody who is not signed in."""
    if isinstance(value, float) and not value.is_integer():
        raise Flaw(f"{field}: {shown(value)} is neither a text nor a whole number")
    if value is None or value == "":
        return None
    return value if isinstance(value, str) else str(int(value))


def _time(value: Time) -> Time:
    """Old libraries write UTC and do not say so."""
    if isinstance(value, str):
        return f"{value}Z" if _NO_ZONE.fullmatch(value) else value or None
    return value


def _properties(call: CallIn, kind: str) -> dict[str, Any]:
    if kind == "identify":
        return _profile(call)
    if kind == "alias":
        return {"previous_id": _id("previousId", call.previous_id)}
    if kind == "group":
        return {**(call.traits or {}), "group_id": _id("groupId", call.group_id)}
    properties = call.properties or {}
    if kind == "track":
        return _filled(properties, PROPERTIES)
    return properties | {key: value for key, value in (("name", call.name), ("category", call.category)) if value}


def _profile(call: CallIn) -> dict[str, Any]:
    """``timezone`` and ``locale`` stand in the context of browsers and phones; mails need them."""
    context = call.context or {}
    known = {key: context[key] for key in ("timezone", "locale") if isinstance(context.get(key), str)}
    return _filled(known | (call.traits or {}), TRAITS)


def _filled(values: dict[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    """With what is missing under our name and there under theirs."""
    return {ours: values[theirs] for theirs, ours in names.items() if theirs in values} | values


def _context(call: CallIn, batch: BatchIn | None) -> dict[str, Any]:
    context = {**((batch.context if batch else None) or {}), **(call.context or {})}
    context.setdefault("source", CHANNELS.get(call.channel or "") or _channel(context))
    return context


def _channel(context: dict[str, Any]) -> str:
    """Where there is a page there is a browser, and where there is a device without one an app."""
    if "page" in context or "userAgent" in context:
        return "web"
    return "mobile" if "device" in context else "server"
