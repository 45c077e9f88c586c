"""Polling for the end of a connection, by tasks that wait for what may never come once it is closed."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable

__all__ = ["POLL_SECONDS", "wait_while"]

POLL_SECONDS = 0.5  # between two looks at whether a connection that somebody waits for is still there


async def wait_while(is_alive: Callable[[], bool], ready: Callable[[], Awaitable[object]]) -> bool:
    """Wait until ``ready()`` has returned, as long as the connection is there; whether it has.

    No server tells of every end: a connection that the client closed without reading may stay full for ever.

    Args:
        is_alive: whether to wait any longer; looked at every ``POLL_SECONDS``, and first of all.
        ready: called anew after each look, when the call before was cancelled.
    """
    while is_alive():
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(POLL_SECONDS):
                await ready()
            return True
    return False
