"""Reading on daphne as it ships: whole messages are taken past autobahn, into an inbox.

Nearly every frame is one, and autobahn's way through twenty calls is most of what it costs. Whatever else a client
sends, and whatever is wrong in it, autobahn reads as ever. What it counts and fires for messages, daphne has no use
for. (``runws_server`` does the same in its own protocol, with flow control: ``server/reading.py``.)
"""

from __future__ import annotations

import asyncio
import functools
import sys
import time
from collections.abc import Callable
from typing import Any

from websockets import frames

from .._core.attributes import has_all
from .._core.whole_messages import read_messages
from ..types import Receive
from .inbox import Inbox

__all__ = ["apply_mask", "largest_message", "open_inbox", "read_past_autobahn", "read_through_autobahn"]

# What is called or read on the protocol object once it is open; without one of these, autobahn reads everything.
NEEDED = (
    "_dataReceived",
    "autoPingTimeoutCall",
    "current_frame",
    "data",
    "dataReceived",
    "inside_message",
    "last_ping",
    "maxFramePayloadSize",
    "maxMessagePayloadSize",
    "muted",
    "onMessage",
    "processData",
)
_AT_ONCE = 128  # messages in one step

#: XORs bytes with a key of four bytes, over and over; None where the library has no such function.
apply_mask: Any = getattr(frames, "apply_mask", None)


def largest_message(protocol: Any) -> float:
    """Limit of autobahn's on the bytes of a message, if it has one frame."""
    limits = (protocol.maxFramePayloadSize, protocol.maxMessagePayloadSize)
    return min((limit for limit in limits if limit > 0), default=float("inf"))


def open_inbox(protocol: Any, receive: Receive) -> Inbox | None:
    """Put an inbox in the place of daphne's queue of events; None where another ``receive`` reads from that.

    Like the queue, it has no bound.
    """
    queue = getattr(protocol, "application_queue", None)
    if getattr(receive, "__self__", None) is not queue or not isinstance(queue, asyncio.Queue):
        return None
    inbox = Inbox(sys.maxsize, sys.maxsize, int)
    while not queue.empty():
        inbox.put_nowait(queue.get_nowait())
    protocol.application_queue = inbox
    return inbox


def read_past_autobahn(protocol: Any, inbox: Inbox) -> None:
    """Take whole messages past autobahn, of a connection that is open."""
    if apply_mask is None or not has_all(protocol, NEEDED):
        return
    if getattr(protocol.onMessage, "__module__", "") != "daphne.ws_protocol":
        return  # somebody's own, who wants to see every message
    protocol.processData = functools.partial(_step, protocol, inbox, largest_message(protocol), protocol.processData)
    # Without autobahn's line for the log, which it makes whether that is logged or not.
    protocol.dataReceived = protocol._dataReceived


def read_through_autobahn(protocol: Any) -> None:
    """Leave everything to autobahn again."""
    protocol.__dict__.pop("processData", None)
    protocol.__dict__.pop("dataReceived", None)


def _step(protocol: Any, inbox: Inbox, limit: float, autobahns_step: Callable[[], bool]) -> bool:
    """One step through what was read, of messages or autobahn's; whether there is something left for another."""
    if (
        protocol.state == protocol.STATE_OPEN
        and protocol.current_frame is None
        and not protocol.inside_message
        and not protocol.muted
        and protocol.autoPingTimeoutCall is None  # or a message may put it off
    ):
        end, taken = read_messages(protocol.data, 0, inbox.append, apply_mask, limit, _AT_ONCE, sys.maxsize)
        if end:
            protocol.data = protocol.data[end:]
            protocol.last_ping = time.time()
            inbox.added(taken)
            return bool(protocol.data)
    return autobahns_step()
