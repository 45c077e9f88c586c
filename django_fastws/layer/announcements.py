"""Announcements: receivers of Django signals are called without holding up an event loop, in order."""

from __future__ import annotations

import contextlib
import logging
from collections import deque
from contextvars import Context
from typing import Any

from asgiref.sync import sync_to_async
from django.db import close_old_connections
from django.dispatch import Signal

from ..loops import PerLoop, running_loop
from ..tasks import BackgroundTasks

__all__ = ["announce"]

logger = logging.getLogger("django_fastws.layer")

_announcing = BackgroundTasks(logger)


class _Announcements:
    """Announcements of one event loop that wait for those before them; one task makes them all."""

    def __init__(self) -> None:
        self._waiting: deque[tuple[Signal, type, dict[str, Any]]] = deque()
        self._is_announcing = False

    def add(self, signal: Signal, sender: type, arguments: dict[str, Any]) -> None:
        self._waiting.append((signal, sender, arguments))
        if not self._is_announcing:
            self._is_announcing = True
            # In no context: the one here is of whoever was the first to find something out.
            _announcing.start(self._announce(), context=Context())

    async def _announce(self) -> None:
        try:
            while self._waiting:
                signal, sender, arguments = self._waiting.popleft()
                results = await signal.asend_robust(sender, **arguments)  # Django logs the errors of receivers
                if any(isinstance(result, Exception) for _, result in results):
                    # One may be of a database connection that has broken, in the thread of sync receivers, which
                    # serves no requests that would close it.
                    with contextlib.suppress(Exception):
                        await sync_to_async(close_old_connections)()
        finally:
            self._is_announcing = False


_announcements = PerLoop(_Announcements)


def announce(signal: Signal, sender: type, **arguments: Any) -> None:
    """Call the receivers of a signal: soon if this thread runs an event loop, which must not be blocked; else now.

    Those of one loop are called one after the other, in the order of the announcements.
    """
    if not signal.has_listeners(sender):
        return
    if running_loop() is None:
        signal.send_robust(sender, **arguments)
    else:
        _announcements.get().add(signal, sender, arguments)
