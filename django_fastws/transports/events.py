"""ASGI events of a connection: made of a message, and read (ASGI WebSocket spec 2.5)."""

from __future__ import annotations

from typing import Any

from .._core.messages import Payload
from ..types import Message

__all__ = ["as_message", "disconnect_status"]


def as_message(payload: Payload) -> Message:
    """The ASGI event that sends a payload."""
    if payload.binary:
        return {"type": "websocket.send", "bytes": payload.raw}
    return {"type": "websocket.send", "text": payload.text}


def disconnect_status(event: Message) -> tuple[int, str]:
    """The close code and reason of a ``websocket.disconnect`` event; 1005 where it has no code."""
    code: Any = event.get("code")
    return (1005 if code is None else int(code)), event.get("reason") or ""
