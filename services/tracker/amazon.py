"""What SES tells by SNS: verified with Amazon's certificates, which are fetched once each, and subscriptions confirmed."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import aiohttp
import structlog
from cryptography.hazmat.primitives.asymmetric import rsa

from services.tracker.keys import Unauthorised
from services.tracker.providers import sns
from services.tracker.providers.sns import Message
from shared.errors import BusUnavailable

log = structlog.get_logger()

FETCH_S = 5.0
MAX_FETCHED = 64 * 1024
"""Bytes; a certificate has two thousand."""
MAX_CERTIFICATES = 16
"""Kept. A region has one at a time."""

Fetch = Callable[[str], Awaitable[bytes]]


class FetchFailed(Exception):
    pass


async def fetch(url: str) -> bytes:
    """What stands at an address of Amazon's. Raises ``FetchFailed``, also if it leads elsewhere."""
    try:
        async with (
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=FETCH_S)) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise FetchFailed(f"answered {answer.status}")
            data = b""
            async for chunk in answer.content.iter_chunked(MAX_FETCHED):
                data += chunk
                if len(data) > MAX_FETCHED:
                    raise FetchFailed(f"more than {MAX_FETCHED} bytes")
            return data
    except (aiohttp.ClientError, TimeoutError, OSError) as error:
        raise FetchFailed(str(error) or type(error).__name__) from None


class Amazon:
    """``topics``: whose messages are taken. At most one fetch at a time is under way, whoever asks for how many."""

    def __init__(self, topics: Sequence[str], fetch: Fetch = fetch) -> None:
        self._topics = frozenset(topics)
        self._fetch = fetch
        self._keys: dict[str, rsa.RSAPublicKey] = {}
        self._fetching = asyncio.Lock()

    async def read(self, body: bytes) -> Message:
        """Raises ``Malformed``, ``Unauthorised`` or, while Amazon's certificate cannot be had, ``BusUnavailable``."""
        message = sns.read(body, self._topics)
        sns.check(message, await self._key(message.signing_cert_url))
        return message

    async def confirm(self, message: Message) -> None:
        """Raises ``BusUnavailable`` if that is to be tried again."""
        await self._get(sns.confirmation(message))
        log.info("sns_subscription_confirmed", topic=message.topic_arn)

    async def _key(self, url: str) -> rsa.RSAPublicKey:
        if url not in self._keys:
            try:
                key = sns.certificate_key(await self._get(url))
            except ValueError:
                raise Unauthorised("what stands at the SigningCertURL is no certificate") from None
            if len(self._keys) >= MAX_CERTIFICATES:
                self._keys.clear()
            self._keys[url] = key
        return self._keys[url]

    async def _get(self, url: str) -> bytes:
        if self._fetching.locked():
            raise BusUnavailable("Amazon is being asked already")
        async with self._fetching:
            try:
                return await self._fetch(url)
            except FetchFailed as error:
                log.warning("amazon_not_reached", error=str(error))
                raise BusUnavailable(f"Amazon's server cannot be asked: {error}") from None
