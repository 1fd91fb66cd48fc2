"""The policy as people write it (YAML or JSON) read into a ``Policy``. Every flaw names its path and what would be right."""

from typing import Any, get_args

from services.throttle.policy import Cap, Policy, Scope
from shared import markup
from shared.clock import DAY
from shared.durations import parse_duration

_SCOPES = get_args(Scope)
_LONGEST = 366 * DAY


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
    for key in content:
        if key == "quiet_hours":
            errors.append("quiet_hours: this version does not know quiet hours yet; leave them out")
        elif key != "caps":
            errors.append(f"{key}: unknown; a policy has `caps`")
    caps = _caps(content.get("caps"), errors)
    if errors:
        raise PolicyError(errors)
    return Policy(tuple(caps))


def _caps(content: Any, errors: list[str]) -> list[Cap]:
    if not isinstance(content, list):
        errors.append("caps: expected a list; write `caps: []` for no caps at all")
        return []
    return [cap for index, item in enumerate(content) if (cap := _cap(item, f"caps[{index}]", errors))]


def _cap(item: Any, path: str, errors: list[str]) -> Cap | None:
    if not isinstance(item, dict):
        errors.append(f"{path}: expected a mapping like {{max: 1, per: 24h, scope: rule}}")
        return None
    before = len(errors)
    for key in item:
        if key not in ("max", "per", "scope"):
            errors.append(f"{path}.{key}: unknown; a cap has `max`, `per` and `scope`")
    most, scope = item.get("max"), item.get("scope")
    if type(most) is not int or most < 1:
        errors.append(f"{path}.max: {most!r} is not a whole number of at least 1")
    if scope not in _SCOPES:
        errors.append(f"{path}.scope: {scope!r} is not one of {', '.join(_SCOPES)}")
    try:
        per = parse_duration(item.get("per"))
        if not 0 < per <= _LONGEST:
            raise ValueError(f"{item['per']!r} is not a duration of 1s to 366d, try 24h")
    except ValueError as error:
        errors.append(f"{path}.per: {error}")
    if len(errors) > before:
        return None
    return Cap(item["max"], per, item["scope"])
