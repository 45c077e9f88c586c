"""Client addresses: the key under which a client is counted."""

from __future__ import annotations

from functools import lru_cache
from ipaddress import IPv6Address, ip_address, ip_network

__all__ = ["address_key"]

_PREFIX = 64  # bits of an IPv6 address that one client is given; the rest it chooses itself (RFC 6177)


@lru_cache(maxsize=1024)
def address_key(host: str) -> str:
    """The key of an address: an IPv4 address itself, of an IPv6 address the network that a client has.

    >>> address_key("192.0.2.7"), address_key("2001:db8:1:2:aaaa::5"), address_key("::ffff:192.0.2.7")
    ('192.0.2.7', '2001:db8:1:2::/64', '192.0.2.7')

    What is no IP address stands for itself.
    """
    try:
        address = ip_address(host.partition("%")[0])  # without the name of an interface
    except ValueError:
        return host
    if not isinstance(address, IPv6Address):
        return str(address)
    if address.ipv4_mapped is not None:
        return str(address.ipv4_mapped)
    return str(ip_network((address, _PREFIX), strict=False))
