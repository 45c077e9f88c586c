"""Clock by which this process forgets what it keeps in its memory; tests set it forward."""

from __future__ import annotations

import time

__all__ = ["ProcessClock", "process_clock"]


class ProcessClock:
    """Clocks of Python, and how far they are ahead of themselves.

    Attributes:
        ahead: seconds of ``monotonic()``. It is not set back, for no such clock ever is.
        ahead_of_day: seconds of ``time()``.
    """

    def __init__(self) -> None:
        self.ahead = 0.0
        self.ahead_of_day = 0.0

    def monotonic(self) -> float:
        """Seconds since any moment."""
        return time.monotonic() + self.ahead

    def time(self) -> float:
        """Seconds since 1970."""
        return time.time() + self.ahead_of_day


process_clock = ProcessClock()
