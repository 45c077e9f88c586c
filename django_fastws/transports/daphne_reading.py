"""Reading on daphne, and on ``runws_server``: a text message of one frame is taken past autobahn.

Nearly every message is one, and autobahn's way through twenty calls is most of what it costs. Whatever else a client
sends, and whatever is wrong in it, autobahn reads as ever. What it counts and fires for messages, daphne has no use
for.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from websockets import frames

from .._core.frames import whole_text

__all__ = ["read_past_autobahn", "read_through_autobahn"]

# What is called or read on the protocol object once it is open; without one of these, autobahn reads everything.
NEEDED = (
    "_dataReceived",
    "autoPingTimeoutCall",
    "current_frame",
    "data",
    "dataReceived",
    "inside_message",
    "maxFramePayloadSize",
    "maxMessagePayloadSize",
    "onMessage",
    "processData",
)
_apply_mask: Any = getattr(frames, "apply_mask", None)


def read_past_autobahn(protocol: Any) -> None:
    """Take text messages of one frame past autobahn, of a connection that is open."""
    if _apply_mask is not None and all(hasattr(protocol, name) for name in NEEDED):
        protocol.processData = functools.partial(_step, protocol, protocol.processData)
        # Without autobahn's line for the log, which it makes whether that is logged or not.
        protocol.dataReceived = protocol._dataReceived


def read_through_autobahn(protocol: Any) -> None:
    """Leave everything to autobahn again."""
    protocol.__dict__.pop("processData", None)
    protocol.__dict__.pop("dataReceived", None)


def _step(protocol: Any, autobahns_step: Callable[[], bool]) -> bool:
    """One step through what was read, of a message or autobahn's; whether there is something left for another."""
    if (
        protocol.state == protocol.STATE_OPEN
        and protocol.current_frame is None
        and not protocol.inside_message
        and protocol.autoPingTimeoutCall is None  # or the message may put it off
        and (found := whole_text(protocol.data, _apply_mask)) is not None
    ):
        text, end = found
        size = len(text)
        if not (0 < protocol.maxFramePayloadSize < size or 0 < protocol.maxMessagePayloadSize < size):
            protocol.data = protocol.data[end:]
            protocol.onMessage(text, False)
            return bool(protocol.data)
    return autobahns_step()
