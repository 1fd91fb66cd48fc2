"""Reading a request's body within bounds: of type, of size (also once decompressed), of time."""

import asyncio
import zlib

from aiohttp import web

from services.tracker.events import Malformed

MAX_BODY = 1024 * 1024
"""Bytes, compressed or not."""
TYPES = frozenset({"application/json", "text/plain", ""})
"""``navigator.sendBeacon`` sends a text as ``text/plain``."""

_GZIP = 31
"""zlib's ``wbits`` for a gzip header and trailer."""


class Unsupported(Exception):
    """A type or an encoding that is not read here."""


class TooLarge(Exception):
    """The body has more than ``MAX_BODY`` bytes."""

    def __init__(self) -> None:
        super().__init__(f"the body has more than {MAX_BODY} bytes: send it in several requests")


class TooSlow(Exception):
    """The body did not come in time."""


async def read(request: web.BaseRequest, timeout_s: float, *, any_type: bool = False) -> bytes:
    """The body as the sender wrote it. Raises ``Unsupported``, ``TooLarge``, ``TooSlow`` or ``Malformed``.

    ``any_type``: do not look at ``Content-Type``. RudderStack's library for Node.js sends its compressed JSON as a form.
    The server must not decompress by itself (``auto_decompress=False``).
    """
    kind = "" if any_type else request.headers.get("Content-Type", "")
    if kind not in TYPES and (kind := kind.partition(";")[0].strip().lower()) not in TYPES:
        raise Unsupported(f"Content-Type {kind!a} is not read here: send application/json")
    encoding = request.headers.get("Content-Encoding")
    if encoding is not None and (encoding := encoding.strip().lower()) not in ("identity", "gzip"):
        raise Unsupported(f"Content-Encoding {encoding!a} is not read here: send gzip or none")
    try:
        # A small body is there with its headers; then no timer is set, which costs 6 us of the 30 of a bare request.
        data = request.content.read_nowait() if request.content.is_eof() else await _receive(request, timeout_s)
    except (web.RequestPayloadError, ConnectionError):
        raise Malformed("the body broke off") from None
    if len(data) > MAX_BODY:
        raise TooLarge
    return gunzip(data) if encoding == "gzip" else data


async def _receive(request: web.BaseRequest, timeout_s: float) -> bytes:
    if (request.content_length or 0) > MAX_BODY:
        raise TooLarge
    data = bytearray()
    try:
        async with asyncio.timeout(timeout_s):
            while len(data) <= MAX_BODY and (chunk := await request.content.readany()):
                data += chunk
    except TimeoutError:
        raise TooSlow(f"the body did not come within {timeout_s:g} s") from None
    return bytes(data)


def gunzip(data: bytes) -> bytes:
    """Decompress one gzip member of at most ``MAX_BODY`` bytes, and no further. Raises ``TooLarge`` or ``Malformed``."""
    inflate = zlib.decompressobj(_GZIP)
    try:
        plain = inflate.decompress(data, MAX_BODY + 1)
    except zlib.error:
        raise Malformed("the body is not gzip, as Content-Encoding says") from None
    if len(plain) > MAX_BODY:
        raise TooLarge
    if not inflate.eof or inflate.unused_data:
        raise Malformed("the body is not one whole gzip member")
    return plain
