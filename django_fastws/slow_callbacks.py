"""Watch over event loops: a callback that blocks its loop for too long is logged and counted, with its place.

A thread looks at the loop four times in ``FASTWS_SLOW_CALLBACK_SECONDS``. If the loop is late, it looks at what the
loop's thread is doing, so it sees the place while it blocks, be that a sleep, a computation or a query.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import sys
import threading
import time
from collections.abc import Callable, Mapping
from types import CodeType, FrameType
from typing import Any
from weakref import WeakKeyDictionary

from django.conf import settings

from . import metrics
from ._core.blocking_places import BlockingPlace, blocking_place, frames_of, is_debugged
from ._core.forks import after_fork_in_child
from ._core.log_throttle import LogThrottle
from .conf import InDebug, conf

__all__ = ["describe_frames", "runs_callbacks", "slow_callback_seconds", "watch_loop"]

logger = logging.getLogger("django_fastws.loop")

_LOG_SECONDS = 60.0  # between two lines of one place
_SHORTEST_STEP = 0.005  # seconds
_PATIENCE = 1.0  # seconds after which it is said that a callback blocks still

#: Makes fields for the log of the local variables of a frame.
Describe = Callable[[Mapping[str, Any]], dict[str, Any]]
_describers: dict[CodeType, Describe] = {}
_dispatchers: set[CodeType] = set()
_HANDLE_RUN = getattr(getattr(asyncio.Handle, "_run", None), "__code__", None)


def describe_frames(function: Any, describe: Describe) -> None:
    """Say how the log shall name what a function serves, if it or what it awaits blocks the event loop.

    Args:
        describe: makes fields of its local variables; what it raises is ignored.
    """
    _describers[function.__code__] = describe


def runs_callbacks(function: Any) -> None:
    """Say that a function, which an event loop calls, runs many callbacks and is none itself."""
    _dispatchers.add(function.__code__)


def slow_callback_seconds() -> float | None:
    """How long a callback may block the event loop; None for as long as it likes."""
    value = conf.slow_callback_seconds
    if isinstance(value, InDebug):
        return value.value if settings.DEBUG else None
    return value


def watch_loop() -> None:
    """Watch the running event loop as long as it runs, unless it is watched already, or nobody wants it."""
    if slow_callback_seconds() is None:
        return
    loop = asyncio.get_running_loop()
    watch = _watches.get(loop)
    if watch is None or watch.is_over:
        watch = _watches[loop] = LoopWatch(loop)
        watch.start()


class LoopWatch:
    """Watch over one event loop, by a heartbeat in the loop and a thread that notices when that is late.

    Only what one callback does in one go is told of. Not counted is time in which the process was suspended or had no
    processor, nor that of the garbage collector; and nothing is said of code that is stopped by a debugger.

    Args:
        loop: the running event loop; the watch ends with it.

    Attributes:
        is_over: it has ended.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._thread_id = threading.get_ident()
        self._cpu_seconds = _cpu_clock(self._thread_id)
        self._beats = 0
        self._due = 0.0
        self._ended = (0, 0.0)  # the last late beat: which one it ended, and how late it was
        self._pardoned = 0.0  # seconds since the last beat that are nobody's fault
        self._gc_seconds = 0.0
        self._kept_out = 0.0  # seconds of the last step in which the loop's thread has let no other run
        self._depth = 0
        self.is_over = False

    def start(self) -> None:
        """Begin, in the loop."""
        _collections.watch(self)
        self._due = time.perf_counter()
        self._loop.call_soon(self._beat)  # not from here: how deep its frames are tells those of a callback
        threading.Thread(target=self._watch, name="fastws-loop-watch", daemon=True).start()

    def _beat(self) -> None:
        """The loop has come to this callback."""
        if self.is_over:
            return
        now = time.perf_counter()
        self._ended = (self._beats, self._lateness(now))
        self._depth = len(frames_of(sys._getframe())) - 1
        self._pardoned, self._gc_seconds = 0.0, _collections.seconds
        step = self._step()
        self._due = now + step
        self._beats += 1
        self._loop.call_later(step, self._beat)

    def _lateness(self, now: float) -> float:
        return now - self._due - self._pardoned - (_collections.seconds - self._gc_seconds)

    @staticmethod
    def _step() -> float:
        return max(_SHORTEST_STEP, (slow_callback_seconds() or 1.0) / 4)

    # In the thread

    def _watch(self) -> None:
        """Look at the loop until it ends."""
        try:
            suspect: tuple[int, FrameType] | None = None
            while (seconds := slow_callback_seconds()) is not None and self._wait():
                late = self._lateness(time.perf_counter())
                if late < seconds / 2:
                    suspect = None
                    continue
                beats = self._beats
                frames = self._frames()
                if not frames or is_debugged(frames):
                    suspect = None
                elif late >= seconds and (suspect == (beats, frames[0]) or self._kept_out >= seconds / 2):
                    suspect = None  # it is one callback all the time
                    self._follow(frames, beats)
                else:
                    suspect = (beats, frames[0])
        finally:
            self.is_over = True
            _collections.forget(self)
            if _watches.get(self._loop) is self:
                del _watches[self._loop]

    def _wait(self) -> bool:
        """Wait for a step; whether there is still something to watch."""
        step, began, cpu = self._step(), time.perf_counter(), self._cpu_seconds()
        time.sleep(step)
        overslept = time.perf_counter() - began - step
        self._kept_out = 0.0
        if overslept > step:
            if self._cpu_seconds() - cpu >= overslept / 2:  # in C, with Python's lock
                self._kept_out = overslept
            else:  # the process was suspended, or had no processor
                self._pardoned += overslept
        return self._loop.is_running() and not self.is_over

    def _frames(self) -> list[FrameType]:
        """The frames of the callback that runs now, the outermost first; none if there is none of Python."""
        frames = frames_of(sys._current_frames().get(self._thread_id))
        if len(frames) <= self._depth:
            return []
        # Each callback has a new frame of Handle._run, where the loop is Python's; a coroutine keeps its frames.
        is_handle = self._depth > 0 and frames[self._depth - 1].f_code is _HANDLE_RUN
        frames = frames[self._depth - is_handle :]
        return frames[1:] if frames[0].f_code in _dispatchers else frames

    def _follow(self, frames: list[FrameType], beats: int) -> None:
        """Tell of a callback that has blocked for too long: when it ends, and once before if that takes long."""
        place = blocking_place(frames)
        fields = _fields_of(frames)
        del frames[1:]
        _throttle.add(place.name)
        count = 0
        late = self._lateness(time.perf_counter())
        while self._beats == beats:
            if not self._wait():
                return  # it ends with this
            running = self._frames()
            if running and is_debugged(running):
                return
            if self._beats == beats:
                late = self._lateness(time.perf_counter())
                if not count and late >= _PATIENCE and (count := _throttle.take(place.name, time.monotonic())):
                    _log("The event loop is blocked, for %.2f seconds so far, by %s", late, count, place, fields)
        ended, seconds = self._ended
        late = seconds if ended == beats else late
        metrics.slow_callbacks.add(1, fields.get("route") or "")
        if count:
            _log("The event loop goes on, after %.2f seconds, in which it was blocked by %s", late, 1, place, fields)
        elif count := _throttle.take(place.name, time.monotonic()):
            _log("The event loop was blocked for %.2f seconds by %s", late, count, place, fields)


