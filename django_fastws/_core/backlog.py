"""Backlog of one socket: messages that wait to be sent, bounded in bytes, and how they are dropped.

The policies for a slow consumer have their table here. ``transports/outbox.py`` decides when which one is applied.
"""

from __future__ import annotations

from collections import deque
from typing import Generic, TypeVar

from .close_codes import TOO_SLOW

__all__ = ["MOST_ITEMS", "SLOW_CONSUMER_POLICIES", "Backlog"]

#: How many messages wait at most. However small they are, each takes some 200 bytes of memory besides its own.
MOST_ITEMS = 16 * 1024

#: Policies for a slow consumer, by the value of ``FASTWS_SLOW_CONSUMER``, and what each does, for the log. Any
#: other value is read as the first.
SLOW_CONSUMER_POLICIES = {
    "disconnect": f"it is disconnected with {TOO_SLOW.code}",
    "drop_oldest": "the oldest messages are dropped",
    "drop_newest": "the newest messages are dropped",
}

Item = TypeVar("Item")


class Backlog(Generic[Item]):
    """Messages that wait to be sent, in order, with a bound in bytes, and one on how many they are.

    Attributes:
        size: bytes waiting.
        dropped: messages that were dropped so far.
    """

    __slots__ = ("_items", "dropped", "size")

    def __init__(self) -> None:
        # Made when it is needed: most sockets never have a backlog, and an empty deque takes 600 bytes.
        self._items: deque[tuple[Item, int, bool]] | tuple[()] = ()
        self.size = 0
        self.dropped = 0

    def __len__(self) -> int:
        return len(self._items)

    def push(self, item: Item, size: int, *, droppable: bool = False) -> None:
        """Add at the end. What is not droppable is never dropped: somebody waits for it to be sent."""
        if isinstance(self._items, tuple):
            self._items = deque()
        self._items.append((item, size, droppable))
        self.size += size

    def pop(self) -> Item:
        """Take the first. Raises IndexError if there is none."""
        if isinstance(self._items, tuple):
            raise IndexError("the backlog is empty")
        item, size, _ = self._items.popleft()
        self.size -= size
        if not self._items:
            self._items = ()
        return item

    def discard(self, item: Item) -> None:
        """Take one out, wherever it stands; nothing happens if it is not there any more."""
        kept = deque(entry for entry in self._items if entry[0] is not item)
        self._items = kept or ()
        self.size = sum(entry[1] for entry in kept)

    def fits(self, size: int, limit: int) -> bool:
        """Whether one more message of this size stays within the limit. A single message always fits."""
        return not self._items or (self.size + size <= limit and len(self._items) < MOST_ITEMS)

    def drop_oldest(self, size: int, limit: int) -> bool:
        """Make room for a message of this size by dropping the oldest that may be dropped; True if there is room."""
        if isinstance(self._items, tuple):
            return True
        kept: list[tuple[Item, int, bool]] = []
        while self._items and (self.size + size > limit or len(self._items) + len(kept) >= MOST_ITEMS):
            entry = self._items.popleft()
            if entry[2]:
                self.size -= entry[1]
                self.dropped += 1
            else:
                kept.append(entry)
        self._items.extendleft(reversed(kept))
        return self.fits(size, limit)

    def clear(self) -> list[Item]:
        """Empty it; returns what was in it."""
        items = [item for item, _, _ in self._items]
        self._items = ()
        self.size = 0
        return items

    def clear_droppable(self) -> None:
        """Drop every message that may be dropped."""
        kept = [entry for entry in self._items if not entry[2]]
        self.dropped += len(self._items) - len(kept)
        self._items = deque(kept)
        self.size = sum(entry[1] for entry in kept)
