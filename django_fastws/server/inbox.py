"""Inbox: the bounded receive queue of one WebSocket connection."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from ..types import Message

__all__ = ["Inbox"]


class Inbox(asyncio.Queue[Message]):
    """Bounded receive queue of one connection; its ``get`` is the application's ``receive``.

    It takes whatever is put into it. The protocol stops when it ``is_full``, and is called when there is room
    again, which is when half of it was received: so that a handler that is slower than its client does not stop and
    start the reading with every message.

    Args:
        messages: so many messages fill it.
        size: so many bytes fill it, whatever their number.
        on_room: called when an inbox that was full has room again.

    Attributes:
        received: how many events the application has received so far.
    """

    def __init__(self, messages: int, size: int, on_room: Callable[[], None]) -> None:
        super().__init__()
        self._most_messages = max(1, messages)
        self._most_bytes = max(1, size)
        self._on_room = on_room
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._next_size = 0
        self._was_full = False
        self.received = 0

    def add(self, message: Message, size: int) -> None:
        """Put a message of so many bytes into it."""
        self._next_size = size
        self.put_nowait(message)

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be read from the client."""
        if len(self._sizes) >= self._most_messages or self._bytes >= self._most_bytes:
            self._was_full = True
        return self._was_full

    # The hooks that asyncio.Queue has for subclasses.

    def _put(self, item: Message) -> None:
        super()._put(item)
        size, self._next_size = self._next_size, 0
        self._sizes.append(size)
        self._bytes += size

    def _get(self) -> Message:
        item = super()._get()
        self._bytes -= self._sizes.popleft()
        self.received += 1
        if self._was_full and len(self._sizes) <= self._most_messages // 2 and self._bytes <= self._most_bytes // 2:
            self._was_full = False
            self._on_room()
        return item
