"""What the throttle reads from its environment."""

from shared.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    database_url: str
    """``postgresql://throttle:password@host:port/database``; the role owns schema ``throttle``."""
    policy_file: str = ""
    """A policy to put at start, if it has changed since it was last read. Without one, what was put last stays in force."""
    concurrency: int = 16
    """Triggers decided side by side in one process."""
