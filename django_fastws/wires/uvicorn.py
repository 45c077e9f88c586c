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
        waiting = self._waiting()
        if waiting is None:
            # The deprecated implementation has no queue of events, but websockets' own of messages.
            return None if getattr(self._protocol, "messages", None) else self._legacy_status()
        # What waits is in order, and a disconnect event is the last of it (a second one may follow).
        if not waiting or waiting[0].get("type") != "websocket.disconnect":
            return None
        return _status(waiting[0])

    def _cut(self) -> None:
        transport = getattr(self._protocol, "transport", None)
        if transport is not None:
            transport.abort()

    def lost_status(self) -> tuple[int, str]:
        for event in self._waiting() or ():  # what the peer said, though nobody has received it yet
            if event.get("type") == "websocket.disconnect":
                return _status(event)
        return self._legacy_status() or (1006, "")

    def _waiting(self) -> Any:
        """The events that uvicorn holds for the application, first ones first; None if it keeps them elsewhere."""
        return getattr(getattr(self._protocol, "queue", None), "_queue", None)

    def _legacy_status(self) -> tuple[int, str] | None:
        if getattr(self._protocol, "closed", None) is not True:
            return None
        code = getattr(self._protocol, "close_code", None)
        return (1005 if code is None else code), getattr(self._protocol, "close_reason", None) or ""

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
