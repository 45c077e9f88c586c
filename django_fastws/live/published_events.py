"""Events that come from outside as JSON, to be broadcast to a live room: checked as what the room says it sends."""

from __future__ import annotations

from typing import Any

from .._core.room_events import DEFAULT_EVENT
from ..encoding import json_bytes
from ..exceptions import InvalidMessage, LiveError
from ..validation import read_message
from .event import RESERVED
from .room_registry import find

__all__ = ["published_event"]

_CALL = "publish"


def published_event(room: str, event: str | None, data: Any) -> Any:
    """Data as the room broadcasts it: in a room with ``sends``, the one of them that has this name, made of the data.

    Unlike broadcasts of the project's own code, what does not fit is refused wherever that runs: whoever has sent it
    is told.

    Args:
        room: its name; one that is not declared broadcasts anything.
        event: its name; None is the default one.
        data: as JSON has it.
    Raises:
        LiveError: invalid: it is none of the events of the room, or does not fit.
        TypeError: the data is nested too deep.
    """
    if (found := find(room)) is None:
        return data
    live_room, _ = found
    if event in RESERVED:
        raise LiveError("invalid", f"event: {event!r} means something else to clients; give it another name")
    if not live_room.sends:
        return data
    name = DEFAULT_EVENT if event is None else event
    events = {one.__fastws_event__: one for one in live_room.sends}
    if name not in events:
        raise LiveError("invalid", f"event: {name!r:.80} is none of the room, which has {', '.join(sorted(events))}")
    try:
        return read_message(events[name], json_bytes(data), _CALL)
    except InvalidMessage as error:
        raise LiveError("invalid", f"data: {str(error).removeprefix(f'{_CALL}(): ')}") from None
