"""One person under several ids, where a shop or a file tells of them: a customer's number, and an e-mail address. Pure.

Who has a number is known by it; who has only an address, like a guest who buys, by the address. Where both are told, an
``alias`` makes them one, so that a guest who registers later keeps what was known of them.
"""

import hashlib

from services.tracker.events import MAX_PERSON, EventIn
from services.tracker.timestamps import Time


def email_id(email: object) -> str | None:
    """The id of whom only an address is known: in lower case, without spaces around it. None if it is no address."""
    if not isinstance(email, str):
        return None
    plain = email.strip().lower()
    return plain if 3 <= len(plain) <= MAX_PERSON and "@" in plain[1:-1] and plain.isprintable() else None


def alias(user_id: str, previous_id: str, timestamp: Time = None) -> EventIn:
    """Says that the two are one; the same two always in the same event."""
    digest = hashlib.sha256(f"{user_id}\0{previous_id}".encode()).hexdigest()[:32]
    return EventIn(
        event="alias",
        user_id=user_id,
        timestamp=timestamp,
        event_id=f"alias.{digest}",
        properties={"previous_id": previous_id},
    )
