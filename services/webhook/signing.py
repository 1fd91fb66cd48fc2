"""Signatures as Standard Webhooks 1.0.0 lays them down (github.com/standard-webhooks/standard-webhooks, spec)."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping, Sequence

from shared.clock import SECOND, Instant

PREFIX = "whsec_"
LEAST, MOST = 24, 64
"""Bytes of a secret."""

Keys = Mapping[str, Sequence[bytes]]
"""By the name that rules give them. Of several, all sign: a receiver knows the old one or the new one."""

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")


def read_keys(given: Iterable[str]) -> Keys:
    """``NAME=whsec_…`` each. Raises ``ValueError``, which never repeats a secret."""
    keys: dict[str, list[bytes]] = {}
    for number, entry in enumerate(given, 1):
        name, _, secret = entry.partition("=")
        if not _NAME.fullmatch(name) or not secret.startswith(PREFIX):
            raise ValueError(f"entry {number} is not like NAME=whsec_…, its name of letters, digits, _ and -")
        keys.setdefault(name, []).append(_key(name, secret.removeprefix(PREFIX)))
    return keys


def _key(name: str, text: str) -> bytes:
    try:
        key = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error:
        raise ValueError(f"the secret {name} is not base64 after {PREFIX}") from None
    if not LEAST <= len(key) <= MOST:
        raise ValueError(f"the secret {name} has {len(key)} bytes, expected {LEAST} to {MOST} in base64")
    return key


def signed_headers(keys: Sequence[bytes], webhook: str, now: Instant, body: bytes) -> dict[str, str]:
    """``webhook`` is the id, the same at every attempt; ``now`` is when this attempt is made, by the time of day."""
    timestamp = str(now // SECOND)
    content = f"{webhook}.{timestamp}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, content, hashlib.sha256)).decode() for key in keys]
    return {
        "webhook-id": webhook,
        "webhook-timestamp": timestamp,
        "webhook-signature": " ".join(f"v1,{signature}" for signature in signatures),
    }
