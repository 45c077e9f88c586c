"""ASGI events of a connection: made of a message, and read (ASGI WebSocket spec 2.5)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from .._core.messages import Payload
from ..types import Message

__all__ = ["DENIAL", "as_message", "denial_events", "disconnect_status"]

#: The extension in which a denial response has a status and a body, and how the types of its events begin.
DENIAL = "websocket.http.response"


def as_message(payload: Payload) -> Message:
    """The ASGI event that sends a payload."""
    if payload.binary:
        return {"type": "websocket.send", "bytes": payload.raw}
    return {"type": "websocket.send", "text": payload.text}


def disconnect_status(event: Message) -> tuple[int, str]:
    """The close code and reason of a ``websocket.disconnect`` event; 1005 where it has no code."""
    code: Any = event.get("code")
    return (1005 if code is None else int(code)), event.get("reason") or ""


def denial_events(status: int, text: str, more: Iterable[tuple[bytes, bytes]]) -> Iterator[Message]:
    """The two events of a denial response with a plain text.

    Args:
        more: headers.
    """
    body = text.encode("utf-8", "replace")
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"x-content-type-options", b"nosniff"),
        *more,
    ]
    yield {"type": f"{DENIAL}.start", "status": status, "headers": headers}
    yield {"type": f"{DENIAL}.body", "body": body}
