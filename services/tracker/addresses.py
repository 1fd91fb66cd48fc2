"""Where a request comes from, and as much of an address as may be kept. Pure."""

import ipaddress
from collections.abc import Sequence
from functools import lru_cache
from typing import TypeAlias

Address: TypeAlias = ipaddress.IPv4Address | ipaddress.IPv6Address
Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

_KEPT = {4: 24, 6: 48}
"""Bits of an address that are kept: of IPv4 as much as a neighbourhood, of IPv6 as much as a provider gives a customer."""
_COUNTED = {4: 32, 6: 64}
"""Bits that stand for one sender: a household has a whole IPv6 network of 64 bits."""


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    """Raises ``ValueError``."""
    return tuple(ipaddress.ip_network(text) for text in texts)


def sender(peer: str | None, forwarded: str | None, trusted: Sequence[Network]) -> str | None:
    """Who is to be counted: the last of ``X-Forwarded-For`` that is not one of our own proxies, if it was one of them that
    connected. None: somebody on this machine, whom no limit is for."""
    return _sender(peer or "", forwarded or "", tuple(trusted))


@lru_cache(8192)
def _sender(peer: str, forwarded: str, trusted: tuple[Network, ...]) -> str | None:
    for text in (peer, *reversed(forwarded.split(","))):
        address = _address(text)
        if address is None:
            return "unknown"
        if any(address in network for network in trusted):
            continue
        if address.is_loopback:
            return None
        return str(ipaddress.ip_network((address, _COUNTED[address.version]), strict=False))
    return "unknown"


def _address(text: str) -> Address | None:
    try:
        address = ipaddress.ip_address(text.strip())
    except ValueError:
        return None
    return getattr(address, "ipv4_mapped", None) or address


@lru_cache(8192)
def truncated(text: str) -> str | None:
    """The network that an address stands in; none if it is no address."""
    address = _address(text)
    if address is None:
        return None
    return str(ipaddress.ip_network((address, _KEPT[address.version]), strict=False).network_address)
