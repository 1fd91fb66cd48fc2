"""The policy as people write it (YAML or JSON) read into a ``Policy``. Every flaw names its path and what would be right."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, get_args

from msgspec import structs

from services.throttle.hours import DAYS, EVERY_DAY, MINUTES, Hours, Zone, load, next_open
from services.throttle.policy import Cap, Policy, Quiet, Scope, Spacing, Then, Window
from shared import markup
from shared.clock import DAY, MINUTE, SECOND, Duration
from shared.durations import parse_duration

POLICY = ("caps", "quiet_hours", "windows", "spacing", "settle", "timezone", "default_timezone")
CAP = ("max", "per", "scope")
QUIET = ("from", "to", "timezone", "default_timezone", "then", "except")
WINDOW = ("days", "from", "to", "categories")
SPACING = ("least", "scope", "then")
SCOPES = get_args(Scope)
TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)|(24):(00)", re.ASCII)
CATEGORY = re.compile(r"[a-zA-Z0-9_-]{1,64}", re.ASCII)
_LONGEST = 366 * DAY
_LONGEST_SETTLE = 10 * MINUTE
_ATTRIBUTE = re.compile(r"profile\.([^.\s]+(?:\.[^.\s]+)*)")


class PolicyError(Exception):
    """``errors``: one line per flaw, each beginning with a path in the document."""

    def __init__(self, errors: list[str]) -> None:
        super().__init__("; ".join(errors))
        self.errors = errors


def read(document: str) -> Policy:
    """Raises ``PolicyError`` with every flaw, not only the first."""
    try:
        content = markup.load(document)
    except markup.MarkupError as error:
        raise PolicyError([f"policy: {error}"]) from None
    if not isinstance(content, dict):
        raise PolicyError(
            ["policy: expected a mapping with `caps`, for example `caps: [{max: 1, per: 24h, scope: rule}]`"]
        )
    errors: list[str] = []
    _only(content, "", POLICY, "a policy has", errors)
    policy = Policy(
        tuple(_caps(content.get("caps"), errors)),
        _quiet(content["quiet_hours"], errors) if "quiet_hours" in content else None,
        tuple(_windows(content["windows"], errors)) if "windows" in content else (),
        _zone(content, errors),
        _spacing(content["spacing"], errors) if "spacing" in content else None,
        _duration(content["settle"], "settle", errors, least=0, most=_LONGEST_SETTLE) if "settle" in content else 0,
    )
    if not errors:
        _never_open(policy, errors)
    if errors:
        raise PolicyError(errors)
    return policy


def _caps(content: Any, errors: list[str]) -> list[Cap]:
    if not isinstance(content, list):
        errors.append("caps: expected a list; write `caps: []` for no caps at all")
        return []
    return [cap for index, item in enumerate(content) if (cap := _cap(item, f"caps[{index}]", errors))]


def _cap(item: Any, path: str, errors: list[str]) -> Cap | None:
    if not _mapping(item, path, "{max: 1, per: 24h, scope: rule}", errors):
        return None
    before = len(errors)
    _only(item, path, CAP, "a cap has", errors)
    if type(most := item.get("max")) is not int or most < 1:
        errors.append(f"{path}.max: {most!r} is not a whole number of at least 1")
    _one_of(item.get("scope"), f"{path}.scope", SCOPES, errors)
    per = _duration(item.get("per"), f"{path}.per", errors)
    return Cap(item["max"], per, item["scope"]) if len(errors) == before else None


def _quiet(item: Any, errors: list[str]) -> Quiet | None:
    path = "quiet_hours"
    if not _mapping(item, path, '{from: "21:00", to: "08:00"}', errors):
        return None
    _only(item, path, QUIET, "quiet hours have", errors)
    hours = _hours(item, path, EVERY_DAY, errors)
    exempt = _categories(item["except"], f"{path}.except", errors) if "except" in item else ()
    return Quiet(hours, exempt, _then(item, path, errors))


def _windows(content: Any, errors: list[str]) -> Iterable[Window]:
    if not isinstance(content, list):
        errors.append(
            'windows: expected a list, for example `windows: [{days: [mon-fri], from: "09:00", to: "18:00"}]`'
        )
        return
    for index, item in enumerate(content):
        path = f"windows[{index}]"
        if not _mapping(item, path, '{days: [mon-fri], from: "09:00", to: "18:00"}', errors):
            continue
        _only(item, path, WINDOW, "a window has", errors)
        days = _days(item["days"], f"{path}.days", errors) if "days" in item else EVERY_DAY
        named = _categories(item["categories"], f"{path}.categories", errors) if "categories" in item else ()
        yield Window(_hours(item, path, days, errors), named)


def _spacing(item: Any, errors: list[str]) -> Spacing | None:
    """``4h``, or a mapping."""
    if not isinstance(item, dict):
        return Spacing(_duration(item, "spacing", errors))
    _only(item, "spacing", SPACING, "spacing has", errors)
    scope = _one_of(item.get("scope", "all"), "spacing.scope", ("all", "category"), errors)
    least = _duration(item.get("least"), "spacing.least", errors)
    return Spacing(least, "category" if scope == "category" else "all", _then(item, "spacing", errors))


def _zone(content: Mapping[str, Any], errors: list[str]) -> Zone:
    """It may stand with the quiet hours, or above them for these and the windows alike: it is the same one."""
    quiet = content.get("quiet_hours")
    places = [("quiet_hours.", quiet)] if isinstance(quiet, dict) else []
    zone, said = Zone(), set[str]()
    for path, place in [("", content), *places]:
        for key in ("timezone", "default_timezone"):
            if key not in place:
                continue
            if key in said:
                errors.append(f"{path}{key}: is also said at the top; say it once")
            said.add(key)
            zone = _named(place[key], key, f"{path}{key}", zone, errors)
    if zone.attribute is None and "default_timezone" in said:
        errors.append("default_timezone: is of no use where `timezone` names the same one for everybody")
    return zone


def _named(value: Any, key: str, path: str, zone: Zone, errors: list[str]) -> Zone:
    if key == "timezone" and isinstance(value, str) and (match := _ATTRIBUTE.fullmatch(value)):
        return structs.replace(zone, attribute=match.group(1))
    if isinstance(value, str) and load(value):
        return structs.replace(zone, default=value) if key == "default_timezone" else Zone(None, value)
    attribute = "neither an attribute like profile.timezone nor" if key == "timezone" else "not"
    errors.append(f"{path}: {value!r} is {attribute} a time zone such as Europe/Berlin")
    return zone


def _hours(item: Mapping[str, Any], path: str, days: frozenset[int], errors: list[str]) -> Hours:
    start = _time(item.get("from"), f"{path}.from", "21:00", errors)
    end = _time(item.get("to"), f"{path}.to", "08:00", errors)
    if start is None or end is None:
        return Hours(0, MINUTES)
    if start == MINUTES:
        errors.append(f'{path}.from: "24:00" is where a day ends, it begins at "00:00"')
    if start == end:
        errors.append(f'{path}.to: {item["to"]!r} is when it begins; a whole day is from "00:00" to "24:00"')
    return Hours(start, end, days)


def _time(value: Any, path: str, example: str, errors: list[str]) -> int | None:
    """Minutes after midnight."""
    if isinstance(value, str) and (match := TIME.fullmatch(value)):
        hour, minute = (int(group) for group in match.groups() if group)
        return hour * 60 + minute
    errors.append(f'{path}: {value!r} is not a time of the day, try "{example}"')
    return None


def _days(value: Any, path: str, errors: list[str]) -> frozenset[int]:
    found: set[int] = set()
    for index, item in enumerate(value if isinstance(value, list) and value else [value]):
        first, dash, last = item.partition("-") if isinstance(item, str) else ("", "", "")
        if first not in DAYS or (dash and last not in DAYS):
            where = f"{path}[{index}]" if isinstance(value, list) and value else path
            errors.append(f"{where}: {item!r} is neither a day ({', '.join(DAYS)}) nor several such as mon-fri")
            continue
        begin, end = DAYS.index(first), DAYS.index(last or first)
        found |= {day % 7 for day in range(begin, end + 1 if end >= begin else end + 8)}
    return frozenset(found)


def _categories(value: Any, path: str, errors: list[str]) -> tuple[str, ...]:
    if not isinstance(value, list) or not value:
        errors.append(f"{path}: expected a list of categories, for example [transactional]")
        return ()
    for index, item in enumerate(value):
        if not isinstance(item, str) or not CATEGORY.fullmatch(item):
            errors.append(f"{path}[{index}]: {item!r} is not 1 to 64 letters, digits, _ or -")
    return tuple(value)


def _then(item: Mapping[str, Any], path: str, errors: list[str]) -> Then:
    return "drop" if _one_of(item.get("then", "defer"), f"{path}.then", get_args(Then), errors) == "drop" else "defer"


def _mapping(item: Any, path: str, example: str, errors: list[str]) -> bool:
    if not isinstance(item, dict):
        errors.append(f"{path}: expected a mapping like {example}")
    return isinstance(item, dict)


def _only(item: Mapping[str, Any], path: str, known: tuple[str, ...], what: str, errors: list[str]) -> None:
    names = ", ".join(f"`{name}`" for name in known[:-1]) + f" and `{known[-1]}`"
    for key in item:
        if key not in known:
            errors.append(f"{path}.{key}".lstrip(".") + f": unknown; {what} {names}")


def _one_of(value: Any, path: str, known: tuple[str, ...], errors: list[str]) -> str | None:
    if isinstance(value, str) and value in known:
        return value
    errors.append(f"{path}: {value!r} is not one of {', '.join(known)}")
    return None


def _duration(
    value: Any, path: str, errors: list[str], *, least: Duration = SECOND, most: Duration = _LONGEST
) -> Duration:
    try:
        duration = parse_duration(value)
    except ValueError as error:
        errors.append(f"{path}: {error}")
        return SECOND
    if not least <= duration <= most:
        bounds = "1s to 366d, try 24h" if most == _LONGEST else "0s to 10m, try 2s"
        errors.append(f"{path}: {value!r} is not a duration of {bounds}")
    return duration


def _never_open(policy: Policy, errors: list[str]) -> None:
    """What lies within the quiet hours altogether would be kept back for ever."""
    named = {name: f"windows[{index}]" for index, window in enumerate(policy.windows) for name in window.categories}
    for category, path in {"": "windows" if policy.windows else "quiet_hours", **named}.items():
        if next_open(policy.day(category, "UTC"), 0) is None:
            what = f"category {category}" if category else "most categories"
            errors.append(f"{path}: leaves no time at all at which mails of {what} could be sent")
