"""What is sent: one small JSON message, and its bytes as a frame (RFC 6455 section 5.2)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from itertools import cycle, islice
from typing import Annotated, Any

from annotated_types import MaxLen
from websockets.frames import apply_mask

__all__ = [
    "COUNTS",
    "LOBBY",
    "MESSAGE",
    "PASSED",
    "READY",
    "ROOM",
    "SAID",
    "STORED",
    "TASKS",
    "THREADS",
    "MostText",
    "client_frame",
    "encoded",
    "numbered_frames",
    "room_message",
    "room_name",
    "server_frame",
]

#: What is broadcast and echoed: 94 bytes of JSON.
MESSAGE = {"type": "message", "user": "ada", "text": "Shall we meet at seven, at the old bridge? Bring tea."}
#: The room of all rows with a single one.
ROOM = "bench"
#: The live room of the rows with one.
LOBBY = "lobby"
#: Two live rooms whose events differ by their positions only: those of one are stored.
STORED, PASSED = "stored", "passed"
#: Where a server tells what it has counted.
COUNTS = "counts"
#: Who broadcasts at once to them.
TASKS, THREADS = 64, 8
#: The payload of a call.
SAID = {"user": "ada", "text": "Shall we meet at seven, at the bridge?"}
#: The type of its text, which everybody validates with pydantic.
MostText = Annotated[str, MaxLen(2000)]
#: What a handler sends when its socket is in its rooms.
READY = "ready"

_MASK = b"\x0b\xe7\xc3\x11"


def room_name(number: int) -> str:
    """The name of a room; all are of one length."""
    return f"room-{number:05}"


def room_message(number: int) -> dict[str, str]:
    """What a member says in one of its rooms."""
    return {"type": "message", "room": room_name(number), "text": "Shall we meet at seven, at the old bridge?"}


def encoded(message: object) -> bytes:
    """A message as JSON, in the bytes that every peer here sends: compact, as a browser would write it."""
    return json.dumps(message, separators=(",", ":")).encode()


def server_frame(payload: bytes) -> bytes:
    """A text frame as a server sends it."""
    return _head(payload, 0) + payload


def client_frame(payload: bytes) -> bytes:
    """A text frame as a client sends it. The mask is always the same: servers do not care."""
    return _head(payload, 0x80) + _MASK + apply_mask(payload, _MASK)


def numbered_frames(message: Mapping[str, Any], count: int = 10_000) -> Callable[[int], bytes]:
    """What makes so many frames of a message, each with another id; they begin anew after ``count`` ids."""
    first = 1_000_000  # so that all have as many digits
    frames = cycle([client_frame(encoded({**message, "id": first + number})) for number in range(count)])
    return lambda number: b"".join(islice(frames, number))


def _head(payload: bytes, mask_bit: int) -> bytes:
    if len(payload) > 0xFFFF:
        raise ValueError("messages of the benchmarks have at most 65,535 bytes")
    if len(payload) > 125:
        return bytes((0x81, mask_bit | 126)) + len(payload).to_bytes(2, "big")
    return bytes((0x81, mask_bit | len(payload)))
