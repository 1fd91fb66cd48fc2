"""What the mailer reads from its environment."""

from functools import partial
from typing import Literal

from services.mailer.address import normal
from services.mailer.compose import sender
from services.mailer.dkim import aligned
from services.mailer.server import servers
from shared.dkim import read_keys
from shared.links import Links, public_url
from shared.settings import Common, check


class Settings(Common, frozen=True, kw_only=True):
    database_url: str
    """``postgresql://mailer:password@host:port/database``; the role owns schema ``mailer``."""
    smtp_url: tuple[str, ...]
    """``smtp[s]://user:password@host:port?rate=100/s&pool=8``, several separated by commas, the most wanted first."""
    mail_from: str
    """``Shop <shop@example.test>``: the sender people see, and the domain of each Message-ID."""
    reply_to: str = ""
    """``Help <help@shop.example>``: who gets the answers to mails; empty: the sender."""
    dkim_keys: tuple[str, ...] = ()
    """``SELECTOR:KEY``, as ``beckon dkim new`` writes them; each signs every mail."""
    dkim_domain: str = ""
    """The domain that signs; empty: that of ``MAIL_FROM``. It must be that one, or above or below it, for DMARC."""
    templates_dir: str = "examples/templates"
    """The folder of the templates, one folder each."""
    site_name: str = "Our shop"
    """The shop's name in mails."""
    site_url: str = ""
    """The shop's front page, where mails link to it."""
    public_url: str = ""
    """Where mails reach the tracker, like ``https://events.shop.example``; with ``SECRET_KEY``, mails tell of opens and
    clicks, and can be unsubscribed from."""
    secret_key: tuple[str, ...] = ()
    """Seals the links of mails, at least 32 characters, the same as the tracker's. Several: the first seals."""
    test_recipients: tuple[str, ...] = ()
    """Who gets the mails of rules under test, and in staging every mail; separated by commas."""
    smtp_pool: int = 8
    """Connections to each SMTP server at a time, unless its URL says otherwise."""
    smtp_tls: Literal["offered", "required"] = "offered"
    """Whether STARTTLS is used where it is offered, or nothing is sent without it."""
    smtp_tls_verify: bool = True
    """Whether the server's certificate must be valid."""
    smtp_timeout_s: float = 30.0
    """How long to wait for a connection, and for the answer to a command."""
    smtp_data_timeout_s: float = 600.0
    """How long to wait for the answer to a mail's content; RFC 5321 section 4.5.3.2.6 asks for ten minutes."""
    retry_first_s: float = 2.0
    """The wait after the first time the server puts a mail off; it doubles each time."""
    retry_longest_s: float = 900.0
    ack_wait_s: float = 15.0
    """After how long somebody else gets the sends of a process that died."""
    concurrency: int = 16
    """Sends in hand at a time in one process."""
    domain_concurrency: int = 4
    """Mails on their way at a time for recipients of one slow domain, where they take longer than a quarter of a second; fewer
    than there are connections, so that some are left to the others."""

    def __post_init__(self) -> None:
        super().__post_init__()
        check("SMTP_URL", partial(servers, self.smtp_url))
        check("MAIL_FROM", partial(sender, self.mail_from))
        if self.reply_to:
            check("REPLY_TO", partial(sender, self.reply_to))
        check("DKIM_KEYS", partial(read_keys, self.dkim_keys))
        if self.dkim_domain:
            check("DKIM_DOMAIN", partial(aligned, self.dkim_domain, sender(self.mail_from).domain))
        check("PUBLIC_URL", partial(public_url, self.public_url))
        check("SECRET_KEY", partial(Links, self.secret_key))
        if bool(self.public_url) != bool(self.secret_key):
            raise ValueError("PUBLIC_URL and SECRET_KEY must both be set, or neither")
        for address in self.test_recipients:
            check("TEST_RECIPIENTS", partial(normal, address))
        for name in ("smtp_pool", "concurrency", "domain_concurrency"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.upper()} must be at least 1")
        for name in ("smtp_timeout_s", "smtp_data_timeout_s", "retry_first_s", "retry_longest_s", "ack_wait_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name.upper()} must be more than 0")
