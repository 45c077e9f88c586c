"""The load generator over TLS: it counts the bytes that were encrypted."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Callable, Sequence

from tests.support.processes import HOST

from .load import Disconnected, Lost, Refused, Swarm, handshake

__all__ = ["TLSSwarm", "shake_hands"]


def shake_hands(sock: socket.socket, request: bytes, hello: bytes) -> None:
    """Send the request that opens a WebSocket, and read its answer.

    Args:
        hello: what the server sends first, after its answer.
    Raises:
        Refused: the answer was another one, or none.
    """
    sock.sendall(request)
    reply = b""
    while not (found := reply.partition(b"\r\n\r\n"))[1] or found[2] != hello:
        part = sock.recv(65536)
        if not part or not reply.startswith(b"HTTP/1.1 101 "[: len(reply)]):
            raise Refused(f"the server answered {reply!r}")
        reply += part


class TLSSwarm(Swarm):
    """Sockets with TLS to one server.

    Args:
        context: of a client that trusts the server.
        patience: as of ``Swarm``.
    """

    def __init__(self, context: ssl.SSLContext, patience: float = 30.0) -> None:
        super().__init__(patience)
        self._context = context

    def connect(self, port: int, paths: Sequence[str], hello: bytes = b"") -> list[int]:
        """As of ``Swarm``, but one after the other."""
        return [self._open(port, path, hello) for path in paths]

    def _open(self, port: int, path: str, hello: bytes) -> int:
        plain = socket.create_connection((HOST, port), timeout=self.patience)
        sock = self._context.wrap_socket(plain, server_hostname=HOST)
        shake_hands(sock, handshake(port, path), hello)
        return self._add(sock)

    def _recv(self, fd: int) -> int:
        """Take what has come whole; returns how many bytes, of which there may be none."""
        try:
            count = self._sockets[fd].recv_into(self._buffer)
        except ssl.SSLWantReadError:
            return 0
        if not count:
            raise Disconnected("the server has closed a socket")
        return count

    def _take(self, seconds: float) -> int:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            taken = 0
            for fd, _ in self._epoll.poll(left):
                count = self._recv(fd)
                self._got[fd] += count
                taken += count
            if taken:
                return taken
        return 0

    def answer(
        self, members: Sequence[int], frame: bytes | Callable[[int], bytes], size: int, window: int, seconds: float
    ) -> float:
        made = [frame * count for count in range(window + 1)].__getitem__ if isinstance(frame, bytes) else frame
        for member in members:
            self.send(member, made(window))
        under_way, back, got = window * len(members), 0, self._got
        started = now = heard = time.perf_counter()
        while under_way and now - heard < self.patience:
            for fd, _ in self._epoll.poll(1):
                got[fd] += self._recv(fd)
                count, got[fd] = divmod(got[fd], size)
                back += count
                if count and now - started < seconds:
                    self._sockets[fd].send(made(count))
                    heard = now
                else:
                    under_way -= count
            now = time.perf_counter()
        if under_way:
            raise Lost(f"{under_way:,} messages did not come back")
        return back / (now - started)
