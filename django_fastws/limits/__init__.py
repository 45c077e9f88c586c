"""Limits and rules of connections: who is let in, how many, how fast, and for how long."""

from __future__ import annotations

from .access import Access, Permission
from .admission import HANDSHAKE_TIME, Admission, ConnectionDenied
from .allowed_hosts import host_problem, requested_host
from .connection import LimitedConnection
from .denials import Denial, count_denial, log_denial
from .limits import FROM_SETTINGS, FromSettings, Limits, Statistics, process_limits, statistics

__all__ = [
    "Access",
    "Admission",
    "HANDSHAKE_TIME",
    "FROM_SETTINGS",
    "FromSettings",
    "Limits",
    "ConnectionDenied",
    "Permission",
    "Denial",
    "LimitedConnection",
    "Statistics",
    "count_denial",
    "host_problem",
    "log_denial",
    "process_limits",
    "requested_host",
    "statistics",
]
