"""From what a site sends to events that may be stored, and the reasons for what may not.

Pure: bytes or query pairs in, events and rejections out. One bad event of an array does not spoil the others.

An event with seven properties takes 6 us from bytes to ``Event``, of which decoding is 1; a bare aiohttp request takes 30.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import Annotated, Any, NamedTuple, Protocol, TypeVar

import msgspec
from crawleruseragents import is_crawler
from msgspec import Struct, structs

from services.tracker import addresses
from services.tracker.flaws import Flaw, shown
from services.tracker.timestamps import parse_past, parse_timestamp
from services.tracker.values import check_values
from shared import names
from shared.clock import MILLISECOND, Instant
from shared.messages import Event
from shared.outcomes import IMPORTED, OUTCOMES, OWN_ID

MAX_EVENTS = 500
"""Events in one request."""
MAX_EVENT_BYTES = 32 * 1024
"""One event as JSON."""
MAX_PERSON = 256
"""Characters of ``user_id`` and of ``anonymous_id``."""
MAX_AGENT = 512
"""Characters of a user agent that are looked at."""
MAX_EVENT_ID = 128
"""Characters of ``event_id``."""

NUMERIC = frozenset({"price", "quantity", "total"})
"""Properties a pixel gives as numbers. A query knows only text, and the others stay text, as product ids must."""

T = TypeVar("T")
Entropy = Callable[[int], bytes]
"""So many random bytes."""
Gate = Callable[[Event, str | None], bool]
"""Answers whether an event, which may have a user token, is to be believed. Raises ``Flaw`` if it is not to be taken."""


def _told(description: str, **bounds: Any) -> msgspec.Meta:
    """For the description of the calls. The bounds are kept by ``take``, which says more of what is wrong."""
    return msgspec.Meta(description=description, extra_json_schema=bounds)


class EventIn(Struct, frozen=True, omit_defaults=True):
    """An event as a site writes it. Fields that are not here are ignored."""

    event: Annotated[str, _told("what happened; case and spaces are normalised", pattern=names.PATTERN)]
    user_id: Annotated[str | None, _told("the person", minLength=1, maxLength=MAX_PERSON)] = None
    anonymous_id: Annotated[
        str | None, _told("the person where no user_id is known", minLength=1, maxLength=MAX_PERSON)
    ] = None
    timestamp: Annotated[
        str | int | float | None,
        _told("RFC 3339 with a zone, or epoch seconds or milliseconds; now, if it is missing"),
    ] = None
    sent_at: Annotated[
        str | int | float | None, _told("the sender's clock when it sent this, to put a wrong clock right")
    ] = None
    event_id: Annotated[str | None, _told("makes a retry harmless", minLength=1, maxLength=MAX_EVENT_ID)] = None
    properties: Annotated[dict[str, Any] | None, _told("of what happened; for identify the profile")] = None
    context: Annotated[dict[str, Any] | None, _told("page, device, campaign; context.source is kept as the source")] = (
        None
    )
    write_key: Annotated[str | None, _told("the key, where no header can be set")] = msgspec.field(
        name="writeKey", default=None
    )
    user_token: Annotated[str | None, _told("the site's word for the user_id, a JSON Web Token")] = None


class Origin(NamedTuple):
    """By which call the events came, whether with a secret key, and, of a page's, the browser that sent them.

    ``source`` ``IMPORTED``: they are of the past. Each must say when it happened, be it as long ago as it likes, and have an
    id; none may claim another source.
    """

    source: str
    trusted: bool
    agent: str | None = None


class Rejected(Struct, frozen=True):
    """``index``: the event's place in the request, from 0."""

    index: int
    error: str


class Keyed(Protocol):
    @property
    def write_key(self) -> str | None: ...


class Read(NamedTuple):
    """The events of a body, each readable or not. ``parts``: what of the body may name a key, in the order in which it counts."""

    items: list[EventIn | Flaw]
    parts: Sequence[Keyed | Flaw]

    @property
    def write_key(self) -> str | None:
        """The first key that stands in the body."""
        return next((part.write_key for part in self.parts if not isinstance(part, Flaw) and part.write_key), None)


class Taken(NamedTuple):
    """What became of the events of one request."""

    events: list[Event]
    rejected: list[Rejected]


class Malformed(Exception):
    """Nothing in the request can be read."""


