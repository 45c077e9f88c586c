"""Timeouts of publishing, joining and leaving: futures that fail when Redis does not answer in time.

Those of threads without an event loop are in ``blocking.py``.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Collection
from operator import itemgetter
from typing import Any

from ...conf import conf
from ..errors import timed_out, unreachable
from ..outages import LayerServer

__all__ = ["Deadlines"]


class Deadlines:
    """Futures with a timeout, in the order in which they were made. One timer serves all of them.

    Each waits, since it came, for ``FASTWS_PUBLISH_RETRY_SECONDS`` while it is lost; else, for an answer, for
    ``FASTWS_PUBLISH_TIMEOUT_SECONDS``.

    Args:
        doing: what they are doing, for their errors.
        server: what they wait for.
    """

    def __init__(self, doing: str, server: LayerServer) -> None:
        self._doing = doing
        self._server = server
        self._loop = asyncio.get_running_loop()
        self._futures: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._timer: asyncio.TimerHandle | None = None

    def add(self) -> asyncio.Future[Any]:
        """A future that fails with ``WebSocketConnectionError`` in time, unless it is done before."""
        futures = self._futures
        while futures and futures[0][1].done():
            futures.popleft()
        future = self._loop.create_future()
        futures.append((self._loop.time(), future))
        if self._timer is None:
            self.check()
        return future

    def check(self) -> None:
        """Fail those who have waited long enough. Call it when the server was lost or is back."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        is_lost, futures = self._server.is_lost, self._futures
        limit = conf.publish_retry_seconds if is_lost else conf.publish_timeout_seconds
        while futures:
            since, future = futures[0]
            if not future.done():
                if since + limit > self._loop.time():
                    self._timer = self._loop.call_at(since + limit, self.check)
                    return
                error = self._server.error
                future.set_exception(unreachable(self._doing, error) if is_lost else timed_out(self._doing, limit))
            futures.popleft()

    def hand_over(self, futures: Collection[asyncio.Future[Any]], to: Deadlines) -> None:
        """Let others watch over some of the futures, which wait for another server from now on."""
        moved = {id(future) for future in futures}
        taken = [entry for entry in self._futures if id(entry[1]) in moved]
        if taken and to is not self:
            self._futures = deque(entry for entry in self._futures if id(entry[1]) not in moved)
            to._futures = deque(sorted([*to._futures, *taken], key=itemgetter(0)))
            self.check()
            to.check()

    def fail(self, error: Exception) -> None:
        """Fail all of them."""
        while self._futures:
            _, future = self._futures.popleft()
            if not future.done():
                future.set_exception(error)
        self.check()
