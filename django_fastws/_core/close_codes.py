"""Close codes and reasons that several parts of the package share (RFC 6455 section 7.4.1): 1001, 1011 and 1013.

The others stand where they are used: those of limits in ``limits/table.py``; 1008 "denied", of a rule that has
accepted the socket, in ``limits/admission.py``; 4401, of a user or a session, in ``users/rechecks.py``; 1012, of a
server that stops, in ``reconnect_window.py``. Which one a connection is closed with, ``connection_state.py`` decides.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["GOING_AWAY", "INTERNAL_ERROR", "TOO_SLOW", "CloseStatus"]


class CloseStatus(NamedTuple):
    """Code and reason of a close frame."""

    code: int
    reason: str


#: The process stops.
GOING_AWAY = CloseStatus(1001, "going away")
#: The handler or the application has failed.
INTERNAL_ERROR = CloseStatus(1011, "internal error")
#: The client does not read what it is sent.
TOO_SLOW = CloseStatus(1013, "too slow")
