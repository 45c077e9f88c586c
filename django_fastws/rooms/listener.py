"""Listener to a room, for server code that is no socket: an SSE view, a GraphQL subscription, a worker."""

from __future__ import annotations

import asyncio
from collections import deque
from types import TracebackType
from typing import Any

from .. import metrics
from .._core.ids import Ids
from .._core.json import loads
from .._core.messages import Batch, Payload
from .._core.room_events import EventPayload, KeyedPayload
from ..conf import conf
from ..exceptions import WebSocketStateError
from .hub import current_hub

__all__ = ["LISTENER_EVENTS", "RoomEvent", "RoomListener"]

#: How many events wait for a listener, unless it says otherwise.
LISTENER_EVENTS = 1000

_ids: Ids[Any] = Ids()


class RoomEvent:
    """Event that was broadcast to a room, as a listener gets it.

    Attributes:
        event: its name; "message" where the broadcast named none, "latest" for the value of a key.
        raw: the data, as JSON.
        key: whose value it is, in a keyed room; else None.
        removed: the key has no value any more; the data is None.
    """

    __slots__ = ("_data", "event", "key", "raw", "removed")

    def __init__(self, event: str, raw: bytes, key: str | None = None, *, removed: bool = False) -> None:
        self.event = event
        self.raw = raw
        self.key = key
        self.removed = removed
        self._data: list[Any] = []

    @property
    def data(self) -> Any:
        """The data, decoded once, when it is first asked for."""
        if not self._data:
            self._data.append(loads(self.raw))
        return self._data[0]

    def __repr__(self) -> str:
        keyed = "" if self.key is None else f", {self.key!r}, removed={self.removed}"
        return f"RoomEvent({self.event!r}, {self.raw!r}{keyed})"


class RoomListener:
    """Listener to the events of one room, in one event loop; ``Room.listen()`` makes it.

    It is entered once, and iterated by one task at a time. What waits for it is bounded: when more than ``limit``
    events wait, or more bytes than ``FASTWS_SEND_BUFFER_BYTES``, the oldest are dropped and counted.

    Attributes:
        dropped: how many were dropped because the listener was slow.
    """

    takes_events = True  # as a member of rooms

    def __init__(self, room: str, limit: int) -> None:
        self._room = room
        self._limit = limit
        self._waiting: deque[EventPayload] = deque()
        self._bytes = 0
        self._wake: asyncio.Future[None] | None = None
        self._is_entered = self._is_over = False
        self.id = _ids.make(self)
        self.dropped = 0

    async def __aenter__(self) -> RoomListener:
        """Listen from now on.

        Raises:
            WebSocketStateError: it was entered before.
            WebSocketConnectionError: the channel layer cannot be reached.
        """
        if self._is_entered:
            raise WebSocketStateError("this listener was entered before: call Room.listen() again")
        self._is_entered = True
        await current_hub().join(self, self._room)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._end()
        await current_hub().leave(self, self._room)

    def __aiter__(self) -> RoomListener:
        """Yield events until the block is left."""
        return self

    async def __anext__(self) -> RoomEvent:
        if not self._is_entered:
            raise WebSocketStateError("write `async with room.listen() as events:` around the iteration")
        if self._wake is not None:
            raise WebSocketStateError("another task iterates over this listener already")
        while not self._waiting:
            if self._is_over:
                raise StopAsyncIteration
            self._wake = asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._wake = None
        payload = self._waiting.popleft()
        self._bytes -= len(payload)
        if isinstance(payload, KeyedPayload):
            return RoomEvent(payload.event, payload.data, payload.key, removed=payload.is_removed)
        return RoomEvent(payload.event, payload.data)

    # As a member of the room

    def post(self, batch: Payload | Batch) -> None:
        """Take events from the hub."""
        for payload in batch.payloads:
            if isinstance(payload, EventPayload):
                self._waiting.append(payload)
                self._bytes += len(payload)
        most_bytes, count = conf.send_buffer_bytes, 0
        while len(self._waiting) > self._limit or (self._bytes > most_bytes and len(self._waiting) > 1):
            self._bytes -= len(self._waiting.popleft())
            count += 1
        if count:
            self.dropped += count
            metrics.policy_drops.add(count, "listener")
        self._wake_up()

    def matches(self, user: str, client: str) -> bool:
        """A listener is nobody's, and cannot be kicked."""
        return False

    def kick(self, code: int, reason: str) -> None:
        """End the iteration."""
        self._end()

    def lost(self) -> None:
        """Events of a room with history were lost, and it is not known how many."""

    def _end(self) -> None:
        self._is_over = True
        self._waiting.clear()
        self._wake_up()

    def _wake_up(self) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)
