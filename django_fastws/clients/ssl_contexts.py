"""SSL contexts of outbound routes that name none: one for all sockets, one for all HTTP requests.

A context holds all authorities that are trusted, which takes tens of milliseconds and most of 1 MiB; nothing else is
sent meanwhile. The two differ, as the libraries' own defaults do: sockets trust the authorities of the system, HTTP
requests those of httpx2.
"""

from __future__ import annotations

import ssl
import time
from functools import lru_cache

import httpx2

__all__ = ["http_context", "socket_context"]

_KEPT_SECONDS = 3600


def socket_context() -> ssl.SSLContext:
    """SSL context of sockets, made anew every hour: the authorities of the system change."""
    return _socket_context(int(time.monotonic() / _KEPT_SECONDS))


@lru_cache(maxsize=1)
def _socket_context(period: int) -> ssl.SSLContext:
    return ssl.create_default_context()


@lru_cache(maxsize=1)
def http_context() -> ssl.SSLContext:
    """SSL context of HTTP requests."""
    return httpx2.create_ssl_context()
