"""Where the SMTP server is and how to speak with it."""

from urllib.parse import unquote, urlsplit

from msgspec import Struct


class Server(Struct, frozen=True):
    host: str
    port: int
    tls: bool
    """TLS from the first byte (``smtps``); otherwise STARTTLS where the server offers it."""
    user: str | None = None
    password: str | None = None


def server(url: str) -> Server:
    """``smtp[s]://user:password@host:port``, user and password percent-encoded where need be; the port defaults to 465
    for smtps, 587 with a user and 25 without. Raises ``ValueError``, which never repeats the password."""
    expected = "expected smtp[s]://user:password@host:port"
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError(f"its host or port cannot be read; {expected}") from None
    if parts.scheme not in ("smtp", "smtps"):
        raise ValueError(f"begins with {parts.scheme or 'no scheme'!r}; {expected}")
    if not parts.hostname:
        raise ValueError(f"has no host; {expected}")
    if parts.path not in ("", "/") or parts.query or parts.fragment:
        raise ValueError(f"has something after the port; {expected}")
    tls = parts.scheme == "smtps"
    user = unquote(parts.username) if parts.username else None
    return Server(
        parts.hostname,
        port or (465 if tls else 587 if user else 25),
        tls,
        user,
        unquote(parts.password or "") if user else None,
    )


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
