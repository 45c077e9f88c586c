"""Scheduler of fan-outs: which room sends next, for how long, and when the layer has to be held.

What has arrived for a room is batched in ``_core/fanout.py``, after the pause of ``_core/pacing.py``.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from .._core.fanout import MOST_TASKS
from .._core.messages import Payload
from .local_room import LocalRoom
from .subscriptions import Subscriptions

__all__ = ["FanOutScheduler"]

logger = logging.getLogger("django_fastws.rooms")

#: When broadcasts of more than so many bytes have arrived that could not be sent yet, or more than so many, for they
#: may be empty, no more are taken for a while.
_MOST_BYTES = 16 * 1024 * 1024
_MOST_BROADCASTS = 32 * 1024
_SLICE = 0.01  # seconds for which fan-outs may hold the loop


class FanOutScheduler:
    """Round-robin scheduler of the rooms of one event loop, in time slices.

    What arrives for one room in one turn of the loop is batched, and written once to each member. Backpressure: while
    too much waits, the subscriptions are held.
    """

    def __init__(self, subscriptions: Subscriptions) -> None:
        self._subscriptions = subscriptions
        #: The rooms that have something to send, and whether the loop will call for them.
        self._due: deque[LocalRoom] = deque()
        self._is_sending = False
        #: How many bytes, in how many broadcasts, have arrived and were not taken up.
        self._bytes = self._count = 0

    def add(self, room: LocalRoom, payload: Payload, exclude: str | None) -> None:
        """Queue a broadcast for a room.

        Args:
            exclude: the id of a member that does not get it.
        Raises:
            UnicodeError: the text has no UTF-8.
        """
        size = len(payload.raw)
        room.arrived.append((payload, exclude))
        room.bytes += size
        self._bytes += size
        self._count += 1
        if self._bytes > _MOST_BYTES or self._count > _MOST_BROADCASTS:
            self._subscriptions.hold()
        if not room.is_due:
            self._make_due(room)

    def finish(self, room: LocalRoom) -> None:
        """Have all members of a room what a fan-out has that goes on, before anything else is sent to them."""
        while room.fan_out is not None:
            room.send(lambda: False)

    def drop_stored(self, room: LocalRoom) -> None:
        """Drop the stored broadcasts of a room that no fan-out has taken up: members get what has them."""
        kept = [broadcast for broadcast in room.arrived if broadcast[0].position is None]
        size = sum([len(payload) for payload, _ in room.arrived]) - sum([len(payload) for payload, _ in kept])
        self._count -= len(room.arrived) - len(kept)
        self._bytes -= size
        room.bytes -= size
        room.arrived[:] = kept

    def _make_due(self, room: LocalRoom) -> None:
        """Have a room send what has arrived: now, or after its pause."""
        room.is_due = True
        pause = room.pacing.remaining(time.perf_counter())
        if pause:
            asyncio.get_running_loop().call_later(pause, self._due_now, room)
        else:
            self._due_now(room)

    def _due_now(self, room: LocalRoom) -> None:
        self._due.append(room)
        if not self._is_sending:
            self._is_sending = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        """Send what is due, for no longer than a slice; the rest in the next turns of the loop, each room in turn."""
        # While the layer is held, it has to be read so that it need not drop more: its turn comes sooner.
        slice_seconds = _SLICE / 4 if self._subscriptions.is_held else _SLICE
        end, started = time.perf_counter() + slice_seconds, 0

        def is_over() -> bool:
            return time.perf_counter() >= end

        due = self._due
        # Each room once: what it gets next may depend on what its members have taken, for which they need a turn.
        for _ in range(len(due)):
            started += self._send_one(due.popleft(), is_over)
            if started >= MOST_TASKS or is_over():
                break
        if self._subscriptions.is_held and self._bytes <= _MOST_BYTES // 2 and self._count <= _MOST_BROADCASTS // 2:
            self._subscriptions.resume()
        self._is_sending = bool(due)
        if due:
            asyncio.get_running_loop().call_soon(self._send)

    def _send_one(self, room: LocalRoom, is_over: Callable[[], bool]) -> int:
        """Send for one room; it is due again if there is more.

        Returns:
            How many tasks that has started.
        """
        if room.fan_out is None and not room.arrived:  # it was dropped meanwhile
            room.is_due = False
            return 0
        before, count, started = room.bytes, len(room.arrived), 0
        try:
            started = room.send(is_over)
        except Exception:
            logger.exception("Could not deliver a broadcast")
            room.give_up()
        self._bytes -= before - room.bytes
        self._count -= count - len(room.arrived)
        if room.fan_out is not None:
            self._due.append(room)
        elif room.arrived:
            self._make_due(room)
        else:
            room.is_due = False
        return started
