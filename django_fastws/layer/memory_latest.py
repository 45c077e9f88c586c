"""Values of keyed rooms in the memory of this process, for the broker that ends at the process."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict
from collections.abc import Callable
from itertools import islice

from .._core.envelope import Envelope
from .._core.forks import reset_in_child
from .._core.latest import Keyed, Latest
from .._core.latest_values import LatestValues
from .._core.positions import Position
from ..clock import process_clock

__all__ = ["MemoryLatest"]

_SWEPT = 4  # rooms that are looked at for each one that is used


class _KeptValues:
    """Values of one room.

    Attributes:
        values: each with when it was kept, the oldest first.
        expires_at: when the room is forgotten, by the clock.
    """

    __slots__ = ("epoch", "expires_at", "top", "values")

    def __init__(self) -> None:
        self.epoch, self.top = uuid.uuid4().hex[:12], 0
        self.values: OrderedDict[str, tuple[float, Envelope]] = OrderedDict()
        self.expires_at = 0.0


class MemoryLatest:
    """Values by room and key, in the memory of this process; any thread may use them.

    Args:
        clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = process_clock.monotonic) -> None:
        self._clock = clock
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Begin anew in a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._rooms: OrderedDict[str, _KeptValues] = OrderedDict()

    def keep(self, envelope: Envelope, keyed: Keyed, latest: Latest) -> Position:
        """Keep an envelope as the newest value of its key; it gets its position, which is returned."""
        with self._lock:
            room = self._room(envelope.room, latest)
            room.top += 1
            envelope.position = position = Position(room.epoch, room.top)
            room.values.pop(keyed.key, None)
            if not keyed.is_removed:
                room.values[keyed.key] = self._clock(), envelope
            return position

    def read(self, group: str, latest: Latest) -> LatestValues:
        """Read the values of a room; see ``Broker.aread_latest``."""
        with self._lock:
            room = self._room(group, latest)
            values = {key: envelope for key, (_, envelope) in room.values.items()}
            return LatestValues(Position(room.epoch, room.top), values)

    def _room(self, group: str, latest: Latest) -> _KeptValues:
        rooms, now = self._rooms, self._clock()
        room = rooms.get(group)
        if room is None or room.expires_at <= now:
            room = rooms[group] = _KeptValues()
        room.expires_at = now + latest.seconds
        rooms.move_to_end(group)
        values = room.values
        while values and next(iter(values.values()))[0] < now - latest.seconds:
            values.popitem(last=False)
        for name in list(islice(rooms, _SWEPT)):
            if rooms[name].expires_at <= now:
                del rooms[name]
        return room
