"""What the tracker reads from the environment."""

from services.tracker.addresses import networks
from services.tracker.events import event_name
from services.tracker.guard import Budget, Guard
from services.tracker.keys import Keys
from services.tracker.limits import limits, parse_rate
from services.tracker.providers import signatures, sns
from services.tracker.shops.signatures import check_secrets
from services.tracker.tokens import Tokens, parse_secrets
from shared.links import Links, public_url
from shared.settings import Common, check

LARGEST_REQUEST_MIB = 4
"""More than a body of 1 MiB can become: a number of two characters takes nine bytes on the bus."""


class Settings(Common, frozen=True, kw_only=True):
    write_keys: tuple[str, ...]
    """Public keys: they stand in web pages and may only write events. ``KEY@https://shop.example`` is for that site's pages."""
    secret_keys: tuple[str, ...] = ()
    """Keys of servers: what comes with one is trusted. Each as it is, or ``sha256:`` and its hash."""
    user_token_secrets: tuple[str, ...] = ()
    """``NAME:SECRET``, to verify the user tokens that the site's server signs."""
    protected_events: tuple[str, ...] = ()
    """Events that are taken with a secret key or a user token only, like ``purchased`` and ``identify``."""
    shopify_secrets: tuple[str, ...] = ()
    """What Shopify signs its webhooks with, at least 16 characters each; none: no webhooks of Shopify are taken."""
    woocommerce_secrets: tuple[str, ...] = ()
    """The same for WooCommerce."""
    ses_topic_arns: tuple[str, ...] = ()
    """The topics of SNS by which SES tells of bounces and complaints; none: no webhooks of SES are taken."""
    sendgrid_public_key: tuple[str, ...] = ()
    """The verification key of SendGrid's Signed Event Webhook; the same for SendGrid."""
    postmark_hook_auth: tuple[str, ...] = ()
    """``USER:PASSWORD``, as in the URL that Postmark is given, the password of at least 16 characters."""
    mailgun_signing_key: tuple[str, ...] = ()
    """Mailgun's HTTP webhook signing key."""
    rate_per_key: str = "20000:100000"
    """Events a second in the long run, and at once; 0: any number."""
    rate_per_address: str = "100:2000"
    """The same for each address, where the key is public; this machine's own are not limited."""
    rate_per_person: str = "100:2000"
    """The same about each person, where the key is public."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of the proxies whose ``X-Forwarded-For`` says who sends, like ``10.0.0.0/8``."""
    max_event_names: int = 500
    """Different names of events that a public key may bring."""
    max_property_names: int = 5000
    """Different names of properties that a public key may bring."""
    pixel_key_required: bool = False
    public_url: str = ""
    """Where sites reach the tracker, like ``https://events.shop.example``; empty: where each request says it went."""
    secret_key: tuple[str, ...] = ()
    """Opens the links of mails, at least 32 characters, the same as the mailer's. Several: all of them open."""
    human_after_s: float = 5.0
    """Whoever opens a mail or follows its links sooner after it was written is taken for a machine."""
    site_name: str = "Our shop"
    """The shop's name on the page where people unsubscribe."""
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
        self.guard()
        check("SHOPIFY_SECRETS", lambda: check_secrets(self.shopify_secrets))
        check("WOOCOMMERCE_SECRETS", lambda: check_secrets(self.woocommerce_secrets))
        check("SES_TOPIC_ARNS", lambda: sns.check_topics(self.ses_topic_arns))
        check("SENDGRID_PUBLIC_KEY", lambda: signatures.sendgrid_keys(self.sendgrid_public_key))
        check("POSTMARK_HOOK_AUTH", lambda: signatures.check_hook_auth(self.postmark_hook_auth))
        check("MAILGUN_SIGNING_KEY", lambda: signatures.check_signing_keys(self.mailgun_signing_key))
        if min(self.max_event_names, self.max_property_names) < 1:
            raise ValueError("MAX_EVENT_NAMES and MAX_PROPERTY_NAMES must be at least 1")
        check("PUBLIC_URL", lambda: public_url(self.public_url))
        check("SECRET_KEY", lambda: Links(self.secret_key))
        if self.human_after_s < 0:
            raise ValueError("HUMAN_AFTER_S must not be negative")
        if not 0 <= self.http_port <= 65535:
            raise ValueError("HTTP_PORT must be 0 to 65535")
        if self.publish_capacity_mib < LARGEST_REQUEST_MIB:
            raise ValueError(f"PUBLISH_CAPACITY_MIB must be at least {LARGEST_REQUEST_MIB}, for one large request")
        if min(self.body_timeout_s, self.publish_timeout_s) <= 0:
            raise ValueError("BODY_TIMEOUT_S and PUBLISH_TIMEOUT_S must be greater than 0")

    @property
    def shop_secrets(self) -> dict[str, tuple[str, ...]]:
        """By the shop's name."""
        return {"shopify": self.shopify_secrets, "woocommerce": self.woocommerce_secrets}

    @property
    def hook_secrets(self) -> dict[str, tuple[str, ...]]:
        """By the provider's name: how its webhooks are known."""
        return {
            "ses": self.ses_topic_arns,
            "sendgrid": self.sendgrid_public_key,
            "postmark": self.postmark_hook_auth,
            "mailgun": self.mailgun_signing_key,
        }

    def guard(self) -> Guard:
        """Who may send what. Raises ``ValueError``."""
        keys = Keys()
        check("WRITE_KEYS", lambda: keys.add_public(self.write_keys))
        check("SECRET_KEYS", lambda: keys.add_secret(self.secret_keys))
        rates = limits(
            check("RATE_PER_KEY", lambda: parse_rate(self.rate_per_key)),
            check("RATE_PER_ADDRESS", lambda: parse_rate(self.rate_per_address)),
            check("RATE_PER_PERSON", lambda: parse_rate(self.rate_per_person)),
        )
        return Guard(
            keys,
            rates,
            Tokens(check("USER_TOKEN_SECRETS", lambda: parse_secrets(self.user_token_secrets))),
            protected=check("PROTECTED_EVENTS", lambda: [event_name(name) for name in self.protected_events]),
            budget=Budget(self.max_event_names, self.max_property_names),
            proxies=check("TRUSTED_PROXIES", lambda: networks(self.trusted_proxies)),
        )
