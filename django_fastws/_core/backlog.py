"""Backlog of one socket: messages that wait to be sent, bounded in bytes, and how they are dropped.

The policies for a slow consumer have their table here. ``transports/outbox.py`` decides when which one is applied.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
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

# Whether an item may be dropped.
_KEPT, _DROPPABLE, _VOLATILE = range(3)


class Backlog(Generic[Item]):
    """Messages that wait to be sent, in order, with a bound in bytes, and one on how many they are.

    Attributes:
        size: bytes waiting.
        dropped: messages that were dropped so far.
        volatile: how many of those that wait are the first to be dropped.
    """

    __slots__ = ("_items", "dropped", "size", "volatile")

    def __init__(self) -> None:
        # Made when it is needed: most sockets never have a backlog, and an empty deque takes 600 bytes.
        self._items: deque[tuple[Item, int, int]] | tuple[()] = ()
        self.size = 0
        self.dropped = 0
        self.volatile = 0

    def __len__(self) -> int:
        return len(self._items)

    def push(self, item: Item, size: int, *, droppable: bool = False, volatile: bool = False) -> None:
        """Add at the end.

        Args:
            droppable: it may be dropped; else somebody waits for it to be sent.
            volatile: it is droppable, and the first to be dropped.
        """
        if isinstance(self._items, tuple):
            self._items = deque()
        self._items.append((item, size, _VOLATILE if volatile else _DROPPABLE if droppable else _KEPT))
        self.size += size
        self.volatile += volatile

    def pop(self) -> Item:
        """Take the first. Raises IndexError if there is none."""
        if isinstance(self._items, tuple):
            raise IndexError("the backlog is empty")
        item, size, kind = self._items.popleft()
        self.size -= size
        self.volatile -= kind == _VOLATILE
        if not self._items:
            self._items = ()
        return item

    def discard(self, item: Item) -> None:
        """Take one out, wherever it stands; nothing happens if it is not there any more."""
        self._keep([entry for entry in self._items if entry[0] is not item])

    def fits(self, size: int, limit: int) -> bool:
        """Whether one more message of this size stays within the limit. A single message always fits."""
        return not self._items or (self.size + size <= limit and len(self._items) < MOST_ITEMS)

    def drop_oldest(self, size: int, limit: int) -> bool:
        """Make room for a message of this size by dropping the oldest that may be dropped; True if there is room."""
        if isinstance(self._items, tuple):
            return True
        kept: list[tuple[Item, int, int]] = []
        while self._items and (self.size + size > limit or len(self._items) + len(kept) >= MOST_ITEMS):
            entry = self._items.popleft()
            if entry[2]:
                self.size -= entry[1]
                self.volatile -= entry[2] == _VOLATILE
                self.dropped += 1
            else:
                kept.append(entry)
        self._items.extendleft(reversed(kept))
        return self.fits(size, limit)

    def take_out(self, is_wanted: Callable[[Item], bool]) -> list[Item]:
        """Remove those that may be dropped and are wanted, wherever they stand; returns them in order."""
        taken = [entry[0] for entry in self._items if entry[2] and is_wanted(entry[0])]
        if taken:
            self._keep([entry for entry in self._items if not (entry[2] and is_wanted(entry[0]))])
        return taken

    def clear(self) -> list[Item]:
        """Empty it; returns what was in it."""
        items = [item for item, _, _ in self._items]
        self._items = ()
        self.size = self.volatile = 0
        return items

    def clear_droppable(self) -> None:
        """Drop every message that may be dropped."""
        self._drop([entry for entry in self._items if not entry[2]])

    def clear_volatile(self) -> int:
        """Drop every message that is the first to be dropped; returns how many these were."""
        count = self.volatile
        if count:
            self._drop([entry for entry in self._items if entry[2] != _VOLATILE])
        return count

    def _drop(self, kept: list[tuple[Item, int, int]]) -> None:
        self.dropped += len(self._items) - len(kept)
        self._keep(kept)

    def _keep(self, kept: list[tuple[Item, int, int]]) -> None:
        self._items = deque(kept) if kept else ()
        self.size = sum(entry[1] for entry in kept)
        self.volatile = sum(entry[2] == _VOLATILE for entry in kept)
