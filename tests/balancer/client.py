"""The client's end of a proxy. Every wait has a limit."""

from __future__ import annotations

from typing import Any

import httpx2
import websockets

from tests.site.client import LIMIT, Client

__all__ = ["ELSEWHERE", "LIMIT", "browser", "connect"]

#: An address of a client that is not the proxy's.
ELSEWHERE = "127.0.0.2"


def connect(url: str, **options: Any) -> Any:
    """Open a WebSocket; as ``websockets.connect``."""
    limits = {"open_timeout": LIMIT, "close_timeout": LIMIT, "ping_interval": None, "max_size": None}
    return websockets.connect(url, proxy=None, create_connection=Client, compression=None, **(limits | options))


def browser(address: str = "127.0.0.1", **options: Any) -> httpx2.AsyncClient:
    """Makes HTTP requests from an address of this machine."""
    transport = httpx2.AsyncHTTPTransport(local_address=address, **options)
    return httpx2.AsyncClient(transport=transport, trust_env=False, timeout=LIMIT)
