"""Liveness of a WebSocket's client: ping interval, ping timeout, and the progress of what is sent."""

from __future__ import annotations

import time
from typing import Any

from daphne.server import reactor

from ..transports import PingProgress, acknowledged_bytes, tcp_below, unsent_bytes
from .reading import ReadingProtocol

__all__ = ["LivenessProtocol"]

#: Bytes that may have been on their way when a ping was sent; a pong that is not among them will not come.
_ON_THE_WAY = 32 * 1024 * 1024


class LivenessProtocol(ReadingProtocol):
    """Protocol that pings its client, and cuts off one that neither answers nor takes what it is sent."""

    # Of autobahn's and daphne's.
    last_ping: float
    # A client that writes and never reads answers no ping, however much it writes.
    autoPingRestartOnAnyTraffic = False

    _received_at_ping = 0
    _octets_at_ping = 0
    _frame_at_timeout: Any = None
    _stalled_at: tuple[Any, ...] | None = None
    _stalled_since = 0.0
    _ping_progress: PingProgress | None = None

    def _check_life(self, now: float) -> None:
        server = self.server
        timeout = server.ping_interval + server.ping_timeout
        if server.ping_timeout > 0 and self._stalled_for(now) > timeout:
            self.wasNotCleanReason = f"the client has taken nothing for {timeout:g} seconds"
            self.dropConnection(abort=True)
        elif now - self.last_ping > server.ping_interval and self.autoPingTimeoutCall is None:
            self.last_ping = now
            received, before = self.application_queue.received, self._received_at_ping
            self._received_at_ping = received
            # While the reading is paused, nobody reads the pong either; and if the client has left meanwhile, its
            # TCP would answer a ping with a reset, and all that it has sent before it left would be lost. Unless
            # the handler does not receive at all, so that there is nothing to lose.
            if not self.is_paused or received == before:
                self._ping()

    def _ping(self) -> None:
        self._frame_at_timeout = None
        self._octets_at_ping = self.trafficStats.incomingOctetsWireLevel
        tcp = tcp_below(self.transport)
        if tcp is not None:
            self._ping_progress = PingProgress(getattr(tcp, "socket", None), unsent_bytes(tcp), time.time())
        self._sendAutoPing()

    def _stalled_for(self, now: float) -> float:
        """Seconds for which the client has taken none of what waits for it."""
        tcp = tcp_below(self.transport)
        taken = None
        if self._ping_progress is not None and self.autoPingTimeoutCall is not None:
            taken = self._ping_progress.look(now)
        if tcp is None or (taken is None and not unsent_bytes(tcp)):
            self._stalled_at = None
            return 0.0
        if taken is None:
            taken = acknowledged_bytes(getattr(tcp, "socket", None))
        # Where the system does not tell what the client has taken, there is what it has taken itself.
        position = (taken,) if taken is not None else (id(tcp.dataBuffer), len(tcp.dataBuffer), tcp.offset)
        if position != self._stalled_at:
            self._stalled_at, self._stalled_since = position, now
        return now - self._stalled_since

    def onAutoPingTimeout(self) -> None:
        self.autoPingTimeoutCall = None
        left = self._time_left()
        if left > 0:
            self.autoPingTimeoutCall = reactor.callLater(left, self.onAutoPingTimeout)
        else:
            super().onAutoPingTimeout()

    def _time_left(self) -> float:
        """Seconds that are left of the ping timeout; 0 or less if the pong is overdue."""
        timeout = float(self.autoPingTimeout)
        if self._is_pong_behind() or self._is_busy_receiving():
            return timeout
        now, tcp = time.time(), tcp_below(self.transport)
        if tcp is not None and unsent_bytes(tcp) and self._stalled_for(now) < timeout:
            return timeout  # the ping is behind that
        return 0.0 if self._ping_progress is None else self._ping_progress.time_left(now, timeout)

    def _is_pong_behind(self) -> bool:
        """Whether the pong may well be there, behind what was not read yet."""
        octets = self.trafficStats.incomingOctetsWireLevel - self._octets_at_ping
        return bool(self._pauses) and octets < _ON_THE_WAY

    def _is_busy_receiving(self) -> bool:
        """Whether the client is still in the middle of one big frame: it cannot answer before its end."""
        current, before = self.current_frame, self._frame_at_timeout
        self._frame_at_timeout = current
        return current is not None and (before is None or before is current)
