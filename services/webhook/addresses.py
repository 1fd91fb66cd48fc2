"""Which addresses may be called: those of the internet, and what an operator names.

A rule's author chooses the URL, and the service stands inside the network: without this, a rule could have it call the
cloud's metadata, a database, or another service (server-side request forgery).
"""

import re
from collections.abc import Iterable
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

from msgspec import Struct

from shared.webaddress import WebAddress

Address = IPv4Address | IPv6Address

_HOST = re.compile(r"[a-z0-9_]([a-z0-9_.-]*[a-z0-9_])?")
_GLOBAL_UNICAST = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")
# What ``is_global`` of Python 3.11 takes for part of the internet, and is not.
_SPECIAL_4 = (
    IPv4Network("192.0.0.0/24"),  # protocol assignments (RFC 6890)
    IPv4Network("192.88.99.0/24"),  # relays of 6to4 (RFC 7526)
    IPv4Network("168.63.129.16/32"),  # Azure's platform, seen from every machine there
)
_SPECIAL_6 = (
    IPv6Network("2002::/16"),  # 6to4: an IPv4 address, whichever, in IPv6 clothes (RFC 7526)
    IPv6Network("3fff::/20"),  # documentation (RFC 9637)
)


class Allowed(Struct, frozen=True):
    """What may be called although it is not of the internet, and without https."""

    hosts: frozenset[str] = frozenset()
    networks: tuple[IPv4Network | IPv6Network, ...] = ()

    def has(self, address: Address) -> bool:
        return any(address in network for network in self.networks)


def read_allowed(given: Iterable[str]) -> Allowed:
    """Hosts, addresses and networks. Raises ``ValueError``."""
    hosts, networks = set[str](), list[IPv4Network | IPv6Network]()
    for entry in given:
        try:
            networks.append(ip_network(entry))
        except ValueError:
            if not _HOST.fullmatch(entry.lower()):
                raise ValueError(f"{entry!r} is neither a host nor a network such as 10.0.0.0/8") from None
            hosts.add(entry.lower())
    return Allowed(frozenset(hosts), tuple(networks))


def address_of(host: str) -> Address | None:
    """The address that ``host`` is, if it is one and no name."""
    try:
        return ip_address(host)
    except ValueError:
        return None


def refusal(address: Address, host: str, allowed: Allowed) -> str:
    """Why ``address``, found for ``host``, may not be called; empty if it may."""
    if public(address) or host in allowed.hosts or allowed.has(address):
        return ""
    return f"{host} is at {address}, which is not on the internet; WEBHOOK_ALLOW does not name it"


def insecure(target: WebAddress, allowed: Allowed) -> str:
    """Why the target may not be called by its scheme; empty if it may."""
    address = address_of(target.host)
    if target.https or target.host in allowed.hosts or (address is not None and allowed.has(address)):
        return ""
    return f"without https only what WEBHOOK_ALLOW names is called, and {target.host} is not there"


def public(address: Address) -> bool:
    """Whether the address is one machine's on the internet."""
    if isinstance(address, IPv4Address):
        return address.is_global and not address.is_multicast and not any(address in net for net in _SPECIAL_4)
    if (inner := _inner(address)) is not None:
        return public(inner)
    return address in _GLOBAL_UNICAST and address.is_global and not any(address in net for net in _SPECIAL_6)


def _inner(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a packet to ``address`` ends up at (RFC 4291 section 2.5.5.2, RFC 6052)."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped
