"""Limits and rules of connections: who is let in, how many, how fast, and for how long."""

from __future__ import annotations

from .access import Access, Permission
from .admission import BEGAN, Admission, NotAdmitted
from .allowed_hosts import host_problem, requested_host
from .connection import Seat
from .denials import Refusal, count_refused, log_denied
from .limits import FROM_SETTINGS, FromSettings, Limits, Statistics, process, statistics

__all__ = [
    "Access",
    "Admission",
    "BEGAN",
    "FROM_SETTINGS",
    "FromSettings",
    "Limits",
    "NotAdmitted",
    "Permission",
    "Refusal",
    "Seat",
    "Statistics",
    "count_refused",
    "host_problem",
    "log_denied",
    "process",
    "requested_host",
    "statistics",
]
