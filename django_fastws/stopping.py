"""How a command is stopped: in order on the first signal, at once on the second, and in time whatever happens."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType

__all__ = ["OrderlyStop"]


class OrderlyStop:
    """SIGINT and SIGTERM begin an orderly stop, a second one ends the process as the signal would have.

    Whatever still runs when the time is over, because it blocks or ignores its cancellation, ends with the process.

    Args:
        loop: the event loop of what is stopped.
        begin: begins the stop; called in that loop, more than once if ``begin`` below is.
        seconds: how long the stop may take, asked when it begins.
        status: the exit status of a process that had to be ended.
        logger: told of that.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        begin: Callable[[], None],
        *,
        seconds: Callable[[], float],
        status: Callable[[], int],
        logger: logging.Logger,
    ) -> None:
        self._loop = loop
        self._begin = begin
        self._seconds = seconds
        self._status = status
        self._logger = logger
        self._begun = threading.Event()
        self._has_signal = False

    def install(self) -> None:
        """Handle the signals from now on; in the main thread."""
        # Not through the loop: code that blocks it would block them too.
        for signum in (signal.SIGINT, signal.SIGTERM):
            signal.signal(signum, self._on_signal)
        threading.Thread(target=self._watch, daemon=True, name="watchdog").start()

    def begin(self) -> None:
        """Begin the stop; from any thread, or a signal handler."""
        self._begun.set()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._begin)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        if self._has_signal:  # somebody insists
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            os._exit(128 + signum)  # the first process of a container does not die of a signal
        self._has_signal = True
        self.begin()

    def _watch(self) -> None:
        self._begun.wait()
        time.sleep(self._seconds())
        self._logger.error(
            "Some code did not end within the drain time: it ignores its cancellation, or blocks. Ending anyway"
        )
        logging.shutdown()
        os._exit(self._status())
