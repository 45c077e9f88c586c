"""Background publisher of close requests, for receivers of signals, which must not be held up by the layer."""

from __future__ import annotations

import atexit
import logging
import threading
import time

from .._core.control import CloseRequest, encode
from .._core.forks import reset_in_child
from ..layer import get_broker
from ..loops import running_loop

__all__ = ["BackgroundPublisher", "publisher"]

logger = logging.getLogger("django_fastws.users")

_LONGEST_WAIT = 1.0  # seconds that receivers of signals may hold up a thread
_REGAINED = 30.0  # seconds after which they may do so again
_MOST_PENDING = 50_000
_SHOWN = 5  # users, in the log


class BackgroundPublisher:
    """Publishes in a thread of its own: never raises, and never holds anybody up for long.

    Requests that are handed over while others are on their way are batched. The thread runs while there is something
    to publish.
    """

    def __init__(self) -> None:
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Begin anew in a forked child: it has no threads, and what is pending is published by its parent."""
        self._lock = threading.Lock()
        self._pending: list[tuple[CloseRequest, threading.Event]] = []
        self._thread: threading.Thread | None = None

    def publish(self, requests: list[CloseRequest]) -> None:
        """Publish, and wait until that is done: for a second at most, and for so long once in a while.

        What takes longer, because Redis is away, goes on in the thread; what fails is logged.
        """
        done = threading.Event()
        with self._lock:
            if len(self._pending) + len(requests) > _MOST_PENDING:
                logger.error("%s was lost: too many others wait for the channel layer", _describe(requests))
                return
            self._pending += [(request, done) for request in requests]
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="django_fastws publisher", daemon=True)
                try:
                    self._thread.start()
                except RuntimeError as error:  # the process is ending, or has too many threads
                    self._thread, self._pending = None, []
                    logger.error("%s was lost: %s", _describe(requests), error)
                    return
        if running_loop() is None:
            _budget.wait(done)

    def drain(self) -> None:
        """Give what is pending at the end of the process a second."""
        if (thread := self._thread) is not None:
            thread.join(_LONGEST_WAIT)

    def _run(self) -> None:
        while True:
            with self._lock:
                pending, self._pending = self._pending, []
                if not pending:
                    self._thread = None
                    return
            self._publish_now([request for request, _ in pending])
            for done in {done for _, done in pending}:
                done.set()

    def _publish_now(self, requests: list[CloseRequest]) -> None:
        for envelope, batch in encode(requests):
            try:
                get_broker().publish(envelope)
            except Exception as error:
                logger.error("%s was lost: %s", _describe(batch), error)


def _describe(requests: list[CloseRequest]) -> str:
    users = list(dict.fromkeys(request.user for request in requests))
    more = f" and {len(users) - _SHOWN} more" if len(users) > _SHOWN else ""
    return f"Disconnecting {', '.join(users[:_SHOWN])}{more}"


class _WaitBudget(threading.local):
    """Budget of a thread's waiting: a second, which is earned anew in half a minute.

    So whatever a request or a transaction does to however many users, and though Redis hangs, it waits for a second.
    """

    def __init__(self) -> None:
        self._left = _LONGEST_WAIT
        self._at = time.monotonic()

    def wait(self, done: threading.Event) -> None:
        now = time.monotonic()
        self._left = min(_LONGEST_WAIT, self._left + (now - self._at) * _LONGEST_WAIT / _REGAINED)
        done.wait(self._left)
        self._at = time.monotonic()
        self._left = max(0.0, self._left - (self._at - now))


_budget = _WaitBudget()

#: Of this process.
publisher = BackgroundPublisher()
atexit.register(publisher.drain)
