"""Where an SMTP server is, how to speak with it, and how much it takes. Pure."""

import re
from collections.abc import Sequence
from urllib.parse import parse_qsl, unquote, urlsplit

from msgspec import Struct

EXPECTED = "expected smtp[s]://user:password@host:port?rate=100/s&pool=8"

_RATE = re.compile(r"([1-9][0-9]{0,8})/([smh])")
_UNIT_S = {"s": 1, "m": 60, "h": 3600}
_POOL = re.compile(r"[1-9][0-9]{0,2}")


class Server(Struct, frozen=True):
    host: str
    port: int
    tls: bool
    """TLS from the first byte (``smtps``); otherwise STARTTLS where the server offers it."""
    user: str | None = None
    password: str | None = None
    interval_s: float = 0.0
    """The least time between two mails; 0: none."""
    pool: int | None = None
    """Connections at a time; none: as many as for any other."""

    @property
    def name(self) -> str:
        """For logs and metrics."""
        return f"{self.host}:{self.port}"


def servers(urls: Sequence[str]) -> tuple[Server, ...]:
    """In the order of priority. Raises ``ValueError``, which never repeats a password."""
    if not urls:
        raise ValueError(f"is empty; {EXPECTED}")
    found = tuple(server(url) for url in urls)
    if len({each.name for each in found}) < len(found):
        raise ValueError("names the same host and port twice")
    return found


def server(url: str) -> Server:
    """User and password are percent-encoded where need be; the port defaults to 465 for smtps, 587 with a user and 25
    without. ``rate`` is so many mails a second, minute or hour, evenly spread. Raises ``ValueError``."""
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"its host or port cannot be read; {EXPECTED}") from None
    if parts.scheme not in ("smtp", "smtps"):
        raise ValueError(f"begins with {parts.scheme or 'no scheme'!r}; {EXPECTED}")
    if not parts.hostname:
        raise ValueError(f"has no host; {EXPECTED}")
    if parts.path not in ("", "/") or parts.fragment:
        raise ValueError(f"has something after the port; {EXPECTED}")
    tls = parts.scheme == "smtps"
    user = unquote(parts.username) if parts.username else None
    interval_s, pool = _options(parts.query)
    return Server(
        parts.hostname,
        port or (465 if tls else 587 if user else 25),
        tls,
        user,
        unquote(parts.password or "") if user else None,
        interval_s,
        pool,
    )


def _options(query: str) -> tuple[float, int | None]:
    interval_s, pool = 0.0, None
    for name, value in parse_qsl(query, keep_blank_values=True):
        if name == "rate" and (rate := _RATE.fullmatch(value)):
            interval_s = _UNIT_S[rate[2]] / int(rate[1])
        elif name == "pool" and _POOL.fullmatch(value):
            pool = int(value)
        elif name in ("rate", "pool"):
            raise ValueError(f"{name}={value} cannot be read; {EXPECTED}")
        else:
            raise ValueError(f"has an option {name!r}, there are rate and pool; {EXPECTED}")
    return interval_s, pool


def place(text: str) -> tuple[str, int]:
    """``host:port`` to listen at; an IPv6 address in brackets. Raises ``ValueError``."""
    try:
        parts = urlsplit(f"//{text}")
        host, port = parts.hostname, parts.port
    except ValueError:
        host = port = None
    if not host or port is None or parts.netloc != text or "@" in text:
        raise ValueError(f"{text!r} is not like 0.0.0.0:2525")
    return host, port
