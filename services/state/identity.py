"""Two that turn out to be one: an anonymous visitor who signs in, two ids of one customer. Pure.

What is said (``shared.identity.tie``) becomes part of the commit, which decides what comes of it (``state.link`` in the
migrations: one graph for all, so chains and circles end in one person) and tells the one that gives way, with a ``Link``.
That one hands over everything it remembers and from then on forwards whatever still arrives. All of it may be repeated.
"""

from typing import TypeAlias

from msgspec import Struct

from services.state.memory import Remembered
from shared.messages import Event, Properties, RuleState


class Link(Struct, frozen=True, tag="link"):
    """To ``person``: you are ``into``."""

    id: str
    person: str
    into: str


class Handover(Struct, frozen=True, tag="handover"):
    """To ``person``: all that ``source``, who turned out to be you, remembered. ``count``: how many events it had.
    ``aliases``: who had turned out to be ``source``."""

    id: str
    person: str
    source: str
    profile: Properties = {}
    history: list[Remembered] = []
    count: int = 0
    rules: dict[str, RuleState] = {}
    forgotten: list[int] = []
    aliases: list[str] = []


Message: TypeAlias = Event | Link | Handover
"""What may stand in a partition's stream."""
