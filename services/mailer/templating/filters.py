"""The filters of templates: Liquid's own, none of which may be given or make something endless, and those for mails."""

import re
from collections.abc import Callable
from functools import lru_cache, wraps
from typing import Any

from liquid import Environment, Markup
from liquid.exceptions import FilterArgumentError, FilterError
from liquid.filter import with_environment

from services.mailer import money as amounts
from services.mailer.dates import local_date, local_time
from services.mailer.products import web_url

LONGEST = 16_384
"""Characters of a text that is given to a filter."""
MOST = 500
"""Things in a list that is given to a filter."""
LARGEST = 10**18
PRODUCT = 4_000_000
"""Characters that a text and what it is joined or replaced with may come to."""

REMOVED = ("safe", "escapejs")
"""``safe`` would show as markup what somebody called themselves; no mail program runs scripts."""

HARMLESS = frozenset(
    {
        "css",
        "css_link",
        "date",
        "default",
        "first",
        "last",
        "link",
        "money",
        "size",
        "slice",
        "time",
        "truncate",
        "upcase",
    }
)
"""They give no more than they are given, in a time that grows with it and no faster; templates use little else."""

_QUOTED = str.maketrans({sign: f"%{ord(sign):02X}" for sign in "'\"()\\"})
_TAGS = re.compile(r"<[^<>]*+>")
_PLAIN_CSS = re.compile(r"[\w#%., -]{1,64}")
_MAILING = re.compile(r"(?:mailto|tel):[\w.@+%-]{1,256}", re.ASCII)


@with_environment
def money(value: object, currency: object = "", *, environment: Any) -> str:
    """``{{ product.price | money: product.currency }}``"""
    return amounts.money(value, currency, environment.reader.locale)


@with_environment
def date(value: object, style: object = "medium", *, environment: Any) -> str:
    """``{{ event.timestamp | date: "long" }}`` or ``| date: "%-d %B %Y"``"""
    return local_date(value, style, environment.reader)


@with_environment
def time(value: object, style: object = "short", *, environment: Any) -> str:
    """``{{ event.timestamp | time }}``"""
    return local_time(value, style, environment.reader)


def link(value: object) -> str:
    """``value`` if a link may lead there: a web address, or one to write or call."""
    text = value.unescape() if isinstance(value, Markup) else value
    return _link(text) if isinstance(text, str) else ""


@lru_cache(4096)
def _link(text: str) -> str:
    return web_url(text) or (text if _MAILING.fullmatch(text) else "")


def css_link(value: object) -> str:
    """The same where it is written between ``url('`` and ``')``."""
    return link(value).translate(_QUOTED)


def css(value: object) -> str:
    """``value`` if it is nothing but a plain word, number or colour."""
    text = "" if value is None else str(value)
    return text if _PLAIN_CSS.fullmatch(text) else ""


def strip_html(value: object) -> str:
    return _TAGS.sub("", "" if value is None else str(value))


def register(environment: Environment) -> None:
    for name in REMOVED:
        del environment.filters[name]
    for own in (money, date, time, link, css, css_link, strip_html):
        environment.filters[own.__name__] = own
    for name, filter_ in environment.filters.items():
        if name not in HARMLESS:
            environment.filters[name] = _bounded(name, filter_)


def _bounded(name: str, filter_: Callable[..., Any]) -> Callable[..., Any]:
    @wraps(filter_)
    def bounded(value: object, *arguments: Any, **named: Any) -> Any:
        _weigh(name, value)
        for argument in arguments:
            _weigh(name, argument)
            if type(argument) is str and isinstance(value, str | list) and len(value) * len(argument) > PRODUCT:
                raise FilterArgumentError(f"{name}: both texts are too long", token=None)
        result = filter_(value, *arguments, **named)
        _weigh(name, result)
        return result

    return bounded


def _weigh(name: str, value: object) -> None:
    if value.__class__ is str or isinstance(value, str):
        if len(value) > LONGEST:
            raise FilterError(f"{name}: a text of more than {LONGEST:,} characters", token=None)
    elif isinstance(value, list | tuple | dict | range):
        if len(value) > MOST:
            raise FilterError(f"{name}: a list of more than {MOST:,}", token=None)
    elif isinstance(value, int) and not -LARGEST < value < LARGEST:
        raise FilterError(f"{name}: a number of more than {len(str(LARGEST)) - 1} digits", token=None)
