"""What the sample shop reads from its environment."""

import re
from pathlib import Path
from typing import Literal

from msgspec import Struct

_ORIGIN = re.compile(r"https?://[^\s/;,?#'\"]+")


class Settings(Struct, frozen=True, kw_only=True):
    write_key: str
    """What its pages send events with: a public key of the tracker. Of several, as in its ``WRITE_KEYS``, the first."""
    tracker_public_url: str = "http://127.0.0.1:8080"
    """Where browsers reach the tracker."""
    inbox_url: str = ""
    """Where people read the mails; the pages link to it."""
    shop_dir: str = "examples/shop"
    """The folder with the pages."""
    http_host: str = "127.0.0.1"
    http_port: int = 8001
    """0 picks a free port and logs it."""
    health_host: str = "127.0.0.1"
    health_port: int = 0
    """``/healthz``, ``/readyz`` and ``/metrics``; 0 picks a free port and logs it."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        # It becomes part of a Content-Security-Policy, where anything else would mean something else.
        if not _ORIGIN.fullmatch(self.tracker_public_url):
            raise ValueError("TRACKER_PUBLIC_URL must be an origin like https://events.shop.example")
        if not (Path(self.shop_dir) / "index.html").is_file():
            raise ValueError(f"SHOP_DIR: there is no index.html in {self.shop_dir!r}")

    @property
    def public_key(self) -> str:
        return self.write_key.split(",")[0].split("@")[0].strip()
