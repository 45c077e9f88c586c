"""Clock of leases: it goes on while the machine is suspended, where Python's monotonic one stands still."""

from __future__ import annotations

import time

__all__ = ["now"]

_CLOCK = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)


def now() -> float:
    """Seconds since some time in the past."""
    return time.clock_gettime(_CLOCK)
