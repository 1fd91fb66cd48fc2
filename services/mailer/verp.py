"""To where bounces of a mail go: an address of its own (VERP), which tells what mail it was. Pure.

The local part is at most 64 characters and nobody along the way keeps its capitals (RFC 5321 sections 4.5.3.1.1 and 2.4), so
the token is short and in base32: ten bytes by which the delivery is looked up, and ten that authenticate them. Who does not
know the secret cannot make one, and so cannot have an address suppressed by a made-up bounce.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Sequence

from shared.links import BadToken

KEY_BYTES = 10
MAC_BYTES = 10
COMPLAINTS = "complaints"
"""The local part that feedback loops are registered with; the mails that come tell their token themselves."""

_PREFIX = "bounce+"
_TOKEN = re.compile(r"[a-z2-7]{32}")
_DOMAIN = re.compile(r"(?=.{3,190}$)([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def report_key(message_id: str) -> bytes:
    """What a Message-ID, with its brackets or without, comes down to."""
    return hashlib.sha256(message_id.strip().strip("<>").encode("utf-8", "replace")).digest()[:KEY_BYTES]


def domain(text: str) -> str:
    """Raises ``ValueError``."""
    found = text.lower()
    if text and not _DOMAIN.fullmatch(found):
        raise ValueError(f"{text!r} is not a domain name like bounces.shop.example")
    return found


class Verp:
    """``secrets``: the first authenticates, all of them are recognised."""

    def __init__(self, secrets: Sequence[str], domain: str) -> None:
        self._keys = [hashlib.sha256(b"beckon bounce key\0" + secret.encode()).digest() for secret in secrets]
        self.domain = domain

    @property
    def complaints(self) -> str:
        return f"{COMPLAINTS}@{self.domain}"

    def token(self, message_id: str) -> str:
        key = report_key(message_id)
        return base64.b32encode(key + _mac(self._keys[0], key)).decode().lower()

    def sender(self, message_id: str) -> str:
        """The envelope's sender for this mail."""
        return f"{_PREFIX}{self.token(message_id)}@{self.domain}"

    def headers(self, message_id: str) -> tuple[str, ...]:
        """Lines by which whoever gets the mail can complain to us (RFC 9477)."""
        return (f"CFBL-Address: {self.complaints}; report=arf", f"CFBL-Feedback-ID: {self.token(message_id)}")

    def is_complaints(self, address: str) -> bool:
        return address.lower() == self.complaints

    def read(self, address: str) -> bytes:
        """The ``report_key`` of the mail whose bounces go to this address. Raises ``BadToken``."""
        local, _, domain = address.lower().rpartition("@")
        if domain != self.domain or not local.startswith(_PREFIX):
            raise BadToken("no address for bounces")
        return self.read_token(local.removeprefix(_PREFIX))

    def read_token(self, token: str) -> bytes:
        """Raises ``BadToken``."""
        if not _TOKEN.fullmatch(token.lower()):
            raise BadToken("no token")
        data = base64.b32decode(token.upper())
        key, mac = data[:KEY_BYTES], data[KEY_BYTES:]
        if not sum(hmac.compare_digest(_mac(secret, key), mac) for secret in self._keys):  # each is looked at
            raise BadToken("the token is not ours, or its secret is gone")
        return key


def _mac(secret: bytes, key: bytes) -> bytes:
    return hmac.digest(secret, key, "sha256")[:MAC_BYTES]
