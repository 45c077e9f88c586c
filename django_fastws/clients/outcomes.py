"""Outcome of an attempt of an outbound route, from which the runner decides whether to reconnect."""

from __future__ import annotations

from enum import Enum
from typing import NamedTuple

__all__ = ["AttemptResult", "Outcome", "PicowsUnsupported"]


class Outcome(Enum):
    """Outcome of an attempt. The values are those of a label of ``metrics.outbound_outcomes``."""

    RETURNED = "returned"  # the handler returned while the connection was open
    CLOSED_HERE = "closed_here"  # the handler closed it, or raised WebSocketException
    RECONNECT = "reconnect"  # the handler raised Reconnect
    CLOSED_BY_PEER = "closed_by_peer"
    LOST = "lost"  # it was cut, or the peer did not answer pings
    TRANSIENT_FAILURE = "transient_failure"  # it was not opened, and a retry may succeed
    PERMANENT_FAILURE = "permanent_failure"  # it was not opened, and a retry cannot succeed
    HANDLER_FAILED = "handler_failed"  # the handler raised what is no connection error


class AttemptResult(NamedTuple):
    """Result of one attempt.

    Attributes:
        outcome: how it ended.
        reason: in words, without secrets.
        retry_after: seconds that the peer, or the handler, asked to wait before the next attempt, or None.
        up_seconds: how long the connection was open.
    """

    outcome: Outcome
    reason: str = ""
    retry_after: float | None = None
    up_seconds: float = 0.0


class PicowsUnsupported(Exception):
    """A connection that picows cannot make, and websockets perhaps can; the text says why."""
