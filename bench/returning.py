"""Clients of a live room that lose their connections and come back: what each got is looked at when all is over."""

from __future__ import annotations

import re
import select
import socket
import time
from collections.abc import Sequence

from tests.support.processes import HOST

from .load import AT_ONCE, Disconnected, Lost, Refused, handshake
from .messages import client_frame, encoded

__all__ = ["ReturningClients"]

_AT = re.compile(rb'"at":"([0-9A-Za-z]+:\d+)"')
_TO = re.compile(rb'"recovered":true,"to":"([0-9A-Za-z]+:\d+)"')


class _Client:
    """Client with a connection: all that has come over it, and when."""

    def __init__(self, port: int, since: str | None) -> None:
        self.since = since
        self.sock = socket.create_connection((HOST, port))
        self.sock.setblocking(False)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.sock.send(handshake(port, "/ws/live"))
        self.is_open = False
        self.got = b""
        self.parts: list[tuple[float, int]] = []  # when, and how many bytes there were then

    def position(self) -> str | None:
        """Of the last event that it got, or else where it began."""
        found = _AT.findall(self.got)
        return found[-1].decode() if found else self.since

    def live_at(self) -> float:
        """When it had the answer of its join, and what it had missed."""
        found = _TO.search(self.got)
        if found is None:  # the answer is all
            return self.parts[0][0]
        ends = self.got.index(b'"at":"%b"' % found[1])
        return next(when for when, size in self.parts if size > ends)

    def check(self) -> None:
        """Raises Lost unless it was told that it has recovered, and has each event since then once and in order."""
        if b'"recovered":true' not in self.got:
            raise Lost(f"a client that came back from {self.since} was told {self.got[:120]!r}")
        at = [position.decode() for position in _AT.findall(self.got)]
        epoch, _, offset = at[0].partition(":")
        wanted = [f"{epoch}:{number}" for number in range(int(offset), int(offset) + len(at))]
        if at[0] != self.since or at != wanted:
            raise Lost(f"a client that came back from {self.since} has not got all that follows, once and in order")


class ReturningClients:
    """Clients of a live room on several servers, so many on each.

    Args:
        room: its name.
        keeps_position: whether they say where they were when they come back.
        patience: for how many seconds nothing may arrive.
    """

    def __init__(self, ports: Sequence[int], each: int, room: str, *, keeps_position: bool, patience: float) -> None:
        self._ports = list(ports) * each
        self._room = room
        self._keeps_position = keeps_position
        self._patience = patience
        self._epoll = select.epoll()
        self._clients: dict[int, _Client] = {}

    def __len__(self) -> int:
        return len(self._ports)

    def cut(self) -> list[str | None]:
        """Close all connections at the same moment; returns the positions."""
        clients = list(self._clients.values())
        for client in clients:
            client.sock.close()
        self._clients.clear()
        return [client.position() if self._keeps_position else None for client in clients]

    def come(self, positions: Sequence[str | None] = ()) -> None:
        """Connect all, and join the room; returns once each has its answer.

        Args:
            positions: where they were; those that were never there have none.
        """
        waiting = list(zip(self._ports, positions or [None] * len(self), strict=True))[::-1]
        opening = answered = 0
        most = AT_ONCE * len(set(self._ports))
        while answered < len(self):
            while waiting and opening < most:
                client = _Client(*waiting.pop())
                self._clients[client.sock.fileno()] = client
                self._epoll.register(client.sock, select.EPOLLIN)
                opening += 1
            for client in self._take():
                if not client.is_open:
                    client.is_open = self._join(client)
                    opening -= client.is_open
                elif len(client.parts) == 1:
                    answered += 1

    def hear(self, position: str) -> None:
        """Wait until all have the event at a position."""
        last = b'"at":"%b"}' % position.encode()
        missing = {client for client in self._clients.values() if not client.got.endswith(last)}
        while missing:
            missing.difference_update([client for client in self._take() if client.got.endswith(last)])

    def live_at(self) -> float:
        """When the last of them had its answer, and what it had missed (of ``time.perf_counter``)."""
        return max(client.live_at() for client in self._clients.values())

    def check(self) -> None:
        """Raises Lost unless every one has recovered, and has all events since then in order."""
        for client in self._clients.values():
            client.check()

    def _join(self, client: _Client) -> bool:
        """Join, once the handshake is answered; whether it is."""
        head, end, rest = client.got.partition(b"\r\n\r\n")
        if end and (not head.startswith(b"HTTP/1.1 101 ") or rest):
            raise Refused(f"the server answered {client.got[:200]!r}")
        if end:
            since = {} if client.since is None else {"since": client.since}
            client.sock.send(client_frame(encoded({"join": self._room, "id": 1, **since})))
            client.got = b""
            client.parts.clear()
        return bool(end)

    def _take(self) -> list[_Client]:
        """Take what there is, or wait for it; returns who has got something."""
        events = self._epoll.poll(self._patience)
        now, clients = time.perf_counter(), [self._clients[fd] for fd, _ in events]
        if not clients:
            raise Lost(f"nothing arrives any more at {len(self._clients):,} clients")
        for client in clients:
            data = client.sock.recv(65536)
            if not data:
                raise Disconnected(f"the server has closed a socket after {client.got[-200:]!r}")
            client.got += data
            client.parts.append((now, len(client.got)))
        return clients

    def close(self) -> None:
        """Close all connections."""
        self.cut()
        self._epoll.close()
