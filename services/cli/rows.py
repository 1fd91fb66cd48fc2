"""From a row of a file to the events it tells of. Pure.

A row of events is one event. A row of profiles is a customer: an ``identify`` with every other column as an attribute. Who has
a number is known by it, who has only an address by that; where a row has both, it also says that the two are one.
"""

import hashlib
import re
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Any, NamedTuple

import msgspec
from msgspec import structs

from services.tracker.events import (
    MAX_EVENT_BYTES,
    NUMERIC,
    EventIn,
    Origin,
    as_number,
    decode_event,
    take,
)
from services.tracker.flaws import Flaw, shown
from services.tracker.timestamps import Time
from services.tracker.unify import alias, email_id
from shared.clock import Instant
from shared.outcomes import IMPORTED

REASON = "rejected_because"
"""The column, or the field, in which a file of rejected rows says why. It is left out when that file is imported."""

_PEOPLE = ("user_id", "anonymous_id", "email")
_TRUTHS = {"true": True, "yes": True, "1": True, "false": False, "no": False, "0": False}
_SPACED = re.compile(r"(\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?) (UTC|[+-]\d\d:?\d\d)", re.ASCII)

encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(EventIn).decode


class Kind(StrEnum):
    EVENTS = "events"
    PROFILES = "profiles"


FIELDS = {
    Kind.EVENTS: frozenset({*_PEOPLE, "event", "timestamp", "event_id"}),
    Kind.PROFILES: frozenset({*_PEOPLE, "timestamp"}),
}
"""Columns that are not properties, or attributes."""


def _number(text: str) -> int | float:
    number = as_number(text)
    if isinstance(number, str):
        raise Flaw(f"{shown(text)} is not a number like 12.5")
    return number


def _truth(text: str) -> bool:
    if (truth := _TRUTHS.get(text.lower())) is None:
        raise Flaw(f"{shown(text)} is none of {', '.join(_TRUTHS)}")
    return truth


TYPES: Mapping[str, Callable[[str], Any]] = {"number": _number, "bool": _truth, "text": str}


class Wanted(NamedTuple):
    """What ``--column NAME=FIELD`` says of a column. ``field`` empty: it is left out; ``type`` empty: by its field."""

    field: str
    type: str = ""


class Column(NamedTuple):
    """``name``: in the file's header. ``field``: of the event, else of its properties."""

    name: str
    field: str
    own: bool
    read: Callable[[str], Any]

    @property
    def place(self) -> str:
        """As flaws name it."""
        return self.field if self.own else f"properties.{self.field}"


class Layout(NamedTuple):
    """How rows are read. ``event``: what happened where no column says it; ``at``: when, where none does. A column that is none
    is left out."""

    kind: Kind
    columns: tuple[Column | None, ...]
    event: str = ""
    at: Time = None


class Checked(NamedTuple):
    """An event that may be sent: whose it is, and as JSON."""

    person: str
    body: bytes


def read_option(text: str) -> tuple[str, Wanted]:
    """``NAME=FIELD``, ``NAME=FIELD:TYPE`` or ``NAME=``. Raises ``ValueError``."""
    name, equals, field = text.rpartition("=")
    if not equals or not name.strip():
        raise ValueError(f"{text!r} is not NAME=FIELD, like 'E-Mail=email', 'Orders=orders:number' or 'Notes='")
    plain, colon, type_ = field.strip().rpartition(":")
    if colon and type_ in TYPES:
        return name.strip(), Wanted(plain, type_)
    return name.strip(), Wanted(field.strip())


def layout(header: Sequence[str], wanted: Mapping[str, Wanted], kind: Kind, event: str = "", at: Time = None) -> Layout:
    """Raises ``ValueError``, saying what to do about a header that does not fit."""
    names = [name.strip() for name in header]
    listed = ", ".join(name for name in names if name)
    if missing := [name for name in wanted if name not in names]:
        raise ValueError(f"there is no column {missing[0]!r}; the columns are {listed}")
    columns = tuple(_column(name, wanted.get(name, Wanted(name)), kind) for name in names)
    known: dict[str, str] = {}
    for column in filter(None, columns):
        if column.place in known:
            both = f"columns {known[column.place]!r} and {column.name!r} are both {column.field}"
            raise ValueError(f"{both}: leave one out, --column '{column.name}='")
        known[column.place] = column.name
    if not known.keys() & set(_PEOPLE):
        raise ValueError(_unnamed("user_id, email or anonymous_id", "email", listed))
    if kind is Kind.EVENTS and "timestamp" not in known:
        raise ValueError(_unnamed("timestamp", "timestamp", listed))
    if kind is Kind.EVENTS and not event and "event" not in known:
        raise ValueError(f"{_unnamed('event', 'event', listed)}; or --event, where all rows are of one kind")
    return Layout(kind, columns, event, at)


