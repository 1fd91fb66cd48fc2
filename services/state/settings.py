"""What the state service reads from the environment."""

from shared.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    database_url: str
    """``postgresql://state:password@host:port/database``"""
    state_groups: int = 4
    """Loops that run side by side in one process, each with its share of the owned partitions."""
    recent_limit: int = 50
    """A person's latest events, which are kept for personalisation whether a rule needs them or not."""
    history_limit: int = 200
    """Events kept per person at most; those that no rule in force needs go first."""
    resident_actors: int = 20_000
    """People kept in memory, some 5 kB each; everybody else is one read away."""
    stragglers_every_s: float = 30.0
    """How often to look for overdue timers that were not taken. There should never be one."""

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("state_groups", "recent_limit", "history_limit", "resident_actors"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.upper()} must be at least 1")
