"""Who may write: public keys, which stand in web pages, and secret keys, which only servers know. Pure."""

import base64
import binascii
import hashlib
import re
from collections.abc import Sequence
from enum import Enum
from typing import NamedTuple

EXPECTED = (
    "send a write key as `Authorization: Basic` user name, `Authorization: Bearer`, `X-Write-Key` header, "
    "`?key=` or `writeKey` in the body"
)

_HASHED = re.compile(r"sha256:([0-9a-f]{64})")
_ORIGIN = re.compile(r"https?://[^/?#@\s]+")


class Access(Enum):
    PUBLIC = "public"
    SECRET = "secret"  # noqa: S105 - a kind of key, not a key


class Key(NamedTuple):
    """``name`` tells keys apart and gives none away. ``origins``: the sites whose pages may use it; none: any."""

    name: str
    access: Access
    origins: frozenset[str] = frozenset()


NOBODY = Key("none", Access.PUBLIC)
"""A pixel without a key."""


class Unauthorised(Exception):
    """No key, or one that is not known."""


class Forbidden(Exception):
    """The key is not for whoever used it."""


class Keys:
    """The keys of this site, known by their hashes only: what is in memory cannot be used, and how long a look takes
    tells nothing of a key."""

    def __init__(self, public: Sequence[str] = (), secret: Sequence[str] = ()) -> None:
        """Raises ``ValueError``, as adding them does."""
        self._keys: dict[bytes, Key] = {}
        self.add_public(public)
        self.add_secret(secret)

    def add_public(self, texts: Sequence[str]) -> None:
        """Each followed by the origins it is for, if it is not for all: ``KEY@https://shop.example``."""
        for text in texts:
            key, *origins = text.split("@")
            if wrong := [origin for origin in origins if not _ORIGIN.fullmatch(origin)]:
                raise ValueError(f"{wrong[0]!r} is not an origin like https://shop.example")
            self._add(_digest(key), Access.PUBLIC, frozenset(origins))

    def add_secret(self, texts: Sequence[str]) -> None:
        """Each as it is or as ``sha256:`` and its hash. None of them may be public."""
        digests = [_secret_digest(text) for text in texts]
        if both := sum(digest in self._keys for digest in digests):
            raise ValueError(f"{both} of them stand in WRITE_KEYS as well, which are public")
        for digest in digests:
            self._add(digest, Access.SECRET)

    def _add(self, digest: bytes, access: Access, origins: frozenset[str] = frozenset()) -> None:
        self._keys[digest] = Key(digest.hex()[:8], access, origins)

    def find(self, key: str | None) -> Key:
        """Raises ``Unauthorised``, saying where a key is looked for."""
        if not key:
            raise Unauthorised(f"no write key: {EXPECTED}")
        found = self._keys.get(_digest(key))
        if found is None:
            raise Unauthorised(f"the write key is not known: {EXPECTED}")
        return found


def _digest(key: str) -> bytes:
    """Keys are long and random: one round is enough."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()


def _secret_digest(text: str) -> bytes:
    hashed = _HASHED.fullmatch(text)
    if hashed is None and text.startswith("sha256:"):
        raise ValueError("sha256: must be followed by 64 hexadecimal digits in lower case")
    return bytes.fromhex(hashed[1]) if hashed else _digest(text)


def check_origin(key: Key, origin: str | None) -> None:
    """``origin``: what the browser says of the page; whatever else writes does not say. Raises ``Forbidden``."""
    if origin and key.origins and origin not in key.origins:
        raise Forbidden("this write key is not for pages of this origin")


def key_in_authorization(header: str) -> str:
    """The key of an ``Authorization`` header: a Basic user name (RFC 7617) or a Bearer token. Raises ``Unauthorised``."""
    scheme, _, credentials = header.strip().partition(" ")
    if scheme.lower() == "bearer":
        return credentials.strip()
    if scheme.lower() == "basic":
        try:
            user, _, _ = base64.b64decode(credentials.strip(), validate=True).decode().partition(":")
        except (binascii.Error, ValueError):
            raise Unauthorised("the Authorization header is not base64 of `KEY:`") from None
        return user
    raise Unauthorised(f"the Authorization header is neither Basic nor Bearer: {EXPECTED}")
