"""What the webhook service reads from its environment."""

from collections.abc import Sequence
from functools import partial

from services.webhook.addresses import read_allowed
from services.webhook.signing import read_keys
from shared.clock import Duration
from shared.durations import parse_duration
from shared.settings import Common, check
from shared.webaddress import web_address


class Settings(Common, frozen=True, kw_only=True):
    database_url: str
    """``postgresql://webhook:password@host:port/database``; the role owns schema ``webhook``."""
    webhook_secrets: tuple[str, ...] = ()
    """``NAME=whsec_…``: what webhooks are signed with, by the name that rules give it. Several of one name: all of them sign."""
    webhook_allow: tuple[str, ...] = ()
    """Hosts and networks that may be called although they are not on the internet, and without https: ``localhost,10.1.0.0/16``."""
    webhook_test_url: str = ""
    """Where the webhooks of rules under test go, and in staging every one; empty: nowhere."""
    webhook_parallel: int = 8
    """Calls of one endpoint at a time, in one process."""
    webhook_timeout_s: float = 15.0
    """How long an endpoint may take to answer."""
    webhook_delays: tuple[str, ...] = ("5s", "5m", "30m", "2h", "5h", "10h", "14h", "20h", "24h")
    """The waits between the attempts; there is one attempt more than there are waits."""
    webhook_kept: str = "30d"
    """How long it is known what became of a webhook, and it can be sent again."""
    claim_s: float = 30.0
    """After how long somebody else takes up what a process that died had in hand; longer than ``WEBHOOK_TIMEOUT_S``."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check("WEBHOOK_SECRETS", partial(read_keys, self.webhook_secrets))
        check("WEBHOOK_ALLOW", partial(read_allowed, self.webhook_allow))
        check("WEBHOOK_DELAYS", lambda: self.delays)
        check("WEBHOOK_KEPT", partial(parse_duration, self.webhook_kept))
        if self.webhook_test_url:
            try:
                web_address(self.webhook_test_url)
            except ValueError as error:
                raise ValueError(f"WEBHOOK_TEST_URL {error}") from None
        if self.webhook_parallel < 1:
            raise ValueError("WEBHOOK_PARALLEL must be at least 1")
        if not self.webhook_timeout_s > 0:
            raise ValueError("WEBHOOK_TIMEOUT_S must be more than 0")
        if not self.claim_s > self.webhook_timeout_s:
            raise ValueError(
                "CLAIM_S must be more than WEBHOOK_TIMEOUT_S, or what is under way is taken for left behind"
            )

    @property
    def delays(self) -> Sequence[Duration]:
        return [parse_duration(delay) for delay in self.webhook_delays]
