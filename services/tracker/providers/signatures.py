"""Whether a webhook is the provider's. Pure. Each check raises ``Unauthorised``, which never repeats a secret."""

import base64
import binascii
import hmac
import re
from collections.abc import Mapping, Sequence
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from services.tracker.keys import Unauthorised
from services.tracker.providers import SENDGRID_SIGNATURE, SENDGRID_TIMESTAMP
from services.tracker.shops.fields import find
from shared.clock import DAY, SECOND, Duration, Instant

LEAST_SECRET = 16
"""Characters."""
FRESH: Duration = DAY
"""How old a signature may be. Mailgun tries for eight hours; what is told twice is the same event."""

_SECONDS = re.compile(r"\d{1,12}", re.ASCII)


def sendgrid_keys(texts: Sequence[str]) -> tuple[ec.EllipticCurvePublicKey, ...]:
    """Each as SendGrid shows it: base64 of the DER of a P-256 key. Raises ``ValueError``."""
    return tuple(_public_key(number, text) for number, text in enumerate(texts, 1))


def _public_key(number: int, text: str) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError):
        key = None
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise ValueError(f"number {number} is not a verification key as SendGrid shows it")
    return key


def check_signing_keys(texts: Sequence[str]) -> None:
    """Raises ``ValueError``."""
    for number, text in enumerate(texts, 1):
        if len(text) < LEAST_SECRET:
            raise ValueError(f"number {number} has fewer than {LEAST_SECRET} characters")


def check_hook_auth(texts: Sequence[str]) -> None:
    """Raises ``ValueError``."""
    for number, text in enumerate(texts, 1):
        user, _, password = text.partition(":")
        if not user or len(password) < LEAST_SECRET:
            raise ValueError(
                f"number {number} is not USER:PASSWORD with a password of at least {LEAST_SECRET} characters"
            )


def check_sendgrid(body: bytes, headers: Mapping[str, str], keys: Sequence[ec.EllipticCurvePublicKey]) -> None:
    """ECDSA over the timestamp, as it is sent, and the body."""
    signature, timestamp = headers.get(SENDGRID_SIGNATURE, ""), headers.get(SENDGRID_TIMESTAMP, "")
    if not signature or not timestamp:
        raise Unauthorised(f"{SENDGRID_SIGNATURE} or {SENDGRID_TIMESTAMP} is missing")
    try:
        given = base64.b64decode(signature, validate=True)
    except (binascii.Error, ValueError):
        raise Unauthorised(f"{SENDGRID_SIGNATURE} is not base64") from None
    for key in keys:
        try:
            key.verify(given, timestamp.encode("utf-8", "replace") + body, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature:
            continue
        return
    raise Unauthorised(f"{SENDGRID_SIGNATURE} is not this body's, with any of SENDGRID_PUBLIC_KEY")


def check_postmark(headers: Mapping[str, str], auths: Sequence[str]) -> None:
    """Postmark signs nothing; it sends the user and password that stand in the URL it is given (RFC 7617)."""
    scheme, _, given = headers.get("Authorization", "").strip().partition(" ")
    expected = [base64.b64encode(auth.encode()) for auth in auths]
    known = sum(hmac.compare_digest(each, given.strip().encode("utf-8", "replace")) for each in expected)
    if scheme.lower() != "basic" or not known:  # each was looked at
        raise Unauthorised("the Authorization header is not Basic with POSTMARK_HOOK_AUTH")


def check_mailgun(content: Any, keys: Sequence[str], now: Instant) -> str:
    """Answers the token, which Mailgun uses once. The signature, HMAC-SHA-256 of timestamp and token, does not cover what the
    webhook says: whoever has seen one must not be able to use it again."""
    timestamp, token = find(content, "signature.timestamp"), find(content, "signature.token")
    signature = find(content, "signature.signature")
    if isinstance(timestamp, int) and not isinstance(timestamp, bool):
        timestamp = str(timestamp)
    if not all(isinstance(each, str) for each in (timestamp, token, signature)) or not _SECONDS.fullmatch(timestamp):
        raise Unauthorised("the signature is missing or not complete")
    signed = (timestamp + token).encode("utf-8", "replace")
    expected = [hmac.new(key.encode(), signed, "sha256").hexdigest().encode() for key in keys]
    if not sum(hmac.compare_digest(each, signature.encode("utf-8", "replace")) for each in expected):
        raise Unauthorised("the signature is not Mailgun's, with any of MAILGUN_SIGNING_KEY")
    if abs(now - int(timestamp) * SECOND) > FRESH:
        raise Unauthorised("the signature is more than a day old, or of the future")
    return str(token)
