"""The links of a mail: what the mailer writes into them, and the tracker reads. Pure.

A link's token is sealed (AES-SIV, RFC 5297): nobody else can make one, change one, or see in it who got the mail, also not
where proxies log addresses. The same link always has the same token. It begins with the id of its secret, so that secrets
can be changed while mails that were sent before keep working.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from enum import Enum

import msgspec
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESSIV
from msgspec import Struct

from shared.clock import Instant

LEAST_SECRET = 32
"""Characters."""
MAX_TOKEN = 6000
"""Characters; aiohttp reads lines of 8 KiB."""
MAX_URL = 2048
"""Characters of an address that a click may lead to."""

_ID = 6
"""Characters of a secret's id."""
_URL = re.compile(r"https?://[^/?#\s]+")


class Kind(Enum):
    """What a link is for. One made for one thing is none for another."""

    OPEN = "o"
    CLICK = "c"
    UNSUBSCRIBE = "u"

    def path(self, token: str) -> str:
        return f"/{self.value}/{token}{'.gif' if self is Kind.OPEN else ''}"


class Link(Struct, frozen=True, array_like=True):
    """``sent``: when the mail was written. ``trial``: it went to a test recipient, who is not the person. ``url``: where a
    click leads."""

    person: str
    trigger: str
    rule: str
    version: int
    category: str
    sent: Instant
    trial: bool = False
    url: str = ""


class BadToken(Exception):
    """A token that is not ours, was changed, is for something else, or whose secret is gone."""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Link).decode


class Links:
    """``secrets``: the first seals, all of them open."""

    def __init__(self, secrets: Sequence[str]) -> None:
        """Raises ``ValueError``, which never repeats a secret."""
        for number, secret in enumerate(secrets, 1):
            if len(secret) < LEAST_SECRET:
                raise ValueError(f"number {number} has {len(secret)} characters, expected at least {LEAST_SECRET}")
        self._ciphers = {_id(secret): AESSIV(_key(secret)) for secret in secrets}
        self._first = _id(secrets[0]) if secrets else ""

    def __bool__(self) -> bool:
        return bool(self._ciphers)

    def token(self, kind: Kind, link: Link) -> str:
        """About 4 us."""
        sealed = self._ciphers[self._first].encrypt(_encode(link), [kind.name.encode()])
        return self._first + _text(sealed)

    def read(self, kind: Kind, token: str) -> Link:
        """Raises ``BadToken``."""
        cipher = self._ciphers.get(token[:_ID])
        if cipher is None:
            raise BadToken("its secret is not known")
        if len(token) > MAX_TOKEN:
            raise BadToken(f"it has {len(token)} characters, at most {MAX_TOKEN}")
        try:
            text = token[_ID:]
            sealed = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
            link: Link = _decode(cipher.decrypt(sealed, [kind.name.encode()]))
        except (InvalidTag, binascii.Error, ValueError) as error:  # msgspec's is a ValueError
            raise BadToken("it was changed, or is for something else") from error
        return link


def public_url(text: str) -> str:
    """Where sites and mails reach the tracker. Raises ``ValueError``."""
    if text and not _URL.fullmatch(text):
        raise ValueError("must be like https://events.shop.example, with no path behind it")
    return text


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def _id(secret: str) -> str:
    return _text(hashlib.sha256(b"beckon link id\0" + secret.encode()).digest())[:_ID]


def _key(secret: str) -> bytes:
    """64 bytes: AES-256 for the tag, and another for the content. Secrets are long and random: one round is enough."""
    return hashlib.sha512(b"beckon link key\0" + secret.encode()).digest()
