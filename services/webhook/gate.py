"""Names become addresses here, and only those that may be called come out. A connection goes to an address that was looked
at, not to a name: what the name says a moment later (DNS rebinding) changes nothing.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from aiohttp.abc import AbstractResolver, ResolveResult

from services.webhook.addresses import Allowed, address_of, insecure, refusal
from shared.webaddress import WebAddress

LOOKUPS = 32
"""Names that are looked up at a time. The system's resolver blocks a thread, for many seconds where a server is silent."""

Lookup = Callable[[str], Awaitable[Sequence[str]]]
"""The addresses of a name. Raises ``OSError``."""


class Refused(OSError):
    """The address must not be called."""


class Gate(AbstractResolver):
    def __init__(self, allowed: Allowed, lookup: Lookup | None = None) -> None:
        self._allowed = allowed
        self._threads = ThreadPoolExecutor(LOOKUPS, thread_name_prefix="lookup")
        self._lookup = lookup or self._system_lookup

    def check(self, target: WebAddress) -> None:
        """What can be said without a lookup. Raises ``Refused``."""
        if reason := insecure(target, self._allowed):
            raise Refused(reason)
        if address_of(target.host):  # no name, so nobody looks it up
            self._check(target.host, target.host)
        elif not target.host.strip(".0123456789"):
            raise Refused(f"{target.host} is no name, and no address as addresses are written")

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Raises ``Refused`` if any of the addresses may not be called: who mixes them means no good."""
        addresses = await self._lookup(host)
        for address in addresses:
            self._check(address, host)
        return [_result(host, address, port) for address in addresses]

    async def close(self) -> None:
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _check(self, text: str, host: str) -> None:
        address = address_of(text)
        reason = refusal(address, host, self._allowed) if address else f"{host} is at {text!r}, which is no address"
        if reason:
            raise Refused(reason)

    async def _system_lookup(self, host: str) -> Sequence[str]:
        def look() -> list[str]:
            infos = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
            return [str(info[4][0]) for info in infos]

        return await asyncio.get_running_loop().run_in_executor(self._threads, look)


def _result(host: str, address: str, port: int) -> ResolveResult:
    return {
        "hostname": host,
        "host": address,
        "port": port,
        "family": socket.AF_INET6 if ":" in address else socket.AF_INET,
        "proto": socket.IPPROTO_TCP,
        "flags": socket.AI_NUMERICHOST | socket.AI_NUMERICSERV,
    }
