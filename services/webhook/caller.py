"""One attempt: a POST, and what came of it. No redirects, no proxies, no cookies, and of an answer no more than its head."""

import asyncio
import ssl
import time
from collections.abc import Mapping

import aiohttp

from services.webhook.answers import Answer, printable, retry_after
from services.webhook.gate import Gate, Refused
from shared.clock import Clock, Duration
from shared.webaddress import WebAddress

BODY_BYTES = 16 * 1024
BODY_S = 1.0
"""A body that is longer, or takes longer, is not waited for: its connection is closed instead of used again."""
NAMES_KEPT_S = 10

_ALWAYS = {"content-type": "application/json", "user-agent": "Beckon-Webhooks/1", "accept": "*/*"}


class Caller:
    """``clock`` tells the time of day. Call ``close`` at the end."""

    def __init__(self, gate: Gate, clock: Clock, *, timeout_s: float, tls: ssl.SSLContext | None = None) -> None:
        self._gate = gate
        self._clock = clock
        self._timeout_s = timeout_s
        connector = aiohttp.TCPConnector(
            limit=0,  # each endpoint has its own
            resolver=gate,
            ttl_dns_cache=NAMES_KEPT_S,
            ssl=tls or ssl.create_default_context(),
        )
        self._http = aiohttp.ClientSession(
            connector=connector,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=timeout_s),
            headers=_ALWAYS,
            auto_decompress=False,
        )

    async def close(self) -> None:
        await self._http.close()
        await self._gate.close()

    async def call(self, target: WebAddress, headers: Mapping[str, str], body: bytes) -> Answer:
        """Raises ``Refused`` if the target must not be called; everything else is an answer."""
        self._gate.check(target)
        began = time.monotonic_ns()

        def took() -> Duration:
            return (time.monotonic_ns() - began) // 1000

        try:
            async with self._http.post(target.url, data=body, headers=headers, allow_redirects=False) as response:
                answer = Answer(
                    took(),
                    response.status,
                    retry_after=retry_after(response.status, response.headers.get("retry-after"), self._clock.now()),
                )
                await _drain(response)
                return answer
        except TimeoutError:
            return Answer(took(), error=f"no answer within {self._timeout_s:g} s")
        except aiohttp.ClientConnectorError as error:
            if isinstance(error.os_error, Refused):
                raise error.os_error from None
            return Answer(took(), error=printable(str(error)))
        except aiohttp.ClientResponseError as error:  # in full it would repeat the URL, which may hold a credential
            return Answer(took(), error=printable(f"no answer that can be read: {error.message}"))
        except (aiohttp.ClientError, OSError) as error:
            return Answer(took(), error=printable(str(error) or type(error).__name__))


async def _drain(response: aiohttp.ClientResponse) -> None:
    """Read to the end of a short body, so that the connection can be used again. The answer is known already: whatever goes
    wrong here does not change it."""
    left = BODY_BYTES
    try:
        async with asyncio.timeout(BODY_S):
            while left > 0 and (chunk := await response.content.read(left)):
                left -= len(chunk)
    except (TimeoutError, aiohttp.ClientError, OSError):
        response.close()
