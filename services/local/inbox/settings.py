"""What the inbox reads from its environment."""

from pathlib import Path
from typing import Literal

from msgspec import Struct


class Settings(Struct, frozen=True, kw_only=True):
    inbox_folder: str
    """Where the mails are kept."""
    smtp_port: int = 1025
    http_port: int = 8025
    """The page, its API and the health checks; 0 for either port picks a free one and logs it."""
    pictures_dir: str = "examples/shop/pictures"
    """What is served below ``/pictures/``: the sample shop's products."""
    keep_mails: int = 10_000
    """The oldest go when there are more."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        if self.keep_mails < 1:
            raise ValueError("KEEP_MAILS must be at least 1")
        if not Path(self.pictures_dir).is_dir():
            raise ValueError(f"PICTURES_DIR: {self.pictures_dir!r} is not a folder")
