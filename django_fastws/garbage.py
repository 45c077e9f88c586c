"""Garbage collector of a process that serves: what is in use is frozen, so that no collection stops the event loop.

Python's collector goes through every object that is left of its earlier runs, again and again while their number
grows. With ten thousand sockets that takes half a second each time. What a full collection has found in use is
frozen: it is not looked at again. Objects that are frozen are freed by their reference counts like any others; only
cycles of them are not, and for these everything is thawed and looked at when there may be many.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import time
from collections.abc import Mapping

from ._core.forks import reset_in_child
from ._core.frozen_ledger import FrozenLedger
from .conf import conf

__all__ = ["Collector", "collector"]

logger = logging.getLogger("django_fastws.loop")

_LOOK_SECONDS = 5.0  # between two looks at whether to thaw
_MOST_LOOKS = 12  # that a thaw waits for a moment in which nobody comes or goes
_FULL = 2  # the generation whose collection is a full one


class Collector:
    """Garbage collector of this process, while it serves; there is one, ``collector``.

    Freezing begins with ``start()``, which only a server leads to: the start of a lifespan, or the first handshake
    where there is none. Nothing else in a process is touched, and nothing where ``FASTWS_GC_FREEZE_OBJECTS`` is None.
    """

    def __init__(self) -> None:
        self._ledger = FrozenLedger()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._looks = 0
        self._is_busy = False

    # Connections

    def opened(self) -> int:
        """A connection was opened; returns what ``closed()`` takes."""
        self._is_busy = True
        return self._ledger.opened()

    def closed(self, stamp: int) -> None:
        """A connection was closed. What it held is free soon, when its task and its transport are."""
        self._is_busy = True
        self._ledger.closed(stamp)

    # Serving

    def start(self, *, collects: bool = False) -> None:
        """Begin to freeze, in the running event loop; at once what there is. Again, it does nothing.

        Args:
            collects: whether to free all garbage before, which takes as long as any full collection; for a server
                that has not begun to serve.
        """
        if self._loop is not None and not self._loop.is_closed():
            return
        if conf.gc_freeze_objects is None or not hasattr(gc, "freeze"):
            return
        self._loop = loop = asyncio.get_running_loop()
        self._timer = loop.call_later(_LOOK_SECONDS, self._look)
        if self._collected in gc.callbacks:
            return
        if collects and gc.isenabled():
            gc.collect()
        gc.freeze()
        self._ledger.frozen(gc.get_freeze_count())
        gc.callbacks.append(self._collected)

    def stop(self) -> None:
        """Freeze no more, and leave what is frozen to Python's collector."""
        if self._timer is not None:
            self._timer.cancel()
        if self._collected in gc.callbacks:
            gc.unfreeze()
        self.reset()

    def reset(self) -> None:
        """Begin anew in a forked child, which has another loop, if any; what is frozen stays so."""
        if self._collected in gc.callbacks:
            gc.callbacks.remove(self._collected)
        self._loop = self._timer = None
        self._ledger = FrozenLedger()

    # Steps

    def _collected(self, phase: str, info: Mapping[str, int]) -> None:
        """Freeze what a full collection has left, if that is much. Python calls this in whichever thread collects."""
        if phase == "stop" and info["generation"] == _FULL:
            least = conf.gc_freeze_objects
            left = len(gc.get_objects(_FULL))
            if least is not None and left >= least:
                gc.freeze()
                self._ledger.frozen(left)

    def _look(self) -> None:
        """Thaw if there may be much garbage among what is frozen, at best while nobody comes or goes."""
        loop = self._loop
        if loop is None or loop.is_closed():
            return
        self._timer = loop.call_later(_LOOK_SECONDS, self._look)
        is_quiet, self._is_busy = not self._is_busy, False
        if not self._ledger.may_be_garbage(conf.gc_thaw_objects):
            self._looks = 0
            return
        self._looks += 1
        if is_quiet or self._looks > _MOST_LOOKS:
            self._looks = 0
            self._ledger.counted(gc.get_freeze_count())
            if self._ledger.may_be_garbage(conf.gc_thaw_objects):
                self._thaw()

    def _thaw(self) -> None:
        began, before = time.perf_counter(), self._ledger.objects
        gc.callbacks.remove(self._collected)
        try:
            gc.unfreeze()
            gc.collect()
            gc.freeze()
        finally:
            gc.callbacks.append(self._collected)
        self._ledger.thawed(gc.get_freeze_count())
        seconds = time.perf_counter() - began
        logger.info(
            "The garbage collector has looked at all objects, in %.2f seconds: %d are in use, of %d that were frozen",
            seconds,
            self._ledger.objects,
            before,
            extra={"seconds": round(seconds, 3), "count": self._ledger.objects},
        )


#: That of this process.
collector = Collector()


reset_in_child(collector)
