"""Limits and access rules of connections: who is let in, how many, how fast, and for how long."""

from __future__ import annotations

from .access import Access, Permission
from .admission import HANDSHAKE_TIME, Admission, ConnectionDenied
from .allowed_hosts import host_problem
from .allowed_origins import OriginCheck
from .denials import Denial, deny_handshake
from .limited_connection import LimitedConnection
from .process import Statistics, counted_address, process_limits, statistics
from .recording import record_denial, record_own_denial
from .table import (
    CONNECTION_LIMITS,
    FROM_SETTINGS,
    LIMITS,
    MAX_CONNECTIONS_PER_ADDRESS,
    MAX_CONNECTIONS_PER_USER,
    OPTIONS,
    FromSettings,
    Limit,
    Limits,
)

__all__ = [
    "CONNECTION_LIMITS",
    "FROM_SETTINGS",
    "HANDSHAKE_TIME",
    "LIMITS",
    "MAX_CONNECTIONS_PER_ADDRESS",
    "MAX_CONNECTIONS_PER_USER",
    "OPTIONS",
    "Access",
    "Admission",
    "ConnectionDenied",
    "Denial",
    "FromSettings",
    "Limit",
    "LimitedConnection",
    "Limits",
    "OriginCheck",
    "Permission",
    "Statistics",
    "counted_address",
    "deny_handshake",
    "host_problem",
    "process_limits",
    "record_denial",
    "record_own_denial",
    "statistics",
]
