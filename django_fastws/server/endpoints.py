"""Endpoints of a server: the addresses, Unix sockets and inherited file descriptors on which it listens."""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Iterator
from contextlib import AbstractContextManager
from typing import Any

from daphne.server import reactor
from twisted.internet import defer
from twisted.internet.endpoints import AdoptedStreamServerEndpoint

from .tls_endpoint import TLSEndpoint
from .unix import UnixSocket, claimed, leave_path

__all__ = ["Endpoints"]

_DESCRIPTOR = re.compile(r"fd:fileno=(\d+)")


class Endpoints:
    """All endpoints of one server.

    Args:
        descriptions: in Twisted's language, such as ``tcp:port=8000``.

    Attributes:
        for_daphne: the descriptions of those that daphne opens itself.
    """

    def __init__(self, descriptions: list[str]) -> None:
        # daphne takes any socket that it is handed for one of IPv4.
        self._descriptors = [int(found[1]) for found in map(_DESCRIPTOR.fullmatch, descriptions) if found]
        others = []
        #: Twisted's TLS costs several times as much.
        self._tls: list[TLSEndpoint] = []
        for text in descriptions:
            if (tls := TLSEndpoint.of(text)) is not None:
                self._tls.append(tls)
            elif not _DESCRIPTOR.fullmatch(text):
                others.append(text)
        self._unix_sockets = [unix for text in others if (unix := UnixSocket.of(text))]
        # A lock of Twisted's would outlive a process that is killed.
        self.for_daphne = [f"{text}:lockfile=0" if UnixSocket.of(text) else text for text in others]
        self._ports: list[Any] = []

    def claimed(self) -> AbstractContextManager[None]:
        """While entered, no other server that starts takes the paths of the Unix sockets, which are free to be bound.

        Raises:
            UnixSocketError: nobody can listen on one of them.
        """
        return claimed(self._unix_sockets)

    def listen(self, factory: Any) -> Iterator[Any]:
        """Listen where daphne does not: with TLS, and on sockets that somebody else has opened, of whatever family.

        Yields:
            Twisted's deferred ports.
        """
        for endpoint in self._tls:
            try:
                yield endpoint.listen(factory)
            except (OSError, ValueError) as error:
                yield defer.fail(error)
        for descriptor in self._descriptors:
            try:
                with socket.socket(fileno=os.dup(descriptor)) as opened:
                    family = opened.family
                yield AdoptedStreamServerEndpoint(reactor, descriptor, family).listen(factory)
            except OSError as error:
                yield defer.fail(error)

    def opened(self, port: Any) -> None:
        """Take over a port that Twisted has opened."""
        self._ports.append(port)
        # Twisted would remove the path of a Unix socket at the end, even if it belongs to another process by then.
        name = getattr(port, "_bindPath", None)
        if name is not None:
            for unix in self._unix_sockets:
                if os.fsencode(unix.path) == name:
                    unix.adopt(port)
            leave_path(port)

    def close(self) -> None:
        """Take no more connections; those that are open stay."""
        for unix in self._unix_sockets:
            unix.remove()  # before the port is closed: who finds the path finds a server
        while self._ports:
            self._ports.pop().stopListening()
