"""Histories of rooms in the memory of this process, for the broker that ends at the process."""

from __future__ import annotations

import threading
import uuid
from collections import OrderedDict, deque
from collections.abc import Callable, Iterable
from itertools import islice

from .._core.envelope import Envelope
from .._core.forks import reset_in_child
from .._core.history import History
from .._core.history_page import HistoryPage, PageQuery, StoredEnvelope
from .._core.positions import Position
from ..clock import process_clock

__all__ = ["MemoryHistories"]

_SWEPT = 4  # rooms that are looked at for each one that is used


class _RoomHistory:
    """History of one room.

    Attributes:
        expires_at: when the room is forgotten, by the clock.
        keys: the position and the expiry of each idempotency key, the oldest first.
    """

    __slots__ = ("bytes", "epoch", "expires_at", "keys", "stored", "top")

    def __init__(self) -> None:
        self.stored: deque[StoredEnvelope] = deque()
        self.keys: OrderedDict[str, tuple[Position, float]] = OrderedDict()
        self.expires_at = 0.0
        self.begin()

    def begin(self) -> None:
        """Begin an epoch, without events."""
        self.epoch, self.top, self.bytes = uuid.uuid4().hex[:12], 0, 0
        self.stored.clear()

    def trim(self, history: History, now: float) -> None:
        """Forget what is over a bound."""
        stored = self.stored
        while stored and (
            stored[0].offset <= self.top - history.messages
            or self.bytes > history.bytes
            or stored[0].at < now - history.seconds
        ):
            self.bytes -= _size(stored.popleft().envelope)
        while self.keys and next(iter(self.keys.values()))[1] <= now:
            self.keys.popitem(last=False)


class MemoryHistories:
    """Histories by room, in the memory of this process; any thread may use them.

    Args:
        clock: the seconds since 1970.
    """

    def __init__(self, clock: Callable[[], float] = process_clock.time) -> None:
        self._clock = clock
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Begin anew in a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._rooms: OrderedDict[str, _RoomHistory] = OrderedDict()

    def forget(self) -> None:
        """Forget all rooms."""
        with self._lock:
            self._rooms.clear()

    def forget_room(self, group: str) -> None:
        """Forget one room, as if it had never been."""
        with self._lock:
            self._rooms.pop(group, None)

    def store(self, envelope: Envelope, history: History) -> tuple[Position, bool]:
        """Store an envelope, which gets its position.

        Returns:
            The position, and whether it is new: False where the idempotency key was used before.
        """
        with self._lock:
            now = self._clock()
            room = self._room(envelope.room, history, now, stores=True)
            key = envelope.idempotency_key
            if key is not None and key in room.keys and room.keys[key][1] > now:
                return room.keys[key][0], False
            if room.stored:
                now = max(now, room.stored[-1].at)  # the clock may be put back, and events stay in order
            room.top += 1
            envelope.position = position = Position(room.epoch, room.top)
            room.stored.append(StoredEnvelope(room.top, now, envelope))
            room.bytes += _size(envelope)
            if key is not None:
                room.keys[key] = position, now + history.key_seconds
                room.keys.move_to_end(key)
            room.trim(history, self._clock())
            return position, True

    def read(self, group: str, history: History, query: PageQuery) -> HistoryPage:
        """Read a part of a room's history; see ``Broker.aread_history``."""
        with self._lock:
            now = self._clock()
            room = self._room(group, history, now)
            room.trim(history, now)
            after, before, limit, most_bytes = query
            chosen: Iterable[StoredEnvelope] = room.stored if after is not None else reversed(room.stored)
            least, most = -1 if after is None else after, room.top if before is None else before - 1
            chosen = (stored for stored in chosen if least < stored.offset <= most)
            found: list[StoredEnvelope] = []
            size = 0
            for stored in islice(chosen, limit):
                size += _size(stored.envelope)
                if size > most_bytes and found:
                    break
                found.append(stored)
            if after is None:
                found.reverse()
            return HistoryPage(room.epoch, room.top, found)

    def clear(self, group: str, history: History) -> None:
        """Forget a room's events, and begin another epoch."""
        with self._lock:
            self._room(group, history, self._clock(), stores=True).begin()

    def _room(self, group: str, history: History, now: float, *, stores: bool = False) -> _RoomHistory:
        rooms = self._rooms
        room = rooms.get(group)
        if room is None:
            room = rooms[group] = _RoomHistory()
        elif room.expires_at <= now:
            room.begin()
        seconds = history.position_seconds if stores or room.top else history.unused_seconds
        room.expires_at = max(room.expires_at, now + seconds)
        # Each is looked at in its turn: those that are kept for long are in the way of none.
        for name in list(islice(rooms, _SWEPT)):
            if rooms[name].expires_at <= now:
                del rooms[name]
            else:
                rooms.move_to_end(name)
        return room


def _size(envelope: Envelope) -> int:
    return _bytes(envelope.data) + _bytes(envelope.event or "")


def _bytes(data: str | bytes) -> int:
    return len(data) if isinstance(data, bytes) or data.isascii() else len(data.encode("utf-8", "surrogatepass"))
