"""Reconnect window: the time over which the clients of a server that stops spread their first reconnects."""

from __future__ import annotations

import math

from .close_codes import CloseStatus
from .rates import Rate

__all__ = ["reconnect_window", "restart_status"]

_LEAST_SECONDS, _MOST_SECONDS = 1.0, 30.0


def reconnect_window(sockets: int, rate: Rate | None) -> float | None:
    """Seconds over which so many clients reconnect at a rate; from 1 to 30.

    >>> reconnect_window(1000, Rate(125, 1, 125))
    8.0

    Args:
        rate: of all of them together; its burst does not matter. None for no window.
    """
    if rate is None:
        return None
    return min(max(sockets * rate.seconds / rate.count, _LEAST_SECONDS), _MOST_SECONDS)


def restart_status(window: float | None) -> CloseStatus:
    """Close status of a restart, whose reason announces the window in milliseconds.

    >>> restart_status(8.0)
    CloseStatus(code=1012, reason='service restart;8000')
    """
    reason = "service restart" if window is None else f"service restart;{math.ceil(window * 1000)}"
    return CloseStatus(1012, reason)
