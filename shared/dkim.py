"""Keys that sign mails (DKIM), as settings hold them, and what is published of them in DNS. Pure.

A key is ``SELECTOR:BASE64``: the name under which DNS knows it, and the private key as PKCS #8 in DER, on one line.
"""

import base64
import binascii
import re
from typing import NamedTuple

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    PublicFormat,
    load_der_private_key,
)

LEAST_BITS = 1024
"""Of an RSA key: verifiers take no shorter one (RFC 8301 section 3.2)."""
GOOD_BITS = 2048
LONGEST_STRING = 255
"""Bytes of one string of a TXT record (RFC 1035 section 3.3.14); a longer value is several strings."""

_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_SELECTOR = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})+")


class DkimKey(NamedTuple):
    selector: str
    private: RSAPrivateKey | Ed25519PrivateKey

    @property
    def type(self) -> str:
        """As the tag ``k=`` of its record has it."""
        return "rsa" if isinstance(self.private, RSAPrivateKey) else "ed25519"

    @property
    def weak(self) -> bool:
        return isinstance(self.private, RSAPrivateKey) and self.private.key_size < GOOD_BITS


def read_keys(texts: tuple[str, ...]) -> tuple[DkimKey, ...]:
    """Raises ``ValueError``, which never repeats a key."""
    keys = tuple(_read(number, text) for number, text in enumerate(texts, 1))
    selectors = [key.selector.lower() for key in keys]
    for selector in selectors:
        if selectors.count(selector) > 1:
            raise ValueError(f"two keys have the selector {selector}")
    return keys


def written(key: DkimKey) -> str:
    """The key as ``read_keys`` takes it."""
    der = key.private.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return f"{key.selector}:{base64.b64encode(der).decode()}"


def record(key: DkimKey) -> str:
    """The value of the TXT record at ``<selector>._domainkey.<domain>`` (RFC 6376 section 3.6.1, RFC 8463 section 4)."""
    public = key.private.public_key()
    if isinstance(key.private, RSAPrivateKey):
        raw = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    else:
        raw = public.public_bytes(Encoding.Raw, PublicFormat.Raw)
    return f"v=DKIM1; k={key.type}; p={base64.b64encode(raw).decode()}"


def in_zone(value: str) -> str:
    """The value of a TXT record as zone files have it."""
    pieces = [value[at : at + LONGEST_STRING] for at in range(0, len(value), LONGEST_STRING)]
    return " ".join(f'"{piece}"' for piece in pieces)


def selector(text: str) -> str:
    """Raises ``ValueError``."""
    if not _SELECTOR.fullmatch(text):
        raise ValueError(f"{text!r} is not a selector: letters, digits and -, in parts separated by dots")
    return text


def domain(text: str) -> str:
    """Raises ``ValueError``."""
    if not _DOMAIN.fullmatch(text) or len(text) > 253:
        raise ValueError(f"{text!r} is not a domain like shop.example")
    return text.lower()


def _read(number: int, text: str) -> DkimKey:
    name, colon, encoded = text.partition(":")
    if not colon:
        raise ValueError(f"number {number} is not SELECTOR:KEY; `beckon dkim new` makes one")
    selector(name)
    try:
        private = load_der_private_key(base64.b64decode(encoded, validate=True), None)
    except (binascii.Error, ValueError, TypeError, UnsupportedAlgorithm):
        raise ValueError(f"the key of {name} is not an unencrypted private key (PKCS #8, DER) in Base64") from None
    if not isinstance(private, RSAPrivateKey | Ed25519PrivateKey):
        raise ValueError(f"the key of {name} is neither RSA nor Ed25519")
    if isinstance(private, RSAPrivateKey) and private.key_size < LEAST_BITS:
        raise ValueError(
            f"the key of {name} has {private.key_size} bits, RSA needs {GOOD_BITS} (at least {LEAST_BITS})"
        )
    return DkimKey(name, private)
