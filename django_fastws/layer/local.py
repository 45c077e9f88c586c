"""The bus inside a process that has no channel layer, or Channels' in-memory one.

It reaches every thread and event loop, and has no capacity of 100 messages as the in-memory layer has.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from typing import Any

from channels.layers import InMemoryChannelLayer
from django.core import mail

from .._core.forks import after_fork_in_child
from .broker import Deliver, Envelope, Link

__all__ = ["LocalLink", "expect_members", "is_local", "publish_locally"]

logger = logging.getLogger("django_fastws.layer")


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
        expect_members()
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
_expects_members = False


def expect_members() -> None:
    """Note that this process serves sockets, so that a broadcast which nobody hears is no mistake."""
    global _expects_members
    _expects_members = True


def _warn_once() -> None:
    """Say that nobody can hear what is published, in a process such as a shell that will never serve a socket."""
    expect_members()
    if not hasattr(mail, "outbox"):  # Django's test runner, which nobody expects to serve
        logger.warning(
            "Nobody can hear what this process broadcasts: it serves no sockets, and CHANNEL_LAYERS has no layer "
            "that reaches other processes. Configure django_fastws.layer.RedisChannelLayer"
        )


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
    if not _expects_members:
        _warn_once()
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


after_fork_in_child(_after_fork)
