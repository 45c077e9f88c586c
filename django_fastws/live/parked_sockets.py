"""Sockets whose own task is parked while another one reads: made idle again, with one task each, soon after."""

from __future__ import annotations

import asyncio
import contextvars
from itertools import islice
from typing import Protocol

from ..loops import PerLoop

__all__ = ["ParkedSockets", "current_parked_sockets"]

_SECONDS = 1.0  # between two looks at one
_AT_ONCE = 128  # sockets of one turn of the loop


class Parked(Protocol):
    """Socket as far as it is looked after."""

    def look_after(self) -> bool:
        """Have its own task read again, if it is idle; returns whether to look at it again. Must not raise."""


class ParkedSockets:
    """Parked sockets of one event loop.

    While a call waits, another task reads. Handing the reading back costs as much as a call, so it is done once for
    all calls of a second or two; then an idle socket has no task but its own.
    """

    def __init__(self) -> None:
        self._due: dict[Parked, None] = {}
        self._later: dict[Parked, None] = {}
        self._timer: asyncio.Handle | None = None

    def add(self, socket: Parked) -> None:
        """Look after a socket in a second or two, until it is not parked any more. Adding twice is adding once."""
        if socket not in self._due:
            self._later[socket] = None
        if self._timer is None:
            self._set_timer()

    def _set_timer(self) -> None:
        # In no context: the one here is of some socket.
        loop, context = asyncio.get_running_loop(), contextvars.Context()
        if self._due:
            self._timer = loop.call_soon(self._look, context=context)
        else:
            self._due, self._later = self._later, self._due
            self._timer = loop.call_later(_SECONDS, self._look, context=context) if self._due else None

    def _look(self) -> None:
        for socket in list(islice(self._due, _AT_ONCE)):
            del self._due[socket]
            if socket.look_after():
                self._later[socket] = None
        self._set_timer()

    def __len__(self) -> int:
        """Number of sockets."""
        return len(self._due) + len(self._later)


_parked = PerLoop(ParkedSockets)


def current_parked_sockets() -> ParkedSockets:
    """The parked sockets of the running event loop."""
    return _parked.get()
