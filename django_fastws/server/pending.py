"""Pending requests, whose head or body has not come in whole: their timeouts and their number per address."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import Any, Protocol

from .._core.address_keys import address_key
from ..conf import conf

__all__ = ["MIN_PACE", "Arriving", "PendingRequests"]

logger = logging.getLogger("django_fastws.server")

#: Bytes of a body that must come in a second, on the average of each time window of FASTWS_REQUEST_TIMEOUT.
MIN_PACE = 500

_CHECK_SECONDS = 0.25  # between two looks, while anything is pending
_LOG_SECONDS = 60.0  # between two lines about the same thing


class Arriving(Protocol):
    """Connection on which a request comes in."""

    def check_pace(self, now: float, timeout: float) -> None:
        """Reject the request if it comes too slowly."""

    def evict(self) -> None:
        """Close, because too many are pending."""


class PendingRequests:
    """Registry of the connections on which a request comes in, with timeouts and a limit per address.

    Of one address only so many may be without a complete head; with one more, the one that has waited longest is
    closed: a head comes within milliseconds, unless somebody holds it back.

    Args:
        call_later: calls a function after so many seconds.
    """

    def __init__(self, call_later: Callable[[float, Callable[[], None]], Any]) -> None:
        self._call_later = call_later
        self._arriving: dict[Arriving, None] = {}
        self._heads: dict[str, dict[Arriving, None]] = {}
        self._keys: dict[Arriving, str] = {}
        self._is_looking = False
        self._logged_at = float("-inf")

    def begin(self, connection: Arriving, address: str | None) -> None:
        """Note that a connection is open, or that a request begins on it.

        Args:
            connection: where.
            address: of the client; None if it stands for more than one client.
        """
        self._arriving[connection] = None
        if address is not None:
            self._count(connection, address_key(address))
        if not self._is_looking:
            self._is_looking = True
            self._call_later(_CHECK_SECONDS, self._look)

    def head_ended(self, connection: Arriving) -> None:
        """Note that the head of the request is complete."""
        key = self._keys.pop(connection, None)
        if key is not None:
            heads = self._heads[key]
            heads.pop(connection, None)
            if not heads:
                del self._heads[key]

    def end(self, connection: Arriving) -> None:
        """Note that the request is complete, or given up."""
        self._arriving.pop(connection, None)
        self.head_ended(connection)

    def _count(self, connection: Arriving, key: str) -> None:
        self._keys[connection] = key
        heads = self._heads.setdefault(key, {})
        heads[connection] = None
        limit = conf.max_pending_per_address
        if limit is not None and len(heads) > limit:
            oldest = next(iter(heads))
            self.end(oldest)
            self._log_eviction(key, limit)
            oldest.evict()

    def _log_eviction(self, key: str, limit: int) -> None:
        now = time.monotonic()
        if now - self._logged_at >= _LOG_SECONDS:
            self._logged_at = now
            logger.warning(
                "More than %d connections of %s wait with an incomplete request: closing the oldest "
                "(FASTWS_MAX_PENDING_PER_ADDRESS)",
                limit,
                key,
            )

    def _look(self) -> None:
        timeout = conf.request_timeout
        if timeout is not None:
            now = time.monotonic()
            for connection in list(self._arriving):
                connection.check_pace(now, timeout)
        self._is_looking = bool(self._arriving)
        if self._is_looking:
            self._call_later(_CHECK_SECONDS, self._look)
