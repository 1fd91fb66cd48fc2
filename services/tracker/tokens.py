"""User tokens: a site's server says that a page speaks for a user. Pure.

A JSON Web Token (RFC 7519) signed with HMAC-SHA-256: ``sub`` is the ``user_id``, ``exp`` when it ends, and ``kid`` in its header
names the secret, so that secrets can be changed.
"""

from collections.abc import Mapping, Sequence

import jwt

from services.tracker.flaws import Flaw, shown
from shared.clock import SECOND, Instant

LEAST_SECRET = 32
"""Characters. Shorter ones can be guessed (RFC 7518, section 3.2)."""
MAX_TOKEN = 4096
_MOST_KNOWN = 10_000


def parse_secrets(texts: Sequence[str]) -> dict[str, str]:
    """``NAME:SECRET`` each. Raises ``ValueError``, which never repeats a secret."""
    secrets: dict[str, str] = {}
    for number, text in enumerate(texts, 1):
        name, colon, secret = text.partition(":")
        if not colon or not name or len(secret) < LEAST_SECRET:
            raise ValueError(f"number {number} is not NAME:SECRET with at least {LEAST_SECRET} characters of secret")
        secrets[name] = secret
    return secrets


class Tokens:
    def __init__(self, secrets: Mapping[str, str]) -> None:
        self._secrets = dict(secrets)
        self._known: dict[str, tuple[str, float]] = {}

    def check(self, token: str, user_id: str | None, now: Instant) -> bool:
        """True. Raises ``Flaw`` if the token is not good, or is somebody else's."""
        subject, ends_s = self._known.get(token) or self._read(token)
        if ends_s * SECOND <= now:
            raise Flaw("user_token: has expired")
        if subject != user_id:
            raise Flaw("user_token: is another user's")
        return True

    def _read(self, token: str) -> tuple[str, float]:
        if not self._secrets:
            raise Flaw("user_token: none is taken here (USER_TOKEN_SECRETS is not set)")
        if len(token) > MAX_TOKEN:
            raise Flaw(f"user_token: {len(token)} characters, at most {MAX_TOKEN}")
        try:
            name = jwt.get_unverified_header(token).get("kid")
            secret = self._secrets.get(name) if isinstance(name, str) else None
            if secret is None:
                raise Flaw(f"user_token: kid {shown(name)} is none of the names of USER_TOKEN_SECRETS")
            claims = jwt.decode(
                token,
                secret,
                algorithms=["HS256"],
                # The time is looked at on every use.
                options={"require": ["sub", "exp"], "verify_exp": False, "verify_aud": False, "verify_iat": False},
            )
        except jwt.InvalidTokenError as error:
            raise Flaw(f"user_token: {shown(str(error))[1:-1]}") from None
        if not isinstance(claims["exp"], int | float):
            raise Flaw("user_token: exp is not a number")
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[token] = claims["sub"], float(claims["exp"])
        return self._known[token]
