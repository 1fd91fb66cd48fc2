"""What the throttle allows, as data: frozen, and the same for every decision until a new version is put. Pure."""

from typing import Literal

from msgspec import Struct

from services.throttle.hours import Day, Hours, Zone
from shared.clock import DAY, HOUR, MINUTE, SECOND, Duration

Scope = Literal["rule", "all", "category"]
Then = Literal["defer", "drop"]


class Cap(Struct, frozen=True):
    """At most ``max`` sends to a person in any ``per``: of one rule, of one category, or of all together."""

    max: int
    per: Duration
    scope: Scope


class Quiet(Struct, frozen=True):
    """``exempt``: the categories that are sent all the same."""

    hours: Hours
    exempt: tuple[str, ...] = ()
    then: Then = "defer"


class Window(Struct, frozen=True):
    """What is sent within ``hours`` only: these ``categories``, or if none are named, all that no other window names."""

    hours: Hours
    categories: tuple[str, ...] = ()


class Spacing(Struct, frozen=True):
    """``least``: how long after one send to a person the next may follow, of whatever kind or of the same category."""

    least: Duration
    scope: Literal["all", "category"] = "all"
    then: Then = "defer"


class Policy(Struct, frozen=True):
    """``settle``: how long triggers of one person wait for each other, so that the most important goes first."""

    caps: tuple[Cap, ...]
    quiet: Quiet | None = None
    windows: tuple[Window, ...] = ()
    zone: Zone = Zone()
    spacing: Spacing | None = None
    settle: Duration = 0

    @property
    def horizon(self) -> Duration:
        """How far back a decision looks."""
        return max([cap.per for cap in self.caps] + [self.spacing.least if self.spacing else 0])

    def day(self, category: str, zone: str) -> Day:
        """The hours that count for a category. ``zone``: the person's, or none for the default."""
        quiet = [self.quiet.hours] if self.quiet and category not in self.quiet.exempt else []
        own = [window.hours for window in self.windows if category in window.categories]
        windows = own or [window.hours for window in self.windows if not window.categories]
        return Day(zone or self.zone.default, quiet, windows)

    def asks_zone(self, category: str) -> bool:
        """Whether the person's own time zone matters to a trigger of this category."""
        day = self.day(category, "")
        return self.zone.attribute is not None and bool(day.quiet or day.windows)


DEFAULT = Policy((Cap(1, DAY, "rule"), Cap(2, DAY, "all")))
"""In force until somebody puts a policy."""


def text(duration: Duration) -> str:
    """``24h``, ``7d``, ``2h30m``, as a person would write it; below a second ``0s``."""
    if duration == DAY:
        return "24h"
    parts = []
    for unit, letter in ((DAY, "d"), (HOUR, "h"), (MINUTE, "m"), (SECOND, "s")):
        count, duration = divmod(duration, unit)
        if count:
            parts.append(f"{count}{letter}")
    return "".join(parts) or "0s"


def clock(minute: int) -> str:
    """``08:00``."""
    return f"{minute // 60:02}:{minute % 60:02}"