def _unnamed(what: str, field: str, listed: str) -> str:
    return f"no column is called {what}; name one with --column 'NAME={field}'; the columns are {listed}"


def _column(name: str, wanted: Wanted, kind: Kind) -> Column | None:
    if not wanted.field or name == REASON:
        return None
    own = wanted.field in FIELDS[kind]
    field = wanted.field if own else wanted.field.removeprefix("properties.")
    return Column(name, field, own, TYPES[wanted.type or ("number" if not own and field in NUMERIC else "text")])


def read_row(layout: Layout, cells: Sequence[str], number: int, raw: bytes) -> list[EventIn]:
    """The events of a row: what it tells of, and who is the same. Raises ``Flaw``, naming the column."""
    if len(cells) != len(layout.columns):
        raise Flaw(f"{len(cells)} cells, but the header has {len(layout.columns)}")
    fields: dict[str, Any] = {}
    properties: dict[str, Any] = {}
    for column, cell in zip(layout.columns, cells, strict=True):
        if column is not None and (text := cell.strip()):
            try:
                (fields if column.own else properties)[column.field] = column.read(text)
            except Flaw as flaw:
                raise Flaw(f"{column.place}: {flaw.reason}") from None
    address = fields.pop("email", None)
    known_as = email_id(address)
    if address is not None and known_as is None:
        raise Flaw(f"email: {shown(address)} is not an address")
    user_id = fields.pop("user_id", known_as)
    if user_id is None and "anonymous_id" not in fields:
        raise Flaw("who it is about is missing: user_id, email and anonymous_id are empty")
    if match := _SPACED.fullmatch(fields.get("timestamp", "")):  # as Shopify writes it
        fields["timestamp"] = match[1] + match[2].replace("UTC", "Z")
    if layout.kind is Kind.PROFILES:
        if address is not None:
            properties["email"] = address
        told = EventIn(event="identify", user_id=user_id, properties=properties, **fields)
        # Not of the row: read in another way, with a column more, it tells something else.
        told = structs.replace(told, event_id=row_id(number, encode(told)))
    else:
        fields.setdefault("event", layout.event)
        fields.setdefault("event_id", row_id(number, raw))
        told = EventIn(user_id=user_id, properties=properties, **fields)
    if told.timestamp is None:
        told = structs.replace(told, timestamp=layout.at)
    if user_id is None or known_as is None or known_as == user_id:
        return [told]
    return [told, alias(user_id, known_as, told.timestamp)]


def read_json(number: int, raw: bytes) -> list[EventIn]:
    """The event of a line as ``POST /v1/events`` takes it. Raises ``Flaw``."""
    item = decode_event(_decode, msgspec.Raw(raw))
    if isinstance(item, Flaw):
        raise item
    event_id = item.event_id if item.event_id is not None else row_id(number, raw)
    return [structs.replace(item, event_id=event_id, sent_at=None, write_key=None, user_token=None)]


def row_id(number: int, content: bytes) -> str:
    """The same for the same row in the same place, whatever stands behind it: rows may be added to a file."""
    digest = hashlib.blake2b(b"%d\0" % number + content, digest_size=16)
    return f"row.{digest.hexdigest()}"


def check(items: Sequence[EventIn], now: Instant) -> list[Checked]:
    """Raises ``Flaw`` for what the tracker would not take."""
    taken = take(items, Origin(IMPORTED, trusted=True), now, bytes)
    if taken.rejected:
        raise Flaw(taken.rejected[0].error)
    bodies = [encode(item) for item in items]
    if (size := max(map(len, bodies))) > MAX_EVENT_BYTES:
        raise Flaw(f"the event has {size} bytes, at most {MAX_EVENT_BYTES}")
    return [Checked(event.person, body) for event, body in zip(taken.events, bodies, strict=True)]


def in_words(layout: Layout, reason: str) -> str:
    """A flaw with the column as the file calls it."""
    place, _, rest = reason.partition(":")
    for column in layout.columns:
        if column is not None and column.place == place:
            return f"{column.name if column.name == column.field else f'{column.name!r} ({column.field})'}:{rest}"
    return reason
