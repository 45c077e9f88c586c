"""Which failures may pass, and which cannot."""

from __future__ import annotations

__all__ = ["RENEWABLE", "status_may_pass"]

#: What a server may answer to a token or a URL that is over, and not to the next one.
RENEWABLE = frozenset({401, 403, 404, 451})


def status_may_pass(status: int) -> bool:
    """Whether a handshake that was answered with this HTTP status may succeed later.

    >>> [status for status in (400, 401, 403, 404, 408, 410, 425, 429, 500, 503) if status_may_pass(status)]
    [408, 425, 429, 500, 503]
    """
    return status in (408, 425, 429) or 500 <= status <= 599
