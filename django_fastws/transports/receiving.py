"""Receiving side of an ASGI transport: from the server's ``receive``, or from the inbox behind that."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from .._core.connection_state import ConnectionState
from ..types import Message, Receive
from .events import disconnect_status
from .inbox import Inbox

__all__ = ["ReceivingTransport"]


class ReceivingTransport:
    """Receiving side of a transport, between its server and its WebSocket.

    Where the server's events come from an inbox, and nothing stands between, messages are taken from that as they
    are; else from the server's events.
    """

    __slots__ = ("_bare_inbox", "_inbox", "_receive", "_task", "state")

    state: ConnectionState

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        queue = getattr(receive, "__self__", None)
        self._inbox: Inbox | None = queue if isinstance(queue, Inbox) else None
        #: The inbox, if nothing stands between it and this transport.
        self._bare_inbox = self._inbox
        self._task: asyncio.Task[Any] | None = None  # that of the application

    async def receive(self) -> Message:
        """The next ASGI event."""
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            self.state.end(*(status := self._status_of(event)))
            return {"type": "websocket.disconnect", "code": status[0], "reason": status[1]}
        if event["type"] == "websocket.connect":
            self._task = asyncio.current_task()
        return event

    async def receive_data(self) -> str | bytes:
        """The next message.

        Raises:
            WebSocketDisconnect: the connection is closed.
        """
        inbox = self._bare_inbox
        if inbox is None:
            event = await self._receive()
        else:
            while not inbox.waiting:
                await inbox.arrival()
            item = inbox.take()
            if isinstance(item, (str, bytes)):
                return item
            event = item
        if event["type"] == "websocket.receive":
            text: str | None = event.get("text")
            return bytes(event.get("bytes") or b"") if text is None else text
        self.state.end(*self._status_of(event))
        raise self.state.disconnect()

    def _status_of(self, event: Message) -> tuple[int, str]:
        """Close code and reason of the server's disconnect event; what a transport mends of them, it mends here."""
        return disconnect_status(event)

    @property
    def inbox(self) -> Inbox | asyncio.Queue[Message] | None:
        """The server's queue of events for the application, where it can be seen."""
        if self._inbox is not None:
            return self._inbox
        queue = getattr(self._receive, "__self__", None)
        return queue if isinstance(queue, asyncio.Queue) else None

    def wrap_receive(self, around: Callable[[Receive], Receive]) -> None:
        """Put something around the server's ``receive``, for this connection."""
        self._receive = around(self._receive)
        self._bare_inbox = None
