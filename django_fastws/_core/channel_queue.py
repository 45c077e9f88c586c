"""Bounded queue of the messages of many channels, which drops the oldest of those that have most."""

from __future__ import annotations

from collections import deque
from itertools import islice

__all__ = ["ChannelQueue"]

#: Bytes that a message takes besides its own.
OVERHEAD = 256


class _Entry:
    """A message that waits; ``data`` is None once it was dropped."""

    __slots__ = ("channel", "data")

    def __init__(self, channel: bytes, data: bytes) -> None:
        self.channel = channel
        self.data: bytes | None = data


class ChannelQueue:
    """Messages that wait, in the order in which they came, with a bound in bytes.

    Over the bound, room is made for more than one, by dropping the oldest of the channels that take most: so a busy
    channel does not push out what waits for a quiet one, and the order of each is kept.

    Args:
        limit: bytes; each message counts with 256 more than it has, so that empty ones count, too.

    Attributes:
        size: bytes that wait, counted likewise.
    """

    __slots__ = ("_channels", "_limit", "_order", "_sizes", "size")

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._order: deque[_Entry] = deque()
        self._channels: dict[bytes, deque[_Entry]] = {}
        self._sizes: dict[bytes, int] = {}
        self.size = 0

    def __len__(self) -> int:
        """Number of messages that wait."""
        return sum(map(len, self._channels.values()))

    def __bool__(self) -> bool:
        return bool(self._channels)

    def push(self, channel: bytes, data: bytes) -> int:
        """Add at the end; returns how many were dropped for that. The one that was added is not."""
        entry, size = _Entry(channel, data), len(data) + OVERHEAD
        self._order.append(entry)
        waiting = self._channels.get(channel)
        if waiting is None:
            waiting = self._channels[channel] = deque()
            self._sizes[channel] = 0
        waiting.append(entry)
        self._sizes[channel] += size
        self.size += size
        return self._make_room(entry) if self.size > self._limit else 0

    def pop(self) -> tuple[bytes, bytes]:
        """Take the first. Raises IndexError if there is none."""
        while True:
            entry = self._order.popleft()
            if entry.data is not None:
                data = entry.data
                self._drop_first(entry.channel)
                return entry.channel, data

    def discard(self, channel: bytes) -> None:
        """Remove what waits of one channel."""
        while channel in self._channels:
            self._drop_first(channel)

    def clear(self) -> None:
        """Remove everything."""
        self._order.clear()
        self._channels.clear()
        self._sizes.clear()
        self.size = 0

    def _drop_first(self, channel: bytes) -> None:
        waiting = self._channels[channel]
        entry = waiting.popleft()
        size = len(entry.data or b"") + OVERHEAD
        entry.data = None
        self.size -= size
        if waiting:
            self._sizes[channel] -= size
        else:
            del self._channels[channel], self._sizes[channel]

    def _make_room(self, newest: _Entry) -> int:
        dropped, target = 0, self._limit - self._limit // 8
        level = self._level(self.size - target)
        for channel in [channel for channel, size in self._sizes.items() if size > level]:
            while self.size > target and self._sizes.get(channel, 0) > level:
                if self._channels[channel][0] is newest:
                    break
                self._drop_first(channel)
                dropped += 1
        # What was dropped, or taken out of turn, must not pile up.
        self._order = deque(entry for entry in self._order if entry.data is not None)
        return dropped

    def _level(self, excess: int) -> int:
        """The size to which the largest channels have to be cut for so many bytes."""
        sizes = sorted(self._sizes.values(), reverse=True)
        freed = 0
        for count, (size, below) in enumerate(zip(sizes, [*islice(sizes, 1, None), 0], strict=True), 1):
            freed += (size - below) * count
            if freed >= excess:
                return below + (freed - excess) // count
        return 0
