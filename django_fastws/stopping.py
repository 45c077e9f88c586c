"""Signals that stop a command: graceful shutdown on the first, at once on a later one, a watchdog for the time."""

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
from typing import Any

__all__ = ["OrderlyStop"]

#: For so long after the first signal, others say nothing new.
GRACE_SECONDS = 1.0

_HANGUP = getattr(signal, "SIGHUP", None)  # which not every system has


class OrderlyStop:
    """Signal handlers for a graceful shutdown, and a watchdog that ends the process when it takes too long.

    SIGINT, SIGTERM and SIGHUP begin the stop; a later SIGINT or SIGTERM ends the process as it would have.
    What comes within a second of the first signal is the same wish: Ctrl+C reaches a process from the terminal and
    from its supervisor, and a service manager sends SIGTERM and SIGHUP. SIGHUP, which a closing terminal sends, never
    ends the process at once; where it is ignored already, as ``nohup`` has it, it stays so.

    Whatever still runs when the time is over, because it blocks or ignores its cancellation, ends with the process.
    After ``uninstall()`` that is only what the process waits for when its main thread has ended: other threads.

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
        self._is_begun = False
        self._over = threading.Event()
        self._former: dict[int, Any] = {}
        self._signalled_at: float | None = None

    @property
    def has_begun(self) -> bool:
        """Whether the stop has begun."""
        return self._is_begun

    def install(self) -> None:
        """Handle the signals from now on; in the main thread."""
        # Not through the loop: code that blocks it would block them too.
        signums: list[int] = [signal.SIGINT, signal.SIGTERM]
        if _HANGUP is not None and signal.getsignal(_HANGUP) is not signal.SIG_IGN:
            signums.append(_HANGUP)
        self._former = {signum: signal.signal(signum, self._on_signal) for signum in signums}
        threading.Thread(target=self._watch, daemon=True, name="watchdog").start()

    def begin(self) -> None:
        """Begin the stop; from any thread, or a signal handler."""
        self._is_begun = True
        self._begun.set()
        with contextlib.suppress(RuntimeError):  # the loop has ended meanwhile
            self._loop.call_soon_threadsafe(self._begin)

    def uninstall(self) -> None:
        """Give the signals back to code that goes on after what was stopped; in the main thread.

        If a signal has stopped it, those that come within a second of that are still the same wish.
        """
        self._over.set()
        self._begun.set()
        if self._signalled_at is None:
            self._restore()

    def _restore(self) -> None:
        for signum, former in self._former.items():
            signal.signal(signum, signal.SIG_DFL if former is None else former)

    def _on_signal(self, signum: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        if self._signalled_at is None:
            self._signalled_at = now
            self.begin()
        elif now - self._signalled_at < GRACE_SECONDS:
            return
        elif self._over.is_set():
            self._restore()
            signal.raise_signal(signum)
        elif signum != _HANGUP:  # somebody insists
            signal.signal(signum, signal.SIG_DFL)
            os.kill(os.getpid(), signum)
            os._exit(128 + signum)  # the first process of a container does not die of a signal

    def _watch(self) -> None:
        self._begun.wait()
        if not self._is_begun:
            return  # it has ended by itself
        began, seconds = time.monotonic(), self._seconds()
        if self._over.wait(seconds):
            threading.main_thread().join()  # what comes after the stop takes as long as it likes
            time.sleep(max(GRACE_SECONDS, began + seconds - time.monotonic()))
        self._logger.error(
            "Some code did not end within the drain time: it ignores its cancellation, or blocks. Ending anyway"
        )
        logging.shutdown()
        os._exit(self._status())
