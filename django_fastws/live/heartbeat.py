"""Heartbeat of live sockets: ``{"ping":1}`` where nothing was said for a while, by one timer for each event loop."""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections.abc import Iterator
from itertools import islice
from typing import Protocol

from ..conf import conf
from ..loops import PerLoop

__all__ = ["Heartbeat", "current_heartbeat"]

_AT_ONCE = 128  # sockets of one turn of the loop
_PARTS, _LONGEST_PART = 32, 2.0  # of the time between two pings, in seconds: what is due in one is looked at together


class Silent(Protocol):
    """Session as far as its heartbeat needs it.

    Attributes:
        due: kept for the heartbeat: when the session is looked at.
    """

    due: float

    def beat(self) -> float:
        """Ping, if nothing was said for so long; returns the seconds until it is to be looked at again.

        Must not raise.
        """


class Heartbeat:
    """Heartbeat of the sessions of one event loop.

    Each is looked at when it can have been silent for ``FASTWS_LIVE_PING_SECONDS``, or a thirty-second part of that
    later, two seconds at most. The looks are spread as the handshakes were; one timer serves all sessions.
    """

    def __init__(self) -> None:
        #: The sessions by the time at which they are looked at.
        self._due: dict[float, dict[Silent, None]] = {}
        self._timer: asyncio.TimerHandle | None = None

    def add(self, session: Silent) -> None:
        """Begin with a session."""
        due = self._put(session, conf.live_ping_seconds)
        if self._timer is None or due < self._timer.when():
            self._set_timer(due)

    def discard(self, session: Silent) -> None:
        """The session is over."""
        self._remove(session)
        if not self._due:
            self._set_timer(None)

    def _put(self, session: Silent, seconds: float) -> float:
        """Look at a session in so many seconds, or a little later, with others; returns when."""
        part = min(conf.live_ping_seconds / _PARTS, _LONGEST_PART)
        session.due = due = ((asyncio.get_running_loop().time() + seconds) // part + 1) * part
        self._due.setdefault(due, {})[session] = None
        return due

    def _remove(self, session: Silent) -> bool:
        """Look at a session no more; returns whether that was to be."""
        sessions = self._due.get(session.due)
        if sessions is None or session not in sessions:
            return False
        del sessions[session]
        if not sessions:
            del self._due[session.due]
        return True

    def _set_timer(self, due: float | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
        # In no context: the one here is of some socket.
        context, loop = contextvars.Context(), asyncio.get_running_loop()
        self._timer = None if due is None else loop.call_at(due, self._beat, context=context)

    def _beat(self) -> None:
        first = min(self._due, default=math.inf)
        if first <= asyncio.get_running_loop().time():
            for session in list(islice(self._due[first], _AT_ONCE)):
                seconds = session.beat()
                if self._remove(session):
                    self._put(session, seconds)
        self._set_timer(min(self._due, default=None))

    def __iter__(self) -> Iterator[Silent]:
        """The sessions, those that are due first before the others."""
        return iter([session for due in sorted(self._due) for session in self._due[due]])

    def __len__(self) -> int:
        """Number of sessions."""
        return sum(map(len, self._due.values()))


_heartbeats = PerLoop(Heartbeat)


def current_heartbeat() -> Heartbeat:
    """The heartbeat of the running event loop."""
    return _heartbeats.get()
