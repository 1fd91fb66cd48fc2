"""Two that turn out to be one: an anonymous visitor who signs in, two ids of one customer. Pure.

What is said (``identify`` with both ids, ``alias``) becomes a tie; the commit decides what comes of it (``state.link`` in the
migrations: one graph for all, so chains and circles end in one person) and tells the one that gives way, with a ``Link``.
That one hands over everything it remembers and from then on forwards whatever still arrives. All of it may be repeated.
"""

from typing import Literal, NamedTuple, TypeAlias

from msgspec import Struct

from services.state.memory import Remembered
from shared.clock import Instant
from shared.messages import Event, Properties, RuleState

Kind: TypeAlias = Literal["identify", "alias"]


class Tie(NamedTuple):
    """``previous`` is the same person as ``person``."""

    previous: str
    person: str
    kind: Kind
    trusted: bool
    event: str
    at: Instant


class Link(Struct, frozen=True, tag="link"):
    """To ``person``: you are ``into``."""

    id: str
    person: str
    into: str


class Handover(Struct, frozen=True, tag="handover"):
    """To ``person``: all that ``source``, who turned out to be you, remembered. ``count``: how many events it had."""

    id: str
    person: str
    source: str
    profile: Properties = {}
    history: list[Remembered] = []
    count: int = 0
    rules: dict[str, RuleState] = {}
    forgotten: list[int] = []


Message: TypeAlias = Event | Link | Handover
"""What may stand in a partition's stream."""


def tie(event: Event, person: str) -> Tie | None:
    """What ``event``, which came to ``person``, says about who is who.

    ``identify`` with a ``user_id`` says whose the ``anonymous_id`` is. ``alias`` says it of ``properties.previous_id`` (or
    ``previousId``), else of the ``anonymous_id``.
    """
    if event.source == "beckon" or event.user_id is None:
        return None
    previous: object = event.anonymous_id
    if event.name == "alias":
        told = event.properties.get("previous_id") or event.properties.get("previousId")
        previous = told if isinstance(told, str) and told else previous
    elif event.name != "identify":
        return None
    if not isinstance(previous, str) or previous in (person, event.user_id) or "\0" in previous or len(previous) > 256:
        return None
    kind: Kind = "alias" if event.name == "alias" else "identify"
    return Tie(previous, person, kind, event.trusted, event.id, event.timestamp)