class TooMany(Exception):
    """More events than one request may carry."""


UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
_decode_event = msgspec.json.Decoder(EventIn).decode
_decode_array = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_other = msgspec.json.Decoder(msgspec.Raw).decode

_ARRAY = re.compile(rb"[ \t\r\n]*\[")
_ESCAPE = re.compile(
    rb"\\(?:u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|(?P<half>u[dD][89a-fA-F][0-9a-fA-F]{2})|.)", re.S
)
_PLACE = re.compile(r"(?P<what>.+) - at \$\.?(?P<place>.+)", re.S)
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_PIXEL_FIELDS = frozenset({"user_id", "anonymous_id", "event", "timestamp", "event_id"})
_SOURCE = re.compile(r"[a-z0-9_-]{1,32}")
_OURS = frozenset({"beckon", IMPORTED})
"""Sources that nobody may claim."""
_NUMBER = re.compile(r"-?\d{1,15}(\.\d{1,15})?", re.ASCII)


def read_body(body: bytes) -> Read:
    """The events of a JSON body, one object or an array, in order. Raises ``Malformed`` or ``TooMany``."""
    raws = _split(body)
    if not raws:
        raise Malformed("the body is an empty array: send at least one event")
    if len(raws) > MAX_EVENTS:
        raise TooMany(f"{len(raws)} events in one request, at most {MAX_EVENTS}")
    items = [decode_event(_decode_event, raw) for raw in raws]
    return Read(items, items)


def _split(body: bytes) -> list[msgspec.Raw]:
    return decode_body(lambda data: _decode_array(data) if _ARRAY.match(data) else [_decode_other(data)], body)


def decode_body(decode: Callable[[bytes], T], body: bytes) -> T:
    """Raises ``Malformed``."""
    try:
        return decode(body)
    except UNREADABLE as error:
        # JavaScript that cuts a text in the middle of an emoji sends half of a surrogate pair. NUL in its place is
        # refused as well, but only with the event it stands in.
        if (mended := _ESCAPE.sub(lambda m: rb"\u0000" if m["half"] else m[0], body)) != body:
            return decode_body(decode, mended)
        what = "JSON" if not isinstance(error, msgspec.ValidationError) else "what is expected"
        raise Malformed(f"the body is not {what}: {explain(error)}") from None


def decode_event(decode: Callable[[bytes], T], raw: msgspec.Raw) -> T | Flaw:
    """One event of a body, which may be anything."""
    if len(raw) > MAX_EVENT_BYTES:
        return Flaw(f"the event has {len(raw)} bytes, at most {MAX_EVENT_BYTES}")
    try:
        return decode(raw)
    except UNREADABLE as error:
        return Flaw(explain(error))


def explain(error: Exception) -> str:
    if isinstance(error, RecursionError):
        return "nested too deep"
    if isinstance(error, UnicodeDecodeError):
        return "not UTF-8"
    text = str(error).replace("`", "")
    if match := _PLACE.fullmatch(text):
        text = f"{match['place']}: {match['what'][0].lower()}{match['what'][1:]}"
    return text


def read_query(query: Iterable[tuple[str, str]]) -> EventIn | Flaw:
    """The event of a pixel's decoded query; parameters it does not know are ignored."""
    fields: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for name, value in query:
        if name.startswith("properties."):
            target, name = properties, name.removeprefix("properties.")
        elif name in _PIXEL_FIELDS:
            target = fields
        else:
            continue
        if name in target:
            return Flaw(f"{shown(name)[1:-1]} is given twice")
        target[name] = as_number(value) if target is properties and name in NUMERIC else value
    if "event" not in fields:
        return Flaw("event is missing")
    return EventIn(**fields, properties=properties)


def as_number(text: str) -> str | int | float:
    """The text itself, if it is no plain number."""
    if not _NUMBER.fullmatch(text):
        return text
    return float(text) if "." in text else int(text)


def take(
    items: Sequence[EventIn | Flaw], origin: Origin, now: Instant, entropy: Entropy, gate: Gate | None = None
) -> Taken:
    """Turn what was read into events, and into a rejection with its reason whatever cannot be one."""
    taken = Taken([], [])
    for index, item in enumerate(items):
        try:
            if isinstance(item, Flaw):
                raise item
            event = _event(item, origin, now, entropy)
            if gate is not None and gate(event, item.user_token) and not event.trusted:
                event = structs.replace(event, trusted=True, vouched=True)
            taken.events.append(event)
        except Flaw as flaw:
            taken.rejected.append(Rejected(index, flaw.reason))
    return taken


