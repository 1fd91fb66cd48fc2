"""How a person reads numbers and dates, and in which direction; what is not known of them is the shop's."""

from functools import lru_cache
from zoneinfo import ZoneInfo

from babel import Locale, UnknownLocaleError
from msgspec import Struct

DEFAULT_LOCALE = "en"
DEFAULT_ZONE = "UTC"
_LONGEST = 64


class Reader(Struct, frozen=True):
    """``locale`` as in BCP 47 (``de-AT``), ``timezone`` as in the IANA database, ``dir``: ``ltr`` or ``rtl``."""

    locale: str = DEFAULT_LOCALE
    timezone: str = DEFAULT_ZONE
    dir: str = "ltr"


def reader(locale: object, timezone: object, default: Reader = Reader()) -> Reader:  # noqa: B008 - frozen
    """Of what a profile says; anything may stand there."""
    known = parsed(locale) if isinstance(locale, str) else None
    zone = timezone if isinstance(timezone, str) and zone_of(timezone) else default.timezone
    if known is None:
        return Reader(default.locale, zone, default.dir)
    return Reader(str(known).replace("_", "-"), zone, "rtl" if known.text_direction == "rtl" else "ltr")


@lru_cache(1024)
def parsed(tag: str) -> Locale | None:
    """``de-AT``, ``pt_BR``, ``zh-Hant-TW``; without the region where CLDR does not know both, none for what is no locale."""
    if not tag or len(tag) > _LONGEST or not tag.isascii():
        return None
    clean = tag.strip().replace("-", "_").partition(".")[0].partition("@")[0]
    for candidate in (clean, clean.partition("_")[0]):
        try:
            return Locale.parse(candidate)
        except (UnknownLocaleError, ValueError, TypeError):
            continue
    return None


@lru_cache(1024)
def zone_of(name: str) -> ZoneInfo | None:
    """None for what is no time zone of the IANA database."""
    if not name or len(name) > _LONGEST or not name.isascii():
        return None
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # ZoneInfoNotFoundError is a KeyError; OSError: a folder's name
        return None
