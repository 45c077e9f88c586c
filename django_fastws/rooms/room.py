"""Room: the handle through which user code broadcasts."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

from .. import metrics, tracing
from .._core.envelope import Envelope
from .._core.groups import group_name
from .._core.history import History
from .._core.history_page import PageQuery
from .._core.kicks import Kick, encode_kick
from .._core.latest import Keyed, Latest, check_key
from .._core.messages import Payload
from .._core.positions import Position
from .._core.room_events import check_event
from ..encoding import encode
from ..exceptions import HistoryUnavailable, check_close
from ..layer import get_broker
from ..types import Data, HasId
from ..user_keys import key_of
from .declared import declarations, latest_of, pattern_of
from .histories_by_name import room_history
from .listener import LISTENER_EVENTS, RoomListener
from .on_commit import check_no_loop, publish_sync
from .room_presence import RoomPresence
from .room_traces import begin_broadcast
from .stored import HISTORY_EVENTS, HistoryReader, Stored

__all__ = ["Room"]

logger = logging.getLogger("django_fastws.rooms")

_UNOBSERVED = nullcontext()
_make_envelope = Envelope.broadcast  # bound once, not for each broadcast


class Room(RoomPresence):
    """A handle on a room, by its name. It costs nothing and holds nothing: the members are those who joined.

    Two handles of one name are equal.

    Args:
        name: any string.
    Raises:
        TypeError: the name is not a str.
    """

    __slots__ = ("_group",)

    def __init__(self, name: str) -> None:
        self._group = group_name(name)
        self.name = name

    def broadcast(
        self,
        data: Data,
        event: str | None = None,
        *,
        exclude: HasId | str | None = None,
        volatile: bool = False,
        on_commit: bool = True,
        idempotency_key: str | None = None,
        key: str | None = None,
    ) -> Position | None:
        """Send one message to every member of the room, in every process, from sync code.

        Inside ``transaction.atomic()`` it goes out once the transaction commits, and not at all if it is rolled
        back; ``data`` is encoded at once. Delivery is as with ``abroadcast``.

        Args:
            data: str or bytes for a text or binary frame; anything else is sent as JSON.
            event: its name for live members; None is an ``Event``'s own, else "message".
            exclude: a WebSocket or LiveSocket, or its id, that does not get it.
            volatile: whether it is the first to be dropped, and never stored.
            on_commit: False sends at once, whatever becomes of the transaction. What the database keeps is part of
                it, and cannot be sent before.
            idempotency_key, key: as with ``abroadcast``.
        Returns:
            Its position in the history; None where it is not stored, or not yet, for the transaction is open. In the
            database it is stored at once, as part of the transaction.
        Raises:
            WebSocketStateError: this thread runs an event loop, which would be blocked; await abroadcast() there.
            MessageTooBig: the encoded message is over ``FASTWS_MAX_MESSAGE_BYTES``.
            TypeError, ValueError: the data has no JSON form, the event is no name, or a key is missing or too much.
            WebSocketConnectionError: the channel layer cannot be reached. (Logged, not raised, after a commit, and of
                what the database has.)
            django.db.DatabaseError: it cannot be stored in the database.
        """
        check_no_loop("Room.broadcast()", "room.abroadcast(...)")
        envelope = self._envelope(data, event, exclude, idempotency_key, key, is_volatile=volatile)
        what = f"A broadcast to room {self.name!r}"
        with begin_broadcast(self.name, envelope) if tracing.observers else _UNOBSERVED:
            if envelope.history is None:
                position = publish_sync(envelope, what, logger, on_commit=on_commit)
            else:
                position = room_history(self.name, envelope.history).publish(envelope, what, on_commit=on_commit)
        metrics.broadcasts.add(1, pattern_of(self.name))
        return position

    async def abroadcast(
        self,
        data: Data,
        event: str | None = None,
        *,
        exclude: HasId | str | None = None,
        volatile: bool = False,
        idempotency_key: str | None = None,
        key: str | None = None,
    ) -> Position | None:
        """Send one message to every member of the room, in every process.

        At most once: a process that is cut off from Redis misses it. Members get the broadcasts of one sender to
        one room in the order they were made. It does not wait for open transactions.

        In a room with history it is stored in the same step, and whoever misses it gets it from there: members get
        all broadcasts in one order, each once, as long as the history keeps them.

        Args:
            data: str or bytes for a text or binary frame; anything else is sent as JSON, encoded once.
            event: its name for live members; None is an ``Event``'s own, else "message".
            exclude: a WebSocket or LiveSocket, or its id, that does not get it.
            volatile: whether it is the first to be dropped, and never stored.
            idempotency_key: in a room with history, of several broadcasts with one key only the first is stored and
                sent, for at least ten minutes; the others return its position.
            key: in a keyed room, whose newest value this is from now on; it has between 1 and 512 characters.
        Returns:
            Its position in the history; None where it is not stored.
        Raises:
            MessageTooBig: the encoded message is over ``FASTWS_MAX_MESSAGE_BYTES``.
            TypeError, ValueError: the data has no JSON form, the event is no name, or a key is missing or too much.
            WebSocketConnectionError: the channel layer cannot be reached.
        """
        envelope = self._envelope(data, event, exclude, idempotency_key, key, is_volatile=volatile)
        if tracing.observers:
            position = await self._apublish_observed(envelope)
        elif envelope.history is None:
            position = await get_broker().apublish(envelope)
        else:
            position = await room_history(self.name, envelope.history).apublish(envelope)
        metrics.broadcasts.add(1, pattern_of(self.name))
        return position

    async def _apublish_observed(self, envelope: Envelope) -> Position | None:
        with begin_broadcast(self.name, envelope):
            if envelope.history is None:
                return await get_broker().apublish(envelope)
            return await room_history(self.name, envelope.history).apublish(envelope)

    # Keyed rooms

    def remove(self, key: str, *, on_commit: bool = True) -> None:
        """Remove a key of a keyed room, from sync code: members are told, and nobody gets its value any more.

        Args:
            key: which may have no value.
            on_commit: False removes it at once, whatever becomes of the transaction.
        Raises:
            TypeError, ValueError: the room is not keyed, or that is no key.
            WebSocketStateError: this thread runs an event loop, which would be blocked; await aremove() there.
            WebSocketConnectionError: the channel layer cannot be reached. (Logged, not raised, after a commit.)
        """
        check_no_loop("Room.remove()", "room.aremove(...)")
        what = f"Removing a key of room {self.name!r}"
        publish_sync(self._removal(key), what, logger, on_commit=on_commit)

    async def aremove(self, key: str) -> None:
        """Remove a key of a keyed room; see ``remove()``. It does not wait for open transactions."""
        await get_broker().apublish(self._removal(key))

    def _removal(self, key: str) -> Envelope:
        keyed = self._keyed(key, latest_of(self.name), is_removed=True)
        return _make_envelope(self._group, Payload("null"), is_json=True, keyed=keyed)

    def _keyed(self, key: Any, latest: Latest | None, *, is_removed: bool = False) -> Keyed | None:
        """What makes a broadcast one of a keyed room; None in any other.

        Raises:
            TypeError, ValueError: there is a key and should be none, or the other way round, or it is none.
        """
        if latest is None:
            if key is None and not is_removed:
                return None
            raise TypeError(f"room {self.name!r} has no keys: declare it, app.room(..., latest=Latest())")
        if key is None and not is_removed:
            raise TypeError(f"room {self.name!r} is keyed: say whose value it is, broadcast(data, key=...)")
        check_key(key, "remove()" if is_removed else "broadcast()")
        return Keyed(key, is_removed, latest)

    # History

    def history(
        self,
        limit: int = HISTORY_EVENTS,
        *,
        before: Position | str | None = None,
        after: Position | str | None = None,
    ) -> list[Stored]:
        """Events that the room's history keeps, the oldest first, from sync code.

        Args:
            limit: how many at most: the newest; with a position, those that are next to it.
            before, after: positions, which are not included; with both, those next to ``after``.
        Raises:
            HistoryUnavailable: the room or the channel layer has no history, or a position is of another epoch.
            TypeError, ValueError: that is no limit, or no position.
            WebSocketStateError: this thread runs an event loop, which would be blocked; await ahistory() there.
            WebSocketConnectionError: the channel layer cannot be reached.
        """
        check_no_loop("Room.history()", "room.ahistory(...)")
        reader = self._reader()
        query = reader.query(limit, before, after)
        return reader.stored(reader.history.read(query), before, after)

    async def ahistory(
        self,
        limit: int = HISTORY_EVENTS,
        *,
        before: Position | str | None = None,
        after: Position | str | None = None,
    ) -> list[Stored]:
        """Events that the room's history keeps, the oldest first; see ``history()``."""
        reader = self._reader()
        query = reader.query(limit, before, after)
        return reader.stored(await reader.history.aread(query), before, after)

    def position(self) -> Position:
        """Position of the newest event, from which a client can go on: ``str(position)`` is its ``since``.

        Read it before what is shown with it: then nothing is missed between.

        Raises:
            HistoryUnavailable: the room or the channel layer has no history.
            WebSocketStateError: this thread runs an event loop, which would be blocked; await aposition() there.
            WebSocketConnectionError: the channel layer cannot be reached.
        """
        check_no_loop("Room.position()", "room.aposition()")
        page = self._reader().history.read(PageQuery(limit=0))
        return Position(page.epoch, page.top)

    async def aposition(self) -> Position:
        """Position of the newest event; see ``position()``."""
        page = await self._reader().history.aread(PageQuery(limit=0))
        return Position(page.epoch, page.top)

    def clear(self) -> None:
        """Forget the room's events, in every process, from sync code: its history begins anew, in another epoch.

        Members get the state again. It does not wait for open transactions; in the database it is part of them.

        Raises:
            HistoryUnavailable: the room or the channel layer has no history.
            WebSocketStateError: this thread runs an event loop, which would be blocked; await aclear() there.
            WebSocketConnectionError: the channel layer cannot be reached.
        """
        check_no_loop("Room.clear()", "room.aclear()")
        self._reader().history.clear()

    async def aclear(self) -> None:
        """Forget the room's events: its history begins anew, in another epoch; see ``clear()``."""
        await self._reader().history.aclear()

    def _reader(self) -> HistoryReader:
        return HistoryReader(self.name)

    def listen(self, *, limit: int = LISTENER_EVENTS) -> RoomListener:
        """Listen to the room from server code that is no socket.

            async with Room("tickets/5").listen() as events:
                async for event in events:
                    print(event.event, event.data)

        What is broadcast once the block is entered is heard, at most once, in order, with the event's name and the
        data as JSON has it; bytes, which have no JSON, are not. The oldest is dropped when too much waits:
        ``events.dropped`` counts.

        Args:
            limit: how many events may wait, at least 1.
        Raises:
            TypeError, ValueError: the limit is no number of events.
        """
        if isinstance(limit, bool) or not isinstance(limit, int):
            raise TypeError(f"listen(limit={limit!r}): the limit is a number of events")
        if limit < 1:
            raise ValueError(f"listen(limit={limit}): the limit is at least 1")
        return RoomListener(self.name, limit)

    def kick(
        self,
        *,
        user: Any = None,
        client: str | None = None,
        code: int = 4403,
        reason: str = "",
        on_commit: bool = True,
    ) -> None:
        """Remove a user, or one client, from the room, in every process, from sync code.

        Live members are told that they have left; sockets that joined are closed. It is no ban: who is kicked may
        come back at once, unless the room's rules or handlers refuse it. It does not wait for anything to be closed.

        Args:
            user: a user, or a primary key: all members of that user.
            client: the ``client_id`` of a live member, or the ``id`` of a socket.
            code, reason: as ``WebSocket.close`` takes them.
            on_commit: False kicks at once, whatever becomes of the transaction.
        Raises:
            TypeError, ValueError: neither or both are given, it is no user, or the code or reason cannot be sent.
            WebSocketStateError: this thread runs an event loop, which would be blocked; await akick() there.
            WebSocketConnectionError: the channel layer cannot be reached. (Logged, not raised, after a commit.)
        """
        check_no_loop("Room.kick()", "room.akick(...)")
        envelope = self._kick(user, client, code, reason)
        publish_sync(envelope, f"Kicking from room {self.name!r}", logger, on_commit=on_commit)

    async def akick(self, *, user: Any = None, client: str | None = None, code: int = 4403, reason: str = "") -> None:
        """Remove a user, or one client, from the room, in every process; see ``kick()``.

        It does not wait for open transactions.
        """
        await get_broker().apublish(self._kick(user, client, code, reason))

    def _kick(self, user: Any, client: Any, code: int, reason: str) -> Envelope:
        if (user is None) == (client is None):
            raise TypeError("kick() takes user= or client=, and one of them")
        if client is not None and (not isinstance(client, str) or not client):
            raise TypeError(f"kick(client={client!r}): that is no id of a client")
        check_close(code, reason)
        key = "" if user is None else key_of(user, "kick")
        return encode_kick(self._group, Kick(key, client or "", code, reason))

    def _envelope(
        self,
        data: Data,
        event: str | None,
        exclude: HasId | str | None,
        idempotency_key: str | None,
        key: str | None,
        *,
        is_volatile: bool,
    ) -> Envelope:
        if event is not None:
            check_event(event, "broadcast()")
        history = latest = None
        if (find := declarations.find) is not None and (declared := find(self.name)) is not None:
            declared.check_broadcast(self.name, event, data)
            latest = declared.latest
            if not is_volatile:
                history = declared.history
        if idempotency_key is not None:
            _check_key(idempotency_key, self.name, history)
        is_json = not isinstance(data, (str, bytes, bytearray, memoryview))
        if is_json and event is None:
            event = getattr(data, "__fastws_event__", None)
        return _make_envelope(
            self._group,
            encode(data),
            _member_id(exclude),
            is_json=is_json,
            event=event,
            is_volatile=is_volatile,
            history=history,
            idempotency_key=idempotency_key,
            keyed=None if key is None and latest is None else self._keyed(key, latest),
        )

    def __repr__(self) -> str:
        return f"Room({self.name!r})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Room) and self.name == other.name

    def __hash__(self) -> int:
        return hash((Room, self.name))


def _check_key(key: Any, room: str, history: History | None) -> None:
    if not isinstance(key, str):
        raise TypeError(f"idempotency_key={key!r}: a key is a str")
    if not key:
        raise ValueError("idempotency_key='': the key is empty")
    if history is None:
        raise HistoryUnavailable(
            f"a broadcast to {room!r} with an idempotency key is not stored, and so could not be told from another: "
            "declare the room with a history, and do not send it volatile"
        )


def _member_id(exclude: Any) -> str | None:
    if isinstance(exclude, str):
        exclude.encode()  # as for any other text that has no UTF-8, a ValueError, and on every layer
    if exclude is None or isinstance(exclude, str):
        return exclude
    # The page of a live socket, which may have reconnected meanwhile, and its owner; else the socket.
    member_id = getattr(exclude, "_excluded_as", None) or getattr(exclude, "id", None)
    if not isinstance(member_id, str):
        raise TypeError(f"exclude takes a WebSocket or its id, not {type(exclude).__name__}")
    return member_id
