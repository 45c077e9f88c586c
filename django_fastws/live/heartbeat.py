"""Heartbeat of live sockets: ``{"ping":1}`` where nothing was said for a while, by one timer for each event loop."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from ..conf import conf
from ..loops import PerLoop

__all__ = ["Heartbeat", "current_heartbeat"]

_AT_ONCE = 128  # sockets of one turn of the loop


class Silent(Protocol):
    """Session as far as its heartbeat needs it."""

    __slots__ = ()

    def beat(self) -> None:
        """Half of the time between two pings is over. Must not raise."""


class Heartbeat:
    """Heartbeat of the sessions of one event loop.

    Each is looked at twice within ``FASTWS_LIVE_PING_SECONDS``, so that it is silent for no longer than that. The
    looks are spread as the handshakes were; one dict in the order of time and one timer serve all sessions.
    """

    def __init__(self) -> None:
        #: When each is due, soonest first.
        self._due: dict[Silent, float] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, session: Silent) -> None:
        """Begin with a session."""
        self._due[session] = asyncio.get_running_loop().time() + conf.live_ping_seconds / 2
        if self._timer is None:
            self._set_timer()

    def discard(self, session: Silent) -> None:
        """The session is over."""
        self._due.pop(session, None)
        if not self._due and self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set_timer(self) -> None:
        first = next(iter(self._due.values()), None)
        self._timer = None
        if first is not None:
            # In no context: the one here is of some socket.
            loop = asyncio.get_running_loop()
            self._timer = loop.call_at(first, self._beat, context=contextvars.Context())

    def _beat(self) -> None:
        loop_time = asyncio.get_running_loop().time()
        next_time = loop_time + conf.live_ping_seconds / 2
        for session in [session for session, due in islice(self._due.items(), _AT_ONCE) if due <= loop_time]:
            del self._due[session]
            self._due[session] = next_time  # the last now
            session.beat()
        self._set_timer()

    def __iter__(self) -> Iterator[Silent]:
        """The sessions, those that are due first before the others."""
        return iter(list(self._due))

    def __len__(self) -> int:
        """Number of sessions."""
        return len(self._due)


_heartbeats = PerLoop(Heartbeat)


def current_heartbeat() -> Heartbeat:
    """The heartbeat of the running event loop."""
    return _heartbeats.get()