def _log(line: str, seconds: float, count: int, place: BlockingPlace, fields: dict[str, Any]) -> None:
    extra = {**fields, "seconds": round(seconds, 3), "place": place.name, "count": count}
    served = fields.get("path") or fields.get("url")
    rest = f", for {served!r}" if served else ""
    if event := fields.get("event"):
        rest += f", event {event!r}"
    if count > 1:
        rest += f" ({count} times since it was last said)"
    logger.warning(line, seconds, f"{place.text}{rest}", extra=extra)


def _fields_of(frames: list[FrameType]) -> dict[str, Any]:
    """Fields of what the innermost function serves of which there is something to say."""
    for frame in reversed(frames):
        describe = _describers.get(frame.f_code)
        if describe is not None:
            try:
                return describe(frame.f_locals)
            except Exception:  # a variable is not set yet
                continue
    return {}


def _cpu_clock(thread_id: int) -> Callable[[], float]:
    """Clock of the processor time of a thread; where there is none, it stands still."""
    find = getattr(time, "pthread_getcpuclockid", None)
    if find is None:
        return lambda: 0.0
    clock = find(thread_id)
    return lambda: time.clock_gettime(clock)


class _Collections:
    """How long the garbage collector has run, as long as any loop is watched."""

    def __init__(self) -> None:
        self._seconds = 0.0
        self._began: float | None = None
        self._watches: set[LoopWatch] = set()

    @property
    def seconds(self) -> float:
        """How long it has run; one that runs now counts."""
        began = self._began
        return self._seconds if began is None else self._seconds + time.perf_counter() - began

    def watch(self, watch: LoopWatch) -> None:
        if not self._watches:
            gc.callbacks.append(self._count)
        self._watches.add(watch)

    def forget(self, watch: LoopWatch) -> None:
        self._watches.discard(watch)
        if not self._watches and self._count in gc.callbacks:
            gc.callbacks.remove(self._count)

    def _count(self, phase: str, info: Mapping[str, int]) -> None:
        now = time.perf_counter()
        if phase == "start":
            self._began = now
        elif self._began is not None:
            self._seconds, self._began = self._seconds + now - self._began, None


_collections = _Collections()
_throttle = LogThrottle(_LOG_SECONDS)
_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, LoopWatch] = WeakKeyDictionary()


def _reset() -> None:
    """Begin anew in a forked child, which has none of these threads."""
    global _throttle
    for watch in list(_watches.values()):
        watch.is_over = True
        _collections.forget(watch)
    _watches.clear()
    _throttle = LogThrottle(_LOG_SECONDS)


after_fork_in_child(_reset)
