"""Settings from the environment, into one frozen struct per service."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import msgspec
from msgspec import Struct

from shared.clock import Lapse

S = TypeVar("S", bound=Struct)
T = TypeVar("T")


class SettingsError(Exception):
    """``lines``: one per bad or missing variable, each naming it."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


class Common(Struct, frozen=True, kw_only=True):
    """What every service reads."""

    nats_url: str
    """``nats://user:password@host:port``, several separated by commas."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    beckon_env: Literal["production", "staging"] = "production"
    partitions: int = 64
    """Fixed at the first start; every later start must say the same."""
    health_host: str = "127.0.0.1"
    health_port: int = 0
    """``/healthz``, ``/readyz`` and ``/metrics``; 0 picks a free port and logs it."""
    shutdown_s: float = 20.0
    """What a drain may take at the end; keep it below the grace period of the pod."""
    time_lapse: str = ""
    """For trying rules in staging: ``2026-01-31T09:00:00Z@600``, since that instant time runs 600 times as fast. The same for
    all services."""

    def __post_init__(self) -> None:
        if self.partitions < 1:
            raise ValueError("PARTITIONS must be at least 1")
        if self.lapse.speed != 1 and self.beckon_env != "staging":
            raise ValueError("TIME_LAPSE is for BECKON_ENV=staging only: people are not mailed before their time")

    @property
    def lapse(self) -> Lapse:
        """Raises ``ValueError`` if ``time_lapse`` is none."""
        return check("TIME_LAPSE", lambda: Lapse.parse(self.time_lapse)) if self.time_lapse else Lapse()


def load(cls: type[S], environ: Mapping[str, str] | None = None) -> S:
    """Read each field from the variable of its name in capitals, or from the file that ``<NAME>_FILE`` names.

    Raises ``SettingsError`` with every bad or missing variable, not only the first.
    """
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    lines: list[str] = []
    for field in msgspec.structs.fields(cls):
        name = field.name.upper()
        try:
            text = _text(name, environ)
            if text is None:
                if field.required:
                    lines.append(f"{name} is not set ({_expected(field.type)})")
                continue
            values[field.name] = _convert(name, text, field.type)
        except ValueError as error:
            lines.append(str(error))
    if lines:
        raise SettingsError(lines)
    try:
        return cls(**values)
    except ValueError as error:
        raise SettingsError([str(error)]) from None


def check(name: str, read: Callable[[], T]) -> T:
    """What ``read`` makes of the variable ``name``. Raises ``ValueError``, naming it, if that does."""
    try:
        return read()
    except ValueError as error:
        raise ValueError(f"{name}: {error}") from None


def _text(name: str, environ: Mapping[str, str]) -> str | None:
    if (text := environ.get(name)) not in (None, ""):
        return text
    path = environ.get(f"{name}_FILE")
    if not path:
        return None
    try:
        return Path(path).read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(f"{name}_FILE: cannot read {path!r}: {error}") from None


def _convert(name: str, text: str, kind: Any) -> Any:
    if get_origin(kind) is tuple:
        return tuple(part for part in (piece.strip() for piece in text.split(",")) if part)
    try:
        return msgspec.convert(text.lower() if kind is bool else text, kind, strict=False)
    except msgspec.ValidationError:
        shown = text if "PASSWORD" not in name and "SECRET" not in name and "URL" not in name else "the value"
        raise ValueError(f"{name}: {shown!r} is not {_expected(kind)}") from None


def _expected(kind: Any) -> str:
    if get_origin(kind) is Literal:
        return "one of " + ", ".join(get_args(kind))
    if get_origin(kind) is tuple:
        return "a list separated by commas"
    names = {int: "a whole number", float: "a number", bool: "true or false", str: "a text"}
    return names.get(kind, "a text")
