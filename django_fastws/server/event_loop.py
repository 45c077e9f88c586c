"""Choice of the server's event loop: asyncio's own, or uvloop's, under Twisted's reactor."""

from __future__ import annotations

import asyncio
import importlib
import os
import select
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from daphne import server as daphne_server
from daphne.server import reactor

__all__ = ["LOOPS", "LoopUnavailable", "use_loop"]

LOOPS = ("auto", "asyncio", "uvloop")


class LoopUnavailable(Exception):
    """Event loop that was asked for and is not there; the text says what to do."""


def use_loop(kind: str) -> str:
    """Have Twisted's reactor run on an event loop of a kind; before it runs for the first time.

    Args:
        kind: "asyncio"; "uvloop"; or "auto", which is uvloop where it is installed.
    Returns:
        The name of the loop, with uvloop's version.
    Raises:
        LoopUnavailable: uvloop was asked for, and is not installed, or does not run on this system.
    """
    if kind != "asyncio":
        try:
            return _use_uvloop()
        except LoopUnavailable:
            if kind == "uvloop":
                raise
    # daphne's loop is that of the policy, which a project may have changed.
    if not isinstance(reactor._asyncioEventloop, asyncio.SelectorEventLoop):
        _move_reactor(asyncio.SelectorEventLoop())
    return "asyncio"


def _use_uvloop() -> str:
    try:
        uvloop = importlib.import_module("uvloop")
    except ImportError as error:
        raise LoopUnavailable(
            f"uvloop cannot be imported ({error}): pip install 'django-fastws[uvloop]', or leave it out"
        ) from None
    if not hasattr(select, "epoll"):
        raise LoopUnavailable("uvloop serves on Linux only: this system has no epoll")
    from .epoll_loop import EpollLoop

    _move_reactor(EpollLoop())
    return f"uvloop {uvloop.__version__}"


def _move_reactor(loop: asyncio.AbstractEventLoop) -> None:
    """Put another loop under the reactor, with all that was handed to it so far; the former one is closed.

    It cannot be installed on this loop to begin with: daphne, which may stand in ``INSTALLED_APPS``, installs it when
    it is imported, and whoever uses it has got the object.
    """
    former: Any = reactor._asyncioEventloop
    readers, writers = list(reactor._readers), list(reactor._writers)
    for reader in readers:
        reactor.removeReader(reader)
    for writer in writers:
        reactor.removeWriter(writer)
    if reactor._timerHandle is not None:
        reactor._timerHandle.cancel()
    reactor._timerHandle = reactor._scheduledAt = None
    reactor._asyncioEventloop = daphne_server.twisted_loop = loop
    for reader in readers:
        reactor.addReader(reader)
    for writer in writers:
        reactor.addWriter(writer)
    reactor._reschedule()
    if threads := os.environ.get("ASGI_THREADS"):  # as daphne does
        loop.set_default_executor(ThreadPoolExecutor(max_workers=int(threads)))
    former.call_soon(former.stop)
    former.run_forever()  # what callFromThread() has been given goes to the reactor, and so to the new loop
    former.close()
