"""Which programs run, and with which environment. Nothing here starts anything."""

from collections.abc import Callable, Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

from msgspec import Struct

from services.local.keys import Keys
from shared.clock import SECOND, Instant, Lapse, rfc3339

ROOT = Path(__file__).resolve().parents[2]
"""The checkout."""
EXAMPLES = ROOT / "examples"
USERS_CONF = ROOT / "k8s/base/nats-users.conf"

ADDRESSES = ("NATS_URL", "DATABASE_URL", "SMTP_URL")
"""Where one of these is set, that server is used and none is started in its place."""
SHUTDOWN_S = 8.0

_SAMPLES = {
    "RULES_DIR": EXAMPLES / "rules",
    "TEMPLATES_DIR": EXAMPLES / "templates",
    "POLICY_FILE": EXAMPLES / "policy.yaml",
    "MAIL_FROM": "Harbour Goods <shop@beckon.example>",
    "SITE_NAME": "Harbour Goods",
}
"""What is run where the environment names nothing else."""


_LAPSE_RECIPIENT = "time-lapse@beckon.example"


class Program(Struct, frozen=True):
    """A Python module to run. ``environ`` goes on top of our own environment."""

    name: str
    module: str
    environ: dict[str, str]
    health: str = ""
    """Its ``/readyz``; empty for a job that ends by itself."""


class Servers(Struct, frozen=True):
    """Where the servers are. ``nats`` is by user, ``database`` by role; ``""`` is the administrator of either."""

    nats: Callable[[str], str]
    database: Callable[[str], str]


class Doors(Struct, frozen=True):
    """Where sites, people and mails come in. Where the mails go to a server of somebody else's there is no inbox, and its
    port is 0; so is the sample shop's where there is none."""

    tracker_port: int
    inbox_port: int
    smtp: str
    shop_port: int = 0

    @property
    def tracker(self) -> str:
        return f"http://127.0.0.1:{self.tracker_port}"

    @property
    def inbox(self) -> str:
        return f"http://127.0.0.1:{self.inbox_port}" if self.inbox_port else ""

    @property
    def shop(self) -> str:
        return f"http://127.0.0.1:{self.shop_port}" if self.shop_port else ""


def time_lapse(asked: str, kept: str, now: Instant) -> str:
    """``TIME_LAPSE`` for the services. ``asked``: a speed alone is enough. ``kept``: what an installation began with it goes on
    with, or its data would lie in the future. Raises ``ValueError``."""
    if kept:
        if asked and not _same(asked, kept):
            raise ValueError(f"TIME_LAPSE: this installation runs as {kept}; take another BECKON_HOME for {asked}")
        return kept
    if not asked:
        return ""
    return str(Lapse.parse(f"{rfc3339(now // SECOND * SECOND)}@{asked}" if asked.isdecimal() else asked))


def _same(asked: str, kept: str) -> bool:
    lapse = Lapse.parse(kept)
    try:
        return int(asked) == lapse.speed if asked.isdecimal() else Lapse.parse(asked) == lapse
    except ValueError:
        return False


def setup_job(keys: Keys, servers: Servers) -> Program:
    passwords = {f"{role.upper()}_DB_PASSWORD": password for role, password in keys.database.items()}
    environ = {"NATS_URL": servers.nats("setup"), "DATABASE_URL": servers.database(""), "SETUP_TIMEOUT_S": "60"}
    return Program("setup", "services.setup", environ | passwords)


def services(
    keys: Keys,
    servers: Servers,
    doors: Doors,
    environ: Mapping[str, str],
    take_port: Callable[[], int],
    lapse: str = "",
) -> list[Program]:
    """The services, each with its own NATS user, database role and port for its health. In a time-lapse they are in
    staging, as nobody is to be mailed before their time."""
    samples = {name: environ.get(name) or str(value) for name, value in _SAMPLES.items()}
    samples |= {"TIME_LAPSE": lapse, "PUBLIC_URL": doors.tracker, "SECRET_KEY": keys.link_key}
    if lapse:
        samples |= {"BECKON_ENV": "staging", "TEST_RECIPIENTS": environ.get("TEST_RECIPIENTS") or _LAPSE_RECIPIENT}

    def service(name: str, *, role: str = "", **own: str) -> Program:
        port = take_port()
        database = {"DATABASE_URL": servers.database(role)} if role else {}
        common = {"NATS_URL": servers.nats(name), "HEALTH_PORT": str(port), "SHUTDOWN_S": str(SHUTDOWN_S)}
        health = f"http://127.0.0.1:{port}/readyz"
        return Program(name.replace("_", "-"), f"services.{name}", samples | common | database | own, health)

    return [
        service("tracker", WRITE_KEYS=keys.write_key, SECRET_KEYS=keys.secret_key, HTTP_PORT=str(doors.tracker_port)),
        service("state", role="state"),
        service("rule_evaluator", role="rules"),
        service("throttle", role="throttle"),
        service("mailer", role="mailer", SMTP_URL=doors.smtp, SITE_URL=environ.get("SITE_URL") or doors.shop),
        service("webhook", role="webhook", **_webhook(keys, environ)),
    ]


def _webhook(keys: Keys, environ: Mapping[str, str]) -> dict[str, str]:
    """What is tried out on this machine listens on this machine."""
    return {
        "WEBHOOK_SECRETS": environ.get("WEBHOOK_SECRETS") or f"local={keys.webhook_key}",
        "WEBHOOK_ALLOW": environ.get("WEBHOOK_ALLOW") or "localhost,127.0.0.0/8,::1",
    }


def inbox(folder: Path, doors: Doors) -> Program:
    environ = {
        "INBOX_FOLDER": str(folder),
        "SMTP_PORT": doors.smtp.rpartition(":")[2],
        "HTTP_PORT": str(doors.inbox_port),
        "PICTURES_DIR": str(EXAMPLES / "shop/pictures"),
    }
    return Program("inbox", "services.local.inbox", environ, f"{doors.inbox}/readyz")


def shop(keys: Keys, doors: Doors, health_port: int) -> Program:
    environ = {
        "SHOP_DIR": str(EXAMPLES / "shop"),
        "HTTP_PORT": str(doors.shop_port),
        "HEALTH_PORT": str(health_port),
        "TRACKER_PUBLIC_URL": doors.tracker,
        "WRITE_KEY": keys.write_key,
        "INBOX_URL": doors.inbox,
    }
    return Program("shop", "services.shop", environ, f"http://127.0.0.1:{health_port}/readyz")


def database_url(admin: str, role: str, password: str) -> str:
    """The administrator's address with another login; everything else about it stays."""
    parts = urlsplit(admin)
    host = parts.netloc.rpartition("@")[2]
    return parts._replace(netloc=f"{quote(role, safe='')}:{quote(password, safe='')}@{host}").geturl()
