"""Inbox: the receive queue of one WebSocket connection, between its server's protocol and its handler."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any, cast

from .._core.messages import size_of
from ..types import Message

__all__ = ["Inbox"]

Item = str | bytes | Message


class Inbox:
    """Receive queue of one connection: messages as they are, and other ASGI events, in one order.

    Its ``get`` is the application's ``receive``: only who calls that is made an event of each message. Whoever knows
    the inbox takes the messages themselves.

    It takes whatever is put into it. The protocol stops when it ``is_full``, and is called when there is room again,
    which is when half of it was received: so that a handler that is slower than its client does not stop and start
    the reading with every message.

    Args:
        messages: so many messages fill it.
        size: so many bytes fill it, whatever their number.
        on_room: called when an inbox that was full has room again.

    Attributes:
        waiting: what was not received yet, the oldest first; always the same deque.
        append: adds a message to it; for who reads many at once, and calls ``added()`` then.
        received: how many events the application has received so far.
    """

    __slots__ = (
        "_bytes",
        "_most_bytes",
        "_most_messages",
        "_on_room",
        "_waiter",
        "_was_full",
        "append",
        "received",
        "waiting",
    )

    def __init__(self, messages: int, size: int, on_room: Callable[[], object]) -> None:
        self._most_messages = max(1, messages)
        self._most_bytes = max(1, size)
        self._on_room = on_room
        self.waiting: deque[Item] = deque()
        self.append: Callable[[str | bytes], None] = self.waiting.append
        self._bytes = 0
        self._was_full = False
        #: Done when something comes; there is one while a task waits for that.
        self._waiter: asyncio.Future[None] | None = None
        self.received = 0

    # In

    def put_nowait(self, event: Message) -> None:
        """Add an ASGI event."""
        self.waiting.append(event)
        self.added(_size_of(event) if event["type"] == "websocket.receive" else 0)

    def add(self, message: str | bytes, size: int) -> None:
        """Add a message of so many bytes."""
        self.waiting.append(message)
        self.added(size)

    def added(self, size: int) -> None:
        """Count the bytes of what was appended, and wake the task that waits for it."""
        self._bytes += size
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    @property
    def is_full(self) -> bool:
        """Whether nothing more should be read from the client."""
        if len(self.waiting) >= self._most_messages or self._bytes >= self._most_bytes:
            self._was_full = True
        return self._was_full

    @property
    def room(self) -> tuple[int, int]:
        """How many messages, and how many bytes, are missing until it is full; at least 1 of each."""
        return max(1, self._most_messages - len(self.waiting)), max(1, self._most_bytes - self._bytes)

    def detach(self) -> None:
        """Tell nobody of room any more: the connection has ended, and is freed with what has made the inbox."""
        self._on_room = _nobody

    # Out

    def empty(self) -> bool:
        """Whether nothing waits."""
        return not self.waiting

    async def get(self) -> Message:
        """The next ASGI event. Cancelling it loses none."""
        while not self.waiting:
            await self.arrival()
        item = self.take()
        if isinstance(item, str):
            return {"type": "websocket.receive", "text": item}
        return {"type": "websocket.receive", "bytes": item} if isinstance(item, bytes) else item

    def arrival(self) -> Awaitable[object]:
        """What to await where nothing waits; behind it there may be something, if no other task has taken it."""
        waiter = self._waiter
        if waiter is not None and not waiter.done():  # another task's, which this one must not cancel
            return asyncio.wait([waiter])
        waiter = self._waiter = asyncio.get_running_loop().create_future()
        return waiter

    def take(self) -> Item:
        """The next message or event, of those that wait."""
        waiting = self.waiting
        item = waiting.popleft()
        self.received += 1
        if not waiting:
            self._bytes = 0
        else:
            is_plain = isinstance(item, bytes) or (isinstance(item, str) and item.isascii())
            self._bytes -= len(item) if is_plain else _size_of(item)
        if self._was_full and len(waiting) <= self._most_messages // 2 and self._bytes <= self._most_bytes // 2:
            self._was_full = False
            self._on_room()
        return item

    def next_event(self) -> Message | None:
        """The event that is next; None if it is a message, or nothing waits."""
        first = self.waiting[0] if self.waiting else None
        return None if isinstance(first, (str, bytes)) else first

    def events(self) -> list[Message]:
        """The events that wait, without the messages."""
        return [item for item in self.waiting if not isinstance(item, (str, bytes))]


def _nobody() -> None:
    """In the place of what is called when there is room."""


def _size_of(item: Item) -> int:
    """Number of bytes in a message or an event."""
    if isinstance(item, (str, bytes)):
        return size_of(item)
    if item["type"] != "websocket.receive":
        return 0
    data: Any = item.get("text")
    if data is None:
        data = item.get("bytes") or b""
    return size_of(cast("str | bytes", data))
