"""What may stand in ``properties`` and ``context``: whatever MessagePack and PostgreSQL's ``jsonb`` both keep unchanged."""

from collections.abc import Iterable
from typing import Any

from services.tracker.flaws import Flaw, shown

MAX_DEPTH = 10
"""Levels of objects and arrays in each of ``properties`` and ``context``, which are themselves the first."""
MAX_KEYS = 255
"""Keys in all objects of an event's ``properties`` and ``context`` together."""
MIN_INTEGER = -(2**63)
MAX_INTEGER = 2**63 - 1

_UNKEPT = "NUL or half of a surrogate pair, which cannot be stored"


def check_values(*named: tuple[str, dict[str, Any]]) -> None:
    """Look through decoded JSON objects, each with its name. Raises ``Flaw`` naming the first place that is wrong."""
    keys = 0
    level: list[tuple[str, Any]] = [pair for pair in named if pair[1]]
    depth = 0
    while level:
        depth += 1
        below: list[tuple[str, Any]] = []
        for place, container in level:
            if depth > MAX_DEPTH:
                raise Flaw(f"{place}: nested too deep, at most {MAX_DEPTH} levels")
            items: Iterable[tuple[Any, Any]]
            if type(container) is dict:
                keys += len(container)
                items = container.items()
            else:
                items = enumerate(container)
            for key, value in items:
                kind = type(value)
                if kind is str:
                    if "\0" in value:
                        raise Flaw(f"{_inside(place, key)}: holds {_UNKEPT}")
                elif kind is int:
                    if not MIN_INTEGER <= value <= MAX_INTEGER:
                        raise Flaw(
                            f"{_inside(place, key)}: {shown(value)} does not fit in 64 bits, send it as a string"
                        )
                elif kind is dict or kind is list:
                    below.append((_inside(place, key), value))
                if type(key) is str and "\0" in key:
                    raise Flaw(f"{_inside(place, key)}: the key holds {_UNKEPT}")
        level = below
    if keys > MAX_KEYS:
        raise Flaw(f"properties and context have {keys} keys, at most {MAX_KEYS}")


def _inside(place: str, key: str | int) -> str:
    return f"{place}[{key}]" if isinstance(key, int) else f"{place}.{shown(key)[1:-1]}"
