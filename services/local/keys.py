"""The passwords and keys of one installation: made once, kept in a file that only its owner can read."""

import base64
import os
import secrets
from pathlib import Path

import msgspec
from msgspec import Struct

NATS_USERS = ("setup", "tracker", "state", "rule_evaluator", "throttle", "mailer", "webhook", "operator")
DATABASE_ROLES = ("state", "rules", "throttle", "mailer", "webhook")


class Keys(Struct, frozen=True):
    write_key: str
    """Public, for browsers."""
    secret_key: str
    """For servers."""
    link_key: str
    """Seals the links of mails."""
    webhook_key: str
    """Signs the webhooks of rules that name it ``local``."""
    nats: dict[str, str]
    """Password by user."""
    database: dict[str, str]
    """Password by role."""


class _Stored(Struct):
    write_key: str = ""
    secret_key: str = ""
    link_key: str = ""
    webhook_key: str = ""
    nats: dict[str, str] = {}
    database: dict[str, str] = {}


def load_keys(path: Path) -> Keys:
    """Read the file; what it does not have yet is made and written to it."""
    stored = msgspec.json.decode(path.read_bytes(), type=_Stored) if path.exists() else _Stored()
    keys = Keys(
        write_key=stored.write_key or f"wk{secrets.token_hex(12)}",
        secret_key=stored.secret_key or f"sk{secrets.token_hex(20)}",
        link_key=stored.link_key or f"lk{secrets.token_hex(20)}",
        webhook_key=stored.webhook_key or f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}",
        nats={user: stored.nats.get(user) or _password() for user in NATS_USERS},
        database={role: stored.database.get(role) or _password() for role in DATABASE_ROLES},
    )
    write_private(path, msgspec.json.format(msgspec.json.encode(keys)))
    return keys


def write_private(path: Path, content: bytes) -> None:
    """Replace a file by one that only its owner can read, at once."""
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
    unfinished.replace(path)


def _password() -> str:
    """Begins with a letter: nats-server reads a value like 12e4 as a number."""
    return f"p{secrets.token_hex(16)}"
