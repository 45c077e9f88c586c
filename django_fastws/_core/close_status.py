"""Close statuses, code and reason, with which the package closes a socket by itself (RFC 6455 section 7.4.1).

Those of limits stand in the table of limits, ``limits/table.py``.
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
