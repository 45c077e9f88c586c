"""TCP progress of what was sent: how much of it the peer has acknowledged, where the system tells (Linux)."""

from __future__ import annotations

import socket
import struct
from typing import Any

try:
    import fcntl
    import termios
except ImportError:  # not a POSIX system
    _QUEUED: int | None = None
else:
    _QUEUED = getattr(termios, "TIOCOUTQ", None)

__all__ = ["PingProgress", "acknowledged_bytes", "queued_bytes"]

_TCP_INFO: int | None = getattr(socket, "TCP_INFO", None)
_ACKNOWLEDGED_AT = 120  # of the u64 tcpi_bytes_acked in Linux's struct tcp_info
_INFO_BYTES = 128


def acknowledged_bytes(sock: Any) -> int | None:
    """Number of bytes that the peer's system has acknowledged on this connection; None where that cannot be told."""
    if _TCP_INFO is None:
        return None
    try:
        info = sock.getsockopt(socket.IPPROTO_TCP, _TCP_INFO, _INFO_BYTES)
    except (OSError, AttributeError):  # closed; or no TCP
        return None
    if len(info) < _INFO_BYTES:
        return None
    return int(struct.unpack_from("=Q", info, _ACKNOWLEDGED_AT)[0])


def queued_bytes(sock: Any) -> int:
    """Number of bytes that the system holds and the peer's has not taken; 0 where that cannot be told."""
    if _QUEUED is None:
        return 0
    try:
        return int(struct.unpack("i", fcntl.ioctl(sock.fileno(), _QUEUED, b"\0\0\0\0"))[0])
    except (OSError, ValueError, AttributeError):
        return 0


class PingProgress:
    """Progress of one ping behind what was sent before it.

    A ping waits behind whatever its peer has not taken yet, and cannot be answered before. So the time in which it
    must be answered begins when the peer's system has taken it, and is at least as long as that took: the peer may
    hold as much again that it has not read.

    Args:
        sock: of the connection.
        held: bytes that this process holds for the peer, the ping not counted.
        now: in seconds of any clock.
    """

    __slots__ = ("_goal", "_sent", "_sock", "_taken_at")

    def __init__(self, sock: Any, held: int, now: float) -> None:
        self._sock = sock
        self._sent = now
        self._goal: int | None = None
        self._taken_at: float | None = now
        waiting = held + queued_bytes(sock)
        acknowledged = acknowledged_bytes(sock) if waiting else None
        if acknowledged is not None:
            self._goal, self._taken_at = acknowledged + waiting, None

    def look(self, now: float) -> int | None:
        """Number of bytes that the peer has taken by now; None once it has all that was before the ping."""
        if self._taken_at is not None or self._goal is None:
            return None
        acknowledged = acknowledged_bytes(self._sock)
        if acknowledged is None or acknowledged > self._goal:
            self._taken_at = now
            return None
        return acknowledged

    def time_left(self, now: float, timeout: float) -> float:
        """Seconds that are left of the timeout of the answer; 0 or less if it is overdue.

        As long as the peer has not taken the ping, that is the whole timeout.
        """
        self.look(now)
        if self._taken_at is None:
            return timeout
        return self._taken_at + max(timeout, self._taken_at - self._sent) - now
