"""Who may write: public keys, which stand in web pages, and secret keys, which only servers know."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from enum import Enum

EXPECTED = (
    "send a write key as `Authorization: Basic` user name, `Authorization: Bearer`, `X-Write-Key` header, "
    "`?key=` or `writeKey` in the body"
)


class Access(Enum):
    PUBLIC = "public"
    SECRET = "secret"  # noqa: S105 - a kind of key, not a key


class Unauthorised(Exception):
    """No key, or one that is not known."""


class Keys:
    """The keys of this site. Every comparison looks at every key in full, so its time tells nothing."""

    def __init__(self, public: Sequence[str], secret: Sequence[str]) -> None:
        self._keys = [(key.encode(), Access.PUBLIC) for key in public]
        self._keys += [(key.encode(), Access.SECRET) for key in secret]

    def access(self, key: str | None) -> Access:
        """Raises ``Unauthorised``, saying where a key is looked for."""
        if not key:
            raise Unauthorised(f"no write key: {EXPECTED}")
        given = key.encode("utf-8", "surrogatepass")
        found: Access | None = None
        for known, access in self._keys:
            if hmac.compare_digest(known, given):
                found = access
        if found is None:
            raise Unauthorised(f"the write key is not known: {EXPECTED}")
        return found


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
