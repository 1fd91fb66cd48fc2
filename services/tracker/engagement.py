"""What people do with mails, and how to tell them from machines. Pure.

Mail programs and scanners fetch the images of mails and follow their links, many of them before anybody has read a word.
What they do is recorded under names of its own, so no rule takes it for interest, or for activity, unless it says so.
"""

import zlib
from collections.abc import Mapping
from typing import Any

from services.tracker.events import is_bot
from shared.clock import MINUTE, Duration, Instant
from shared.links import Link
from shared.messages import Event
from shared.outcomes import own_event

_APPLE = "Mozilla/5.0"
"""All that Apple's Mail Privacy Protection says of itself: no browser says so little."""
_PROXIES = {"googleimageproxy": "google", "ggpht.com": "google", "yahoomailproxy": "yahoo"}
_SCANNERS = ("barracuda", "mimecast", "proofpoint", "safelinks", "symantec", "cloudmark", "spamexperts", "java/")
"""Scanners of mail that are no crawlers of the web, and so stand in no list of those."""
_PREFETCH = ("Sec-Purpose", "Purpose", "X-Purpose", "X-Moz")
_SAME: Duration = MINUTE
"""The same link again within the same minute is the same opening, or the same click."""


def machine(method: str, headers: Mapping[str, str], age: Duration, human_after: Duration) -> str | None:
    """What tells that this was no person, none if nothing does. ``age``: of the mail. Nobody reads a mail that is younger
    than ``human_after``."""
    if method == "HEAD":
        return "head"
    if any("prefetch" in headers.get(name, "") or "preview" in headers.get(name, "") for name in _PREFETCH):
        return "prefetch"
    agent = headers.get("User-Agent", "").strip()
    if agent == _APPLE:
        return "apple"
    plain = agent.lower()
    for mark, name in _PROXIES.items():
        if mark in plain:
            return name
    if not agent or any(mark in plain for mark in _SCANNERS) or is_bot(agent):
        return "scanner"
    return "at once" if age < human_after else None


def opened(link: Link, now: Instant, by: str | None) -> Event:
    """``by``: the machine, if it was one."""
    return _used("email_opened", link, now, by, {})


def clicked(link: Link, now: Instant, by: str | None) -> Event:
    return _used("email_clicked", link, now, by, {"url": link.url})


def chosen(link: Link, now: Instant, *, wanted: bool, category: str | None = None) -> Event:
    """The person wants mails (again), or no longer: of one category, or any at all."""
    name = "email_resubscribed" if wanted else "email_unsubscribed"
    scope = {"scope": "all"} if category is None else {"scope": "category", "category": category}
    return _event(name, link, now, f"{now}.{category or ''}", scope)


def _used(name: str, link: Link, now: Instant, by: str | None, properties: dict[str, Any]) -> Event:
    if by is not None:
        name, properties = f"{name}_by_machine", {**properties, "machine": by}
    return _event(name, link, now, f"{now // _SAME}.{zlib.crc32(link.url.encode()):x}", properties)


def _event(name: str, link: Link, now: Instant, occasion: str, properties: dict[str, Any]) -> Event:
    about = {"trigger_id": link.trigger, "rule": link.rule, "version": link.version, "category": link.category}
    return own_event(name, f"{link.trigger}.{name}.{occasion}", link.person, now, about | properties)
