"""Events in files, one a line, as ``POST /v1/events`` takes them. Pure.

A line may say when it was received (default: its timestamp) and may be of any age. Whoever has the file vouches for it: an
event is trusted unless its line says ``"trusted": false``. What Beckon itself wrote (``email_opened`` …) is taken as well.
"""

from typing import NamedTuple

import msgspec

from services.tracker.events import (
    MAX_EVENT_BYTES,
    UNREADABLE,
    EventIn,
    Origin,
    event_name,
    explain,
    given_id,
    whole_event,
)
from services.tracker.flaws import Flaw
from services.tracker.timestamps import MAX_AHEAD, parse_instant
from shared.clock import Instant
from shared.messages import Event
from shared.outcomes import OUTCOMES


class LineIn(EventIn, frozen=True):
    received_at: str | int | float | None = None
    trusted: bool = True


class Line(NamedTuple):
    event: Event
    received: Instant


_decode = msgspec.json.Decoder(LineIn).decode


def read_line(data: bytes, number: int, source: str = "file") -> Line:
    """``number`` becomes the id of an event that has none. Raises ``Flaw``."""
    if len(data) > MAX_EVENT_BYTES:
        raise Flaw(f"the event has {len(data)} bytes, at most {MAX_EVENT_BYTES}")
    try:
        item = _decode(data)
    except UNREADABLE as error:
        raise Flaw(explain(error)) from None
    told = item.timestamp if item.timestamp is not None else item.received_at
    if told is None:
        raise Flaw("timestamp is missing: a file has no clock")
    timestamp = parse_instant("timestamp", told)
    received = parse_instant("received_at", item.received_at) if item.received_at is not None else timestamp
    if timestamp < 0 or received < 0:
        raise Flaw("timestamp: is before 1970")
    if timestamp > received + MAX_AHEAD:
        raise Flaw("timestamp: is more than 5 minutes after received_at")
    name = event_name(item.event)
    event_id = given_id(item.event_id, own=name in OUTCOMES) if item.event_id is not None else f"line-{number}"
    origin = Origin(source, item.trusted)
    return Line(whole_event(item, name, origin, timestamp, event_id, received), received)
