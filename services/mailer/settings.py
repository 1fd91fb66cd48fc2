"""What the mailer reads from its environment."""

from functools import partial
from typing import Literal
from urllib.parse import urlsplit

from services.mailer.address import normal
from services.mailer.compose import sender
from services.mailer.dkim import aligned
from services.mailer.feedback import Provider
from services.mailer.locales import parsed, zone_of
from services.mailer.server import place, servers
from services.mailer.verp import domain
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
    """Templates to put when they change, one folder each. An empty folder puts none."""
    site_name: str = "Our shop"
    """The shop's name in mails."""
    site_url: str = ""
    """The shop's front page, where mails link to it."""
    catalogue_hosts: tuple[str, ...] = ()
    """Hosts, beside that of ``SITE_URL``, on which the shop has its pages and pictures: what browsers tell of a product must be
    there."""
    site_locale: str = "en"
    """How prices and dates are written for people whose profile names no ``locale``."""
    site_timezone: str = "UTC"
    """The time zone of dates for people whose profile names no ``timezone``."""
    public_url: str = ""
    """Where mails reach the tracker, like ``https://events.shop.example``; with ``SECRET_KEY``, mails tell of opens and
    clicks, and can be unsubscribed from."""
    secret_key: tuple[str, ...] = ()
    """Seals the links of mails, at least 32 characters, the same as the tracker's. Several: the first seals."""
    test_recipients: tuple[str, ...] = ()
    """Who gets the mails of rules under test, and in staging every mail; separated by commas."""
    bounce_domain: str = ""
    """Bounces of a mail go to an address of its own at this domain, like ``bounces.shop.example``; empty: to ``MAIL_FROM``."""
    bounce_listen: str = ""
    """Where mail for ``BOUNCE_DOMAIN`` comes in, like ``0.0.0.0:2525``; empty: nowhere in this process."""
    bounce_tls_dir: str = ""
    """A folder with ``tls.crt`` and ``tls.key``, with which that place offers STARTTLS; they may come, and change, at any time."""
    mail_provider: Provider | Literal[""] = ""
    """Whose SMTP server it is, so that its webhooks name the mail: ``sendgrid``, ``postmark`` or ``mailgun``."""
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
        if parsed(self.site_locale) is None:
            raise ValueError(f"SITE_LOCALE: {self.site_locale!r} is no locale, expected one like de-AT")
        if zone_of(self.site_timezone) is None:
            raise ValueError(f"SITE_TIMEZONE: {self.site_timezone!r} is no time zone, expected one like Europe/Vienna")
        check("PUBLIC_URL", partial(public_url, self.public_url))
        check("SECRET_KEY", partial(Links, self.secret_key))
        check("SITE_URL", lambda: self.own_hosts)
        for host in self.catalogue_hosts:
            if urlsplit(f"//{host}").hostname != host:
                raise ValueError(f"CATALOGUE_HOSTS: {host!r} is not a host like shop.example.com, in small letters")
        if bool(self.public_url) != bool(self.secret_key):
            raise ValueError("PUBLIC_URL and SECRET_KEY must both be set, or neither")
        check("BOUNCE_DOMAIN", partial(domain, self.bounce_domain))
        if self.bounce_domain and not self.secret_key:
            raise ValueError("BOUNCE_DOMAIN needs SECRET_KEY, which authenticates the addresses")
        if self.bounce_listen and not self.bounce_domain:
            raise ValueError("BOUNCE_LISTEN needs BOUNCE_DOMAIN, whose mail it takes")
        if self.bounce_listen:
            check("BOUNCE_LISTEN", partial(place, self.bounce_listen))
        for address in self.test_recipients:
            check("TEST_RECIPIENTS", partial(normal, address))
        for name in ("smtp_pool", "concurrency", "domain_concurrency"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name.upper()} must be at least 1")
        for name in ("smtp_timeout_s", "smtp_data_timeout_s", "retry_first_s", "retry_longest_s", "ack_wait_s"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name.upper()} must be more than 0")

    @property
    def own_hosts(self) -> frozenset[str]:
        """Where the shop's own pages are."""
        return frozenset(filter(None, (urlsplit(self.site_url).hostname, *self.catalogue_hosts)))
