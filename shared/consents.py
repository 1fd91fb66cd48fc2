"""What is asked of the throttle about whom mail may go to: what people chose, and who is suppressed."""

from msgspec import Struct


class Suppress(Struct):
    """Request on ``suppressions.put``: send nothing to this person any more (``remove``: lift that)."""

    person: str
    reason: str
    remove: bool = False


class Suppressed(Struct):
    person: str
    suppressed: bool


class GetConsents(Struct):
    """Request on ``consents.get``."""

    person: str


class Consents(Struct, frozen=True):
    """Reply to ``GetConsents``: whether the person wants mail at all, and of which categories, of those they ever got or
    chose about."""

    everything: bool = True
    categories: dict[str, bool] = {}


class CheckConsent(Struct):
    """Request on ``consents.check``: may this person, under whatever id, still be sent mail of this category?"""

    person: str
    category: str
    aliases: list[str] = []


class ConsentChecked(Struct):
    """Reply to ``CheckConsent``: why not, empty if nothing is against it."""

    refusal: str = ""
