"""What the rule-evaluator reads from the environment."""

from shared.settings import Common


class Settings(Common, frozen=True, kw_only=True):
    database_url: str
    """``postgresql://rules:password@host:port/database``; the role owns schema ``rules``."""
    rules_dir: str = ""
    """A folder of rule documents to put at the start, each if it has changed since it was last put from there."""
