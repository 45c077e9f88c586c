"""Backoff of retries: delays with jitter, Retry-After, and which HTTP statuses are worth a retry."""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Iterator
from datetime import UTC
from email.utils import parsedate_to_datetime

__all__ = ["LONGEST_RETRY_AFTER", "RETRYABLE_WITH_NEW_CREDENTIALS", "delays", "is_retryable_status", "retry_after"]

#: Seconds that are waited at most because a server says so: longer, and a mistake of its would be the route's end.
LONGEST_RETRY_AFTER = 3600.0
#: HTTP statuses with which a server may answer to a token or URL that has expired, and not to the next one.
RETRYABLE_WITH_NEW_CREDENTIALS = frozenset({401, 403, 404, 451})


def delays(
    base: float = 2.0, cap: float = 30.0, jitter: float = 0.5, fraction: Callable[[], float] = random.random
) -> Iterator[float]:
    """Yield the delays before attempt 1, 2, 3 and so on; attempt 0 is the first connection and waits for nothing.

    >>> from itertools import islice
    >>> list(islice(delays(jitter=0), 6))
    [2.0, 4.0, 8.0, 16.0, 30.0, 30.0]

    Args:
        base: the delay before attempt n is ``base**n`` seconds at most.
        cap: no delay is longer, in seconds.
        jitter: the part of a delay that is left to chance, from 0 to 1: with 0.5 it is between half and all of it.
        fraction: where chance comes from: numbers from 0 up to 1.
    Yields:
        Seconds, without end.
    """
    attempt = 0
    while True:
        attempt += 1
        try:
            longest = min(float(base) ** attempt, cap)
        except OverflowError:
            longest = cap
        yield longest * (1 - jitter * fraction())


def retry_after(value: str | None, now: float) -> float | None:
    """Read a Retry-After header (RFC 9110 section 10.2.3).

    Args:
        value: a number of seconds or a date; None if there is no such header.
        now: the present, in seconds since the epoch.
    Returns:
        Seconds to wait, an hour at most; or None if the header is missing or means nothing.
    """
    if value is None:
        return None
    value = value.strip()
    if value.isascii() and value.isdigit():
        seconds = float(value)
        return min(seconds, LONGEST_RETRY_AFTER) if math.isfinite(seconds) else None
    try:
        date = parsedate_to_datetime(value)
        if date.tzinfo is None:  # one of the two obsolete forms, which are in UTC too (section 5.6.7)
            date = date.replace(tzinfo=UTC)
        return min(max(0.0, date.timestamp() - now), LONGEST_RETRY_AFTER)
    except (ValueError, OverflowError, OSError):
        return None


def is_retryable_status(status: int) -> bool:
    """Whether a handshake that was answered with this HTTP status may succeed later.

    >>> [status for status in (400, 401, 403, 404, 408, 410, 425, 429, 500, 503) if is_retryable_status(status)]
    [408, 425, 429, 500, 503]
    """
    return status in (408, 425, 429) or 500 <= status <= 599
