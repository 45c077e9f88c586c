"""The load generator of handshakes: clients that connect, get a first message, close, and come back."""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Sequence

from tests.support.processes import HOST

from .load import AT_ONCE, Lost, Refused, handshake
from .messages import READY, server_frame

__all__ = ["visit"]

_HELLO = server_frame(READY.encode())
_CLOSE = b"\x88\x82\x00\x00\x00\x00\x03\xe8"  # 1000, masked with zeros
_PATIENCE = 30.0  # seconds without anything


class _Visitor:
    """One client at a time: its socket, and what has come."""

    __slots__ = ("came", "closes", "sock")

    def __init__(self, port: int, request: bytes) -> None:
        self.sock = socket.create_connection((HOST, port), timeout=_PATIENCE)
        self.sock.setblocking(False)
        self.sock.send(request)
        self.came = b""
        self.closes = False

    def is_done(self) -> bool:
        """Take what there is; whether the server has closed the connection."""
        piece = self.sock.recv(65536)
        self.came += piece
        if not self.closes:
            head, end, rest = self.came.partition(b"\r\n\r\n")
            if not piece or (end and (not head.startswith(b"HTTP/1.1 101 ") or not _HELLO.startswith(rest))):
                raise Refused(f"the server answered {head[:100]!r}, {rest!r}")
            if end and rest == _HELLO:
                self.sock.send(_CLOSE)
                self.closes = True
        return not piece


def visit(port: int, path: str, headers: Sequence[str], count: int) -> float:
    """Connect so often, some tens at a time, each time until the server has closed the connection in turn.

    Args:
        headers: further ones of the requests, each with its line break; who comes next has the next of these.
    Returns:
        How many in a second.
    Raises:
        Refused: an answer was another one.
        Lost: nothing came for long.
    """
    requests = [handshake(port, path, header) for header in headers]
    visitors: dict[int, _Visitor] = {}
    begun = done = 0
    started = time.perf_counter()
    with select.epoll() as epoll:
        try:
            while done < count:
                while begun < count and len(visitors) < AT_ONCE:
                    visitor = _Visitor(port, requests[begun % len(requests)])
                    visitors[visitor.sock.fileno()] = visitor
                    epoll.register(visitor.sock, select.EPOLLIN)
                    begun += 1
                events = epoll.poll(_PATIENCE)
                if not events:
                    raise Lost(f"{count - done:,} of {count:,} connections were not closed")
                for fd, _ in events:
                    if visitors[fd].is_done():
                        epoll.unregister(fd)
                        visitors.pop(fd).sock.close()
                        done += 1
        finally:
            for visitor in visitors.values():
                visitor.sock.close()
    return count / (time.perf_counter() - started)
