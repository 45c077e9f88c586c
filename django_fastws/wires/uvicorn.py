"""The wire for uvicorn: tells a cut connection from one that was closed without a code.

``websockets-sansio``, uvicorn's default, says 1005 for both; a close frame's event has a reason, a cut one's has not.
"""

from __future__ import annotations

from typing import Any

from ..types import Message, Receive, Scope, Send
from .asgi import Wire, disconnect_status

__all__ = ["UvicornWire"]


class UvicornWire(Wire):
    """Carries one connection of uvicorn's."""

    name = "uvicorn"

    __slots__ = ("_protocol",)

    def __init__(self, scope: Scope, receive: Receive, send: Send, protocol: Any) -> None:
        super().__init__(scope, receive, send)
        self._protocol = protocol

    @classmethod
    def find(cls, scope: Scope, receive: Receive, send: Send) -> UvicornWire | None:
        """The wire behind uvicorn's ``send``, or None if this is not uvicorn."""
        protocol = getattr(send, "__self__", None)
        if not type(protocol).__module__.startswith("uvicorn.protocols.websockets."):
            return None
        return cls(scope, receive, send, protocol)

    def ended(self) -> tuple[int, str] | None:
        queue = getattr(self._protocol, "queue", None)
        waiting = getattr(queue, "_queue", None)
        # What waits is in order, and a disconnect event is the last of it (a second one may follow).
        if not waiting or waiting[0].get("type") != "websocket.disconnect":
            return None
        return _status(waiting[0])

    async def _transmit(self, message: Message) -> None:
        await self._send(message)
        denied = message["type"] == "websocket.http.response.body" and not message.get("more_body")
        if denied and getattr(self._protocol, "handshake_complete", None) is False:
            # uvicorn takes a denial for a handshake that nobody answered, and logs an error for each.
            self._protocol.handshake_complete = True

    async def receive(self) -> Message:
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            code, reason = _status(event)
            event = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self.gone = self.gone or (code, reason)
        return event


def _status(event: Message) -> tuple[int, str]:
    code, reason = disconnect_status(event)
    if code == 1005 and "reason" not in event:
        code = 1006
    return code, reason
