"""What events say about who is who, and what comes of it. Pure.

The state service decides in PostgreSQL (``state.link``), where everybody sees the same; ``Identities`` decides in the same
way for histories that are played again.
"""

from typing import Literal, NamedTuple, TypeAlias

from shared.clock import Instant
from shared.messages import Event

Kind: TypeAlias = Literal["identify", "alias"]


class Tie(NamedTuple):
    """``previous`` is the same person as ``person``."""

    previous: str
    person: str
    kind: Kind
    trusted: bool
    event: str
    at: Instant


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


class Identities:
    """Who turned out to be whom. Flat, so chains and circles cannot be: nobody's person is an alias."""

    def __init__(self) -> None:
        self._person: dict[str, str] = {}
        self._aliases: dict[str, set[str]] = {}
        self._known: set[str] = set()

    def person(self, key: str) -> str:
        return self._person.get(key, key)

    def knows(self, user_id: str) -> None:
        """Somebody signed in as ``user_id``: whoever is that is not anonymous."""
        self._known.add(user_id)

    def link(self, tie: Tie) -> tuple[str, bool] | None:
        """Who gives way to ``person(tie.person)``, if anybody does, and whether with all they have.

        An anonymous id that belongs to somebody else already only changes hands (a device that is shared); two that are
        known are one only if a trusted alias says so.
        """
        root, previous = self.person(tie.person), self.person(tie.previous)
        if previous == root:
            return None
        if tie.kind == "identify" and previous != tie.previous:
            self._aliases[previous].discard(tie.previous)
            self._give({tie.previous}, root)
            return tie.previous, False
        if previous in self._known and not (tie.kind == "alias" and tie.trusted):
            return None
        self._give({previous, *self._aliases.pop(previous, ())}, root)
        return previous, True

    def _give(self, aliases: set[str], root: str) -> None:
        self._aliases.setdefault(root, set()).update(aliases)
        self._person.update(dict.fromkeys(aliases, root))
