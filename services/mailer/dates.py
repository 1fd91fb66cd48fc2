"""Instants as people read them: in their time zone, in the words of their language."""

import re
from datetime import UTC, date, datetime
from functools import lru_cache

from babel.dates import format_date, format_datetime, format_time

from services.mailer.locales import Reader, zone_of

STYLES = ("short", "medium", "long", "full")
_DIRECTIVE = re.compile(r"%-?(.)", re.DOTALL)
_PATTERNS = {
    "a": "EEE", "A": "EEEE", "b": "MMM", "B": "MMMM", "d": "dd", "e": "d", "H": "HH", "I": "hh", "j": "DDD", "l": "h",
    "m": "MM", "M": "mm", "p": "a", "S": "ss", "y": "yy", "Y": "y", "Z": "z", "-d": "d", "-H": "H", "-I": "h", "-m": "M",
}  # fmt: skip
"""Directives of Liquid's ``date`` (strftime), as Unicode writes them (UTS 35): so they are in the reader's language."""
_LONGEST = 64


def local_date(value: object, style: object, reader: Reader) -> str:
    """``value``: a timestamp in RFC 3339, or a date. ``style``: short, medium, long or full, or a format like ``%-d %B %Y``.
    Nothing for what is no date."""
    moment = _moment(value, reader)
    return "" if moment is None else _date(moment, _text(style), reader.locale.replace("-", "_"))


def local_time(value: object, style: object, reader: Reader) -> str:
    moment = _moment(value, reader)
    if moment is None:
        return ""
    named = _text(style)
    locale = reader.locale.replace("-", "_")
    return format_time(moment, named if named in STYLES else "short", tzinfo=moment.tzinfo, locale=locale)


def _text(style: object) -> str:
    return style[:_LONGEST] if isinstance(style, str) else ""


def _moment(value: object, reader: Reader) -> datetime | None:
    zone = zone_of(reader.timezone) or UTC
    if isinstance(value, datetime):
        return (value if value.tzinfo else value.replace(tzinfo=UTC)).astimezone(zone)
    if not isinstance(value, str) or len(value) > _LONGEST:
        return None
    try:
        if len(value) == 10:  # a day is that day everywhere
            return datetime.combine(date.fromisoformat(value), datetime.min.time(), tzinfo=zone)
        moment = datetime.fromisoformat(value)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(zone)
    except (ValueError, OverflowError):
        return None


@lru_cache(4096)
def _date(moment: datetime, style: str, locale: str) -> str:
    if style in STYLES:
        return format_date(moment.date(), style, locale=locale)
    if "%" not in style:
        return format_date(moment.date(), "medium", locale=locale)
    return format_datetime(moment, _pattern(style), tzinfo=moment.tzinfo, locale=locale)


@lru_cache(256)
def _pattern(strftime: str) -> str:
    """What is no directive is text, which Unicode's patterns want in quotation marks."""
    parts, text, at = [], "", 0
    for found in _DIRECTIVE.finditer(strftime):
        text += strftime[at : found.start()]
        at = found.end()
        if found[1] == "%":
            text += "%"
            continue
        parts += [_quoted(text), _PATTERNS.get(found[0][1:]) or _PATTERNS.get(found[1], "")]
        text = ""
    return "".join([*parts, _quoted(text + strftime[at:])])


def _quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'" if text else ""
