"""States of a room that are the same for every member: the shared one, and the values of a keyed room.

Both are made once for all members that need one at the same moment.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from .._core.groups import group_name
from .._core.positions import Position
from ..exceptions import LiveError, WebSocketConnectionError, WebSocketException
from ..layer import get_broker
from ..loops import PerLoop
from ..rooms import Latest, Room, current_hub, encode_values, pattern_of
from .hooks import StateHook
from .live_errors import FAILED, as_live_error, logger, significant_error, unavailable
from .shared_states import SharedStates, current_states

__all__ = ["KeyedState", "keyed_state", "shared_state"]

Checked = Callable[[bytes], bytes]
"""Returns what is to be sent, if it is not too large."""


async def shared_state(hook: StateHook, room: Room, params: Mapping[str, Any], checked: Checked) -> bytes:
    """The state of a room as JSON, by a function without a socket.

    A failure is logged here, once, and not by each of the joins that wait for it.

    Raises:
        LiveError, WebSocketException: what the function raises of these, or else that it has failed.
    """

    async def make() -> bytes:
        try:
            return checked(hook.encode(await hook.call(None, room, params)))
        except Exception as problem:
            found = significant_error(problem)
            if isinstance(found, WebSocketException) or as_live_error(found) is not None:
                raise
            fields = {"room": pattern_of(room.name), "code": FAILED.code}
            logger.error("the shared state failed in room %.200r", room.name, exc_info=found, extra=fields)
            raise LiveError(FAILED.code, FAILED.message) from None

    return await current_states().get(room.name, make)


class KeyedState(NamedTuple):
    """Values of a keyed room as JSON, by key.

    Attributes:
        position: of the newest change that they have; None where the layer keeps no values.
    """

    encoded: bytes
    position: Position | None


_keyed_states: PerLoop[SharedStates[KeyedState]] = PerLoop(SharedStates)


async def keyed_state(room: str, latest: Latest, checked: Checked) -> KeyedState:
    """The values of a keyed room, by its name.

    Raises:
        LiveError: the layer cannot be reached.
        MessageTooBig: they are too large.
    """

    async def read() -> KeyedState:
        broker = get_broker()
        if not broker.has_history:
            return KeyedState(b"{}", None)
        try:
            values = await broker.aread_latest(group_name(room), latest)
        except WebSocketConnectionError as error:
            raise unavailable(error) from error
        current_hub().seen(room, values)
        return KeyedState(checked(encode_values(values)), values.position)

    return await _keyed_states.get().get(room, read)
