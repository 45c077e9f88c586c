"""X-Forwarded-* headers: the client's address and scheme, as the reverse proxies in front of the server tell."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from ipaddress import ip_address

__all__ = ["Forwarded", "parse_address"]

Headers = Iterable[tuple[bytes, bytes]]

#: Where proxies tell which port the client asked for. daphne takes it for the client's own, unless told of another.
_PORT_ASKED_FOR = b"x-forwarded-port"
_SECURE = {"http": False, "ws": False, "https": True, "wss": True}


@dataclass(frozen=True)
class Forwarded:
    """Reader of the X-Forwarded-* headers that a number of proxies have added to.

    Every proxy adds at the right what it has seen, so the rightmost entries were written by proxies of our own; what
    stands left of them came from the client, which can write there what it likes. What is missing or malformed is
    taken for not said.

    Args:
        hops: how many proxies stand in front of the server; at least 1.
        address_header: lower-case name of the header with the addresses.
        port_header: likewise with the client's port, for proxies that put it there; None looks for none. That is not
            X-Forwarded-Port, which tells the port that the client asked for.
        proto_header: likewise with the scheme; None looks for none.
    """

    hops: int = 1
    address_header: bytes = b"x-forwarded-for"
    port_header: bytes | None = None
    proto_header: bytes | None = b"x-forwarded-proto"

    @classmethod
    def from_options(
        cls, hops: int | None, address: str | None, port: str | None, proto: str | None
    ) -> Forwarded | None:
        """Make it of a server's options; None if no proxy is believed.

        Args:
            hops: None for 1 if there is a name for the header with the addresses, else for 0.
            address, port, proto: names of headers, as daphne's options have them.
        """
        address_header, port_header, proto_header = (_header(name) for name in (address, port, proto))
        if hops is None:
            hops = 0 if address_header is None else 1
        if hops < 1:
            return None
        if address_header is None:
            return cls(hops)
        return cls(hops, address_header, None if port_header == _PORT_ASKED_FOR else port_header, proto_header)

    def client(self, headers: Headers) -> list[str | int] | None:
        """Host and port of the client, the port being 0 where it was not said; None where nothing was said."""
        headers = list(headers)
        entries = _entries(headers, self.address_header)
        if len(entries) < self.hops:
            return None  # it did not come through all of the proxies
        address = parse_address(entries[-self.hops])
        if address is None:
            return None
        host, port = address
        return [host, port or _port(self._last_of(headers, self.port_header)) or 0]

    def is_secure(self, headers: Headers) -> bool | None:
        """Whether the client talks TLS with the outermost proxy; None where that was not said."""
        return _SECURE.get(self._last_of(headers, self.proto_header).lower())

    def _last_of(self, headers: Headers, name: bytes | None) -> str:
        # Many proxies set this header and do not add to it, so there may be fewer entries than proxies.
        entries = [] if name is None else _entries(headers, name)
        return entries[-min(self.hops, len(entries))] if entries else ""


def _header(name: str | None) -> bytes | None:
    return name.lower().encode("latin-1") if name else None


def parse_address(text: str) -> tuple[str, int | None] | None:
    """Split an address from its port, if it has one.

    >>> parse_address("192.0.2.1")
    ('192.0.2.1', None)
    >>> parse_address("[2001:db8::1]:4711")
    ('2001:db8::1', 4711)

    Returns:
        The address and the port, or None if it is no IP address ("unknown", a name, a mistake).
    """
    port: int | None = None
    host, rest = text.strip(), ""
    if host.startswith("["):
        host, bracket, rest = host[1:].partition("]")
        if not bracket or (rest and not rest.startswith(":")):
            return None
        rest = rest[1:]
    elif host.count(":") == 1:
        host, _, rest = host.partition(":")
    if rest:
        port = _port(rest)
        if port is None:
            return None
    if "%" in host:  # a zone of somebody else's machine
        return None
    try:
        address = ip_address(host)
    except ValueError:
        return None
    return str(getattr(address, "ipv4_mapped", None) or address), port


def _entries(headers: Headers, name: bytes) -> list[str]:
    joined = ",".join(value.decode("latin-1") for key, value in headers if key == name)
    return [entry.strip() for entry in joined.split(",")] if joined else []


def _port(text: str) -> int | None:
    if not (text.isascii() and text.isdigit() and len(text) <= 5):
        return None
    port = int(text)
    return port if port <= 65535 else None
