"""What the tracker reads from the environment."""

import re

from shared.settings import Common

LARGEST_REQUEST_MIB = 4
"""More than a body of 1 MiB can become: a number of two characters takes nine bytes on the bus."""

_URL = re.compile(r"https?://[^/?#\s]+")


class Settings(Common, frozen=True, kw_only=True):
    write_keys: tuple[str, ...]
    """Public keys: they stand in web pages and may only write events."""
    secret_keys: tuple[str, ...] = ()
    """Keys of servers: what comes with one is trusted."""
    pixel_key_required: bool = False
    public_url: str = ""
    """Where sites reach the tracker, like ``https://events.shop.example``; empty: where each request says it went."""
    http_host: str = "127.0.0.1"
    http_port: int = 8080
    """0 picks a free port and logs it."""
    body_timeout_s: float = 10.0
    publish_timeout_s: float = 3.0
    """How long one batch is tried, and so an interruption of NATS waited out, before the answer is 503."""
    publish_capacity_mib: int = 64
    """Events that may wait to be stored, in MiB of memory; beyond it the answer is 503."""

    def __post_init__(self) -> None:
        Common.__post_init__(self)
        if both := set(self.write_keys) & set(self.secret_keys):
            raise ValueError(f"SECRET_KEYS: {len(both)} of them stand in WRITE_KEYS as well, which are public")
        if self.public_url and not _URL.fullmatch(self.public_url):
            raise ValueError("PUBLIC_URL must be like https://events.shop.example, with no path behind it")
        if not 0 <= self.http_port <= 65535:
            raise ValueError("HTTP_PORT must be 0 to 65535")
        if self.publish_capacity_mib < LARGEST_REQUEST_MIB:
            raise ValueError(f"PUBLISH_CAPACITY_MIB must be at least {LARGEST_REQUEST_MIB}, for one large request")
        if min(self.body_timeout_s, self.publish_timeout_s) <= 0:
            raise ValueError("BODY_TIMEOUT_S and PUBLISH_TIMEOUT_S must be greater than 0")
