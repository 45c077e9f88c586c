"""Room: the handle through which user code broadcasts."""

from __future__ import annotations

import logging
from typing import Any

from .. import metrics
from .._core.envelope import Envelope
from .._core.groups import group_name
from ..encoding import encode
from ..layer import get_broker
from ..types import Data
from .local_room import Member
from .on_commit import check_no_loop, publish_sync

__all__ = ["Room"]

logger = logging.getLogger("django_fastws.rooms")


class Room:
    """A handle on a room, by its name. It costs nothing and holds nothing: the members are those who joined.

    Two handles of one name are equal.

    Args:
        name: any string.
    Raises:
        TypeError: the name is not a str.
    """

    __slots__ = ("_group", "name")

    def __init__(self, name: str) -> None:
        self._group = group_name(name)
        self.name = name

    def broadcast(self, data: Data, *, exclude: Member | str | None = None, on_commit: bool = True) -> None:
        """Send one message to every member of the room, in every process, from sync code.

        Inside ``transaction.atomic()`` it goes out once the transaction commits, and not at all if it is rolled
        back; ``data`` is encoded at once. Delivery is as with ``abroadcast``.

        Args:
            data: str or bytes for a text or binary frame; anything else is sent as JSON.
            exclude: a WebSocket, or its id, that does not get it.
            on_commit: False sends at once, whatever becomes of the transaction.
        Raises:
            WebSocketStateError: this thread runs an event loop, which would be blocked; await abroadcast() there.
            MessageTooBig: the encoded message is over ``FASTWS_MAX_MESSAGE_BYTES``.
            TypeError: the data has no JSON form.
            WebSocketConnectionError: the channel layer cannot be reached. (Logged, not raised, after a commit.)
        """
        check_no_loop("Room.broadcast()", "room.abroadcast(...)")
        envelope = self._envelope(data, exclude)
        publish_sync(envelope, f"A broadcast to room {self.name!r}", logger, on_commit=on_commit)
        metrics.broadcasts.add()

    async def abroadcast(self, data: Data, *, exclude: Member | str | None = None) -> None:
        """Send one message to every member of the room, in every process.

        At most once: a process that is cut off from Redis misses it. Members get the broadcasts of one sender to
        one room in the order they were made. It does not wait for open transactions.

        Args:
            data: str or bytes for a text or binary frame; anything else is sent as JSON, encoded once.
            exclude: a WebSocket, or its id, that does not get it.
        Raises:
            MessageTooBig: the encoded message is over ``FASTWS_MAX_MESSAGE_BYTES``.
            TypeError: the data has no JSON form.
            WebSocketConnectionError: the channel layer cannot be reached.
        """
        envelope = self._envelope(data, exclude)
        await get_broker().apublish(envelope)
        metrics.broadcasts.add()

    def _envelope(self, data: Data, exclude: Member | str | None) -> Envelope:
        return Envelope.broadcast(self._group, encode(data), _member_id(exclude))

    def __repr__(self) -> str:
        return f"Room({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Room) and self.name == other.name

    def __hash__(self) -> int:
        return hash((Room, self.name))


def _member_id(exclude: Any) -> str | None:
    if exclude is None or isinstance(exclude, str):
        return exclude
    member_id = getattr(exclude, "id", None)
    if not isinstance(member_id, str):
        raise TypeError(f"exclude takes a WebSocket or its id, not {type(exclude).__name__}")
    return member_id
