"""The bus inside a process that has no channel layer, or Channels' in-memory one.

It reaches every thread and event loop, and has no capacity of 100 messages as the in-memory layer has.
"""

from __future__ import annotations

import asyncio
import os
import threading
from typing import Any

from channels.layers import InMemoryChannelLayer

from .link import Deliver, Envelope, Link

__all__ = ["LocalLink", "is_local", "publish_locally"]


def is_local(layer: Any) -> bool:
    """Whether rooms end at the process with this layer."""
    # A subclass may well mean to see what passes, so it is treated as any other layer.
    return layer is None or type(layer) is InMemoryChannelLayer


class LocalLink(Link):
    """The subscriptions of one hub."""

    def __init__(self, deliver: Deliver) -> None:
        super().__init__(deliver)
        self._loop = asyncio.get_running_loop()
        #: Who publishes should wait.
        self.is_held = False

    async def subscribe(self, group: str) -> None:
        with _lock:
            _links.setdefault(group, {})[self] = self._loop

    async def unsubscribe(self, group: str) -> None:
        with _lock:
            links = _links.get(group, {})
            links.pop(self, None)
            if not links:
                _links.pop(group, None)

    def hold(self) -> None:
        self.is_held = True

    def resume(self) -> None:
        self.is_held = False

    async def close(self) -> None:
        self.resume()


_links: dict[str, dict[LocalLink, asyncio.AbstractEventLoop]] = {}
_lock = threading.Lock()


def publish_locally(group: str, envelope: Envelope) -> list[LocalLink]:
    """Deliver to the hubs of this process: at once to that of the running loop, soon to the others.

    Returns:
        The links that whoever publishes more should wait for, until none of them ``is_held``.
    """
    try:
        here: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
    except RuntimeError:
        here = None
    with _lock:
        links = list(_links.get(group, {}).items())
    for subscriber, loop in links:
        if loop is here:
            subscriber.deliver(envelope)
            continue
        try:
            loop.call_soon_threadsafe(subscriber.deliver, envelope)
        except RuntimeError:  # that loop was closed with members in the room
            with _lock:
                _links.get(group, {}).pop(subscriber, None)
    return [subscriber for subscriber, loop in links if subscriber.is_held and loop.is_running()]


def _after_fork() -> None:
    global _lock
    _lock = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
