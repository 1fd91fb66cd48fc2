"""The address a webhook goes to, as a rule names it."""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

LONGEST = 1000

_VISIBLE = re.compile(r"[!-\[\]-~]+")
"""ASCII without spaces, control characters and the backslash, which some take for a slash."""
_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_.])?|\[[0-9a-f:.]+\]")
_LIKE = "expected one like https://hooks.example.com/beckon"


class WebAddress(NamedTuple):
    """``host`` is in small letters, an IPv6 address without its brackets."""

    url: str
    host: str
    https: bool


def web_address(value: object) -> WebAddress:
    """Raises ``ValueError`` with what is wrong. Whether the host may be called at all is asked when it is called."""
    if not isinstance(value, str) or not _VISIBLE.fullmatch(value):
        raise ValueError(f"is not the address of a webhook, {_LIKE}")
    if len(value) > LONGEST:
        raise ValueError(f"has {len(value)} characters, {LONGEST} is the most")
    try:
        parts = urlsplit(value)
        port = parts.port
    except ValueError:
        raise ValueError(f"has a host or a port that cannot be read, {_LIKE}") from None
    if parts.scheme not in ("https", "http"):
        raise ValueError(
            f"begins with {parts.scheme!r}, {_LIKE}" if parts.scheme else f"has no https:// before it, {_LIKE}"
        )
    if "@" in parts.netloc:
        raise ValueError("names a user or a password; requests are signed instead, by the secret that the rule names")
    host = parts.netloc.lower().removesuffix(f":{port}")
    if not _HOST.fullmatch(host) or port == 0:
        raise ValueError(f"has no host or port that can be called, {_LIKE}")
    if parts.fragment or value.endswith("#"):
        raise ValueError("has a part behind #, which no server sees")
    return WebAddress(value, host.strip("[]"), parts.scheme == "https")
