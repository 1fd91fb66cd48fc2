"""What the setup job reads from the environment."""

from typing import Literal

from msgspec import Struct

from shared.streams import Sizes

_SIZES = Sizes()


class Settings(Struct, frozen=True, kw_only=True):
    nats_url: str
    """``nats://setup:password@host:port``: the user that may declare streams."""
    database_url: str
    """``postgresql://user:password@host:port/database``: a superuser, or the database's owner with CREATEROLE."""
    state_db_password: str
    rules_db_password: str
    throttle_db_password: str
    mailer_db_password: str
    webhook_db_password: str
    """Passwords of the services' roles; each run sets them, so a new one is rolled out by running the job again."""
    partitions: int = 64
    """Fixed at the first start; every later start must say the same."""
    stream_replicas: int = 1
    """Servers that hold each stream: 3 in production, on a cluster of at least as many."""
    events_max_bytes: int = _SIZES.events
    triggers_max_bytes: int = _SIZES.triggers
    sends_max_bytes: int = _SIZES.sends
    dead_max_bytes: int = _SIZES.dead
    """What each stream may hold before it refuses more. Their sum must fit JetStream's ``max_file_store``."""
    setup_timeout_s: float = 300.0
    """How long to wait for NATS and PostgreSQL before giving up with exit code 1."""
    log_level: Literal["debug", "info", "warning", "error"] = "info"

    def __post_init__(self) -> None:
        if self.partitions < 1:
            raise ValueError("PARTITIONS must be at least 1")
        if self.stream_replicas not in (1, 3, 5):
            raise ValueError("STREAM_REPLICAS must be 1, 3 or 5")
        for name in ("events_max_bytes", "triggers_max_bytes", "sends_max_bytes", "dead_max_bytes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.upper()} must be at least 1")
        for role, password in self.passwords.items():
            if not password.isascii() or not password.isprintable():
                raise ValueError(f"{role.upper()}_DB_PASSWORD must consist of printable ASCII characters")

    @property
    def passwords(self) -> dict[str, str]:
        """By role, which is named like the service's schema."""
        return {
            "state": self.state_db_password,
            "rules": self.rules_db_password,
            "throttle": self.throttle_db_password,
            "mailer": self.mailer_db_password,
            "webhook": self.webhook_db_password,
        }

    @property
    def sizes(self) -> Sizes:
        return Sizes(self.events_max_bytes, self.triggers_max_bytes, self.sends_max_bytes, self.dead_max_bytes)
