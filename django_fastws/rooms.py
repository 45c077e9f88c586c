"""Rooms: what user code broadcasts to."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from django.db import connections, transaction

from ._core.groups import group_name
from ._core.messages import Payload
from .encoding import encode
from .exceptions import WebSocketStateError
from .hub import Member, envelope
from .layer import apublish, publish
from .types import Data

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
        if _in_event_loop():
            raise WebSocketStateError(
                "cannot call Room.broadcast() here: it would block the running event loop; "
                "write `await room.abroadcast(...)`"
            )
        crossing = self._envelope(data, exclude)
        alias = _open_transaction() if on_commit else None
        if alias is None:
            publish(self._group, crossing)
        else:
            transaction.on_commit(lambda: self._publish_committed(crossing), using=alias)

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
        await apublish(self._group, self._envelope(data, exclude))

    def _envelope(self, data: Data, exclude: Member | str | None) -> dict[str, str | bytes]:
        payload: Payload = encode(data)
        return envelope(self._group, payload, _member_id(exclude))

    def _publish_committed(self, crossing: dict[str, str | bytes]) -> None:
        # The transaction is over: an error here must not look like one of the database.
        try:
            if _in_event_loop():
                # Committed by code that was called in a loop's thread, as Django's async test cases do.
                task = asyncio.get_running_loop().create_task(self._apublish_committed(crossing))
                _tasks.add(task)
                task.add_done_callback(_tasks.discard)
            else:
                publish(self._group, crossing)
        except Exception:
            logger.exception("A broadcast to room %r after a commit was lost", self.name)

    async def _apublish_committed(self, crossing: dict[str, str | bytes]) -> None:
        try:
            await apublish(self._group, crossing)
        except Exception:
            logger.exception("A broadcast to room %r after a commit was lost", self.name)

    def __repr__(self) -> str:
        return f"Room({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Room) and self.name == other.name

    def __hash__(self) -> int:
        return hash((Room, self.name))


_tasks: set[asyncio.Task[Any]] = set()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True


def _member_id(exclude: Any) -> str | None:
    if exclude is None or isinstance(exclude, str):
        return exclude
    member_id = getattr(exclude, "id", None)
    if not isinstance(member_id, str):
        raise TypeError(f"exclude takes a WebSocket or its id, not {type(exclude).__name__}")
    return member_id


def _open_transaction() -> str | None:
    """The alias of a database with an open transaction in this thread: the default one if it has one."""
    open_ones = [
        connection.alias for connection in connections.all(initialized_only=True) if connection.in_atomic_block
    ]
    return "default" if "default" in open_ones else (open_ones[0] if open_ones else None)