def _event(item: EventIn, origin: Origin, now: Instant, entropy: Entropy) -> Event:
    if origin.source == IMPORTED:
        timestamp = parse_past(item.timestamp, now)
        if item.event_id is None:
            raise Flaw("event_id is missing: it keeps what is imported again from counting twice")
    else:
        timestamp = now if item.timestamp is None else parse_timestamp(item.timestamp, now, item.sent_at)
    event_id = _new_id(now, entropy) if item.event_id is None else given_id(item.event_id)
    name = event_name(item.event)
    if name in OUTCOMES:
        raise Flaw(f"event: {name} is written by Beckon itself and not taken from outside")
    return whole_event(item, name, origin, timestamp, event_id, now)


def whole_event(item: EventIn, name: str, origin: Origin, timestamp: Instant, event_id: str, now: Instant) -> Event:
    """Raises ``Flaw`` for what else may be wrong with the event."""
    user_id = _person("user_id", item.user_id)
    anonymous_id = _person("anonymous_id", item.anonymous_id)
    person = user_id or anonymous_id
    if person is None:
        raise Flaw("user_id or anonymous_id is missing")
    properties = item.properties or {}
    context = item.context or {}
    check_values(("properties", properties), ("context", context))
    context = _marked(context, origin.agent)
    return Event(
        id=event_id,
        person=person,
        name=name,
        timestamp=timestamp,
        received=now,
        properties=properties,
        context=context,
        user_id=user_id,
        anonymous_id=anonymous_id,
        source=_source(context.get("source"), origin.source),
        trusted=origin.trusted,
    )


def _source(claimed: object, call: str) -> str:
    may = isinstance(claimed, str) and _SOURCE.fullmatch(claimed) and claimed not in _OURS and call != IMPORTED
    return str(claimed) if may else call


def _marked(context: dict[str, Any], agent: str | None) -> dict[str, Any]:
    """Without what is nobody's business, and with what a machine is known by."""
    address, told = context.get("ip"), context.get("userAgent")
    bot = is_bot((told if isinstance(told, str) else agent) or "")
    if address is None and not bot:
        return context
    marked = dict(context)
    if address is not None:
        marked["ip"] = addresses.truncated(address) if isinstance(address, str) else None
    if bot:
        marked["bot"] = True
    return marked


@lru_cache(8192)  # a look takes half a millisecond
def is_bot(agent: str) -> bool:
    """Whether the user agent is one of a crawler, a monitor or a script."""
    return bool(agent) and bool(is_crawler(agent[:MAX_AGENT]))


def _person(field: str, value: str | None) -> str | None:
    if value is None:
        return None
    if not 1 <= len(value) <= MAX_PERSON:
        raise Flaw(f"{field}: {len(value)} characters, expected 1 to {MAX_PERSON}")
    if value.isspace():
        raise Flaw(f"{field}: only spaces")
    if _CONTROL.search(value):
        raise Flaw(f"{field}: holds a control character: {shown(value)}")
    return value


@lru_cache(1024)  # a site has few names
def event_name(raw: str) -> str:
    """As it is stored. Raises ``Flaw``."""
    if not names.valid(raw):
        raise Flaw(f"event: {shown(raw)} is not 1 to 64 letters, digits, spaces, or any of _ . : -")
    return names.normalise(raw)


def given_id(value: str, *, own: bool = False) -> str:
    """``own``: the event may be one that Beckon wrote. Raises ``Flaw``."""
    if not 1 <= len(value) <= MAX_EVENT_ID or not value.isprintable():
        raise Flaw(f"event_id: {shown(value)} is not 1 to {MAX_EVENT_ID} printable characters")
    if value.startswith(OWN_ID) and not own:
        raise Flaw(f"event_id: {shown(value)} begins with {OWN_ID}, as only the ids of Beckon's own events do")
    return value


def _new_id(now: Instant, entropy: Entropy) -> str:
    """As a version 7 UUID (RFC 9562): milliseconds, then 80 random bits, so that ids sort by time. 32 hex digits."""
    return f"{now // MILLISECOND:012x}{entropy(10).hex()}"
