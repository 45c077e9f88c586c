"""Timers with the precision of the reactor, for the WebSocket timeouts of autobahn, whose own may end too early."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from daphne.server import reactor

__all__ = ["Timers"]


class Timers:
    """Timers for autobahn's protocols. Its own end at whole seconds, and so up to a second early."""

    def call_later(self, delay: float, function: Callable[..., Any], *args: Any, **options: Any) -> Any:
        """Call a function later; what is returned has a ``cancel()``."""
        return _Timer(reactor.callLater(delay, function, *args, **options))


class _Timer:
    __slots__ = ("_call",)

    def __init__(self, call: Any) -> None:
        self._call = call

    def cancel(self) -> None:
        """Do not call it; no matter whether it has been."""
        if self._call.active():
            self._call.cancel()
