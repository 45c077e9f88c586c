"""Event loop of uvloop's that watches file descriptors as asyncio's does, for Twisted's reactor."""

from __future__ import annotations

import contextlib
import select
from collections.abc import Callable
from contextvars import copy_context
from functools import partial
from typing import Any

import uvloop
from twisted.python.log import callWithLogger

from ..slow_callbacks import runs_callbacks

__all__ = ["EpollLoop"]

_IN_A_TURN = 64  # descriptors at most, of what may be thousands: timers and other callbacks have their turn between
_READ, _WRITE = select.EPOLLIN, select.EPOLLOUT


class _Watched:
    """Callbacks of one file descriptor."""

    __slots__ = ("reader", "writer")

    def __init__(self) -> None:
        self.reader: Callable[[], Any] | None = None
        self.writer: Callable[[], Any] | None = None

    @property
    def mask(self) -> int:
        """For which events it waits."""
        return (_READ if self.reader else 0) | (_WRITE if self.writer else 0)


class EpollLoop(uvloop.Loop):
    """uvloop's event loop, whose ``add_reader()`` and ``add_writer()`` stand on an epoll of its own; on Linux.

    Callbacks, timers and transports are uvloop's. uvloop gives up a descriptor whose socket has an error, such as a
    reset of its peer, when it has called its reader once. If that has found data, as of a client that sends and is
    killed, nobody ever hears of the error. Here a reader is called until there is nothing left, as in asyncio, which
    is what Twisted relies on. All descriptors are one for uvloop: what is ready is found by one more system call in a
    turn of the loop.
    """

    def __init__(self) -> None:
        super().__init__()
        self._epoll = select.epoll()
        self._watched: dict[int, _Watched] = {}
        super().add_reader(self._epoll.fileno(), self._run_ready)

    def add_reader(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """Call a function whenever there is something to read.

        Raises:
            PermissionError: nobody can wait for a file of this kind, such as one on a disk.
        """
        self._watch(fd, "reader", _bound(callback, args))

    def add_writer(self, fd: Any, callback: Callable[..., Any], *args: Any) -> None:  # type: ignore[override]
        """Call a function whenever something can be written; raises as ``add_reader()``."""
        self._watch(fd, "writer", _bound(callback, args))

    def remove_reader(self, fd: Any) -> bool:  # type: ignore[override]
        """Stop calling for what there is to read; whether there was a reader."""
        return self._forget(fd, "reader")

    def remove_writer(self, fd: Any) -> bool:  # type: ignore[override]
        """Stop calling for what can be written; whether there was a writer."""
        return self._forget(fd, "writer")

    def _watch(self, fd: Any, role: str, callback: Callable[[], Any]) -> None:
        number = _number(fd)
        watched = self._watched.get(number) or _Watched()
        setattr(watched, role, callback)
        self._wait_for(number, watched)

    def _forget(self, fd: Any, role: str) -> bool:
        number = _number(fd)
        watched = self._watched.get(number)
        if watched is None or getattr(watched, role) is None:
            return False
        setattr(watched, role, None)
        self._wait_for(number, watched)
        return True

    def _wait_for(self, number: int, watched: _Watched) -> None:
        mask = watched.mask
        if not mask:
            del self._watched[number]
            with contextlib.suppress(OSError, ValueError):  # it is closed, and the kernel has forgotten it
                self._epoll.unregister(number)
            return
        try:
            if number in self._watched:
                self._epoll.modify(number, mask)
            else:
                self._epoll.register(number, mask)
        except FileNotFoundError:  # it was closed and is another file now
            self._epoll.register(number, mask)
        self._watched[number] = watched

    def _run_ready(self) -> None:
        """Call whoever waits for what has happened."""
        for number, events in self._epoll.poll(0, _IN_A_TURN):
            watched = self._watched.get(number)
            if watched is None:
                continue  # one before it has ended it
            # Of an error, or a peer that has gone, both are told.
            if watched.reader is not None and events & ~_WRITE:
                self._run_callback(watched.reader)
            if watched.writer is not None and events & ~_READ:
                self._run_callback(watched.writer)

    def _run_callback(self, callback: Callable[[], Any]) -> None:
        try:
            callback()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self.call_exception_handler({"message": f"Exception in callback {callback!r}", "exception": error})

    def close(self) -> None:
        """Close it, once it has stopped."""
        if not self.is_closed():
            super().remove_reader(self._epoll.fileno())
            self._watched.clear()
        super().close()
        self._epoll.close()


def _bound(callback: Callable[..., Any], args: tuple[Any, ...]) -> Callable[[], Any]:
    if callback is callWithLogger:  # Twisted's way to name who is at work in its log, which takes as long as the rest
        _, callback, *args = args  # type: ignore[assignment]
    return partial(copy_context().run, callback, *args)


def _number(fd: Any) -> int:
    return fd if isinstance(fd, int) else int(fd.fileno())


runs_callbacks(EpollLoop._run_ready)
