"""JoinedRoom: a live room as one client of a test sees it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

from ..exceptions import LiveError
from .live_connection import LiveConnection, RoomEnd
from .mailbox import Mailbox
from .matching import Where
from .received_event import Left, ReceivedEvent
from .seen_presence import PresentOne, ReceivedPresence, SeenPresence

__all__ = ["JoinedRoom"]

NO_DATA: Any = object()


class JoinedRoom:
    """Live room that a client of a test has joined. ``LiveClient.join()`` makes it.

    Attributes:
        name: of the room.
        state: the latest state, of the last join or pushed since; None in a room that has none.
        latest: in a keyed room, the newest value of each key, of the state and of what was received since, taken or
            not.
        at: the position up to which everything was received, taken or not; None without history.
        recovered: whether the last join was answered with what was missed, instead of the state.
        left: how the server has taken this client out of the room; None while it has not.
    """

    def __init__(self, connection: LiveConnection, name: str) -> None:
        self.name = name
        self.state: Any = None
        self.latest: dict[str, Any] = {}
        self.at: str | None = None
        self.recovered = False
        self.left: Left | None = None
        self._connection = connection
        self._events: Mailbox[ReceivedEvent] = Mailbox()
        self._presence = SeenPresence()
        self._is_joined = False
        self._is_wanted = False
        connection.rooms[name] = RoomEnd(self._receive, self._lost, self._events, self._presence.changes)

    @property
    def joined(self) -> bool:
        """Whether the client is in the room, as far as it knows."""
        return self._is_joined

    @property
    def present(self) -> dict[str, PresentOne]:
        """Who is present, by key; kept up to date, and a dict of its own each time. Empty where nobody is told."""
        return dict(self._presence.people)

    @property
    def count(self) -> int | None:
        """How many are present, also in a room that only counts; None in one without presence."""
        return self._presence.count

    # Ask

    async def call(self, event: str, data: Any = NO_DATA, /, **fields: Any) -> Any:
        """Send an event, and wait for the answer.

        Args:
            event: its name.
            data: the payload: anything that has JSON, also a model. Without it, the other arguments are its fields.
        Raises:
            LiveError: it is answered with an error: ``.code``, ``.message``, ``.fields``, ``.retry_after``.
            TimeoutError: it is not answered within the client's ``timeout``, and was cancelled. The text has what was
                received instead.
            TypeError: its handler yields items, which are for ``stream()``.
            WebSocketDisconnect: the connection is closed.
        """
        return await self._connection.request(self._frame(event, data, fields), self._what(event))

    def stream(self, event: str, data: Any = NO_DATA, /, **fields: Any) -> AsyncIterator[Any]:
        """Send an event whose handler is a generator, and yield its items. Leaving the loop cancels it.

        Takes and raises what ``call()`` does; the time limit is of each item.
        """
        return self._connection.stream(self._frame(event, data, fields), self._what(event))

    async def send(self, event: str, data: Any = NO_DATA, /, **fields: Any) -> None:
        """Send an event that is not answered. Takes what ``call()`` does."""
        await self._connection.say(self._frame(event, data, fields))

    def _frame(self, event: str, data: Any, fields: dict[str, Any]) -> dict[str, Any]:
        if data is not NO_DATA and fields:
            raise TypeError(f"{event!r} has a payload and fields of one: {', '.join(fields)}; give one of them")
        return {"room": self.name, "event": event, "data": fields if data is NO_DATA else data}

    def _what(self, event: str) -> str:
        return f"{self.name}: {event!r}"

    # Hear

    async def next(
        self,
        event: str | None = None,
        *,
        key: str | None = None,
        where: Where | None = None,
        timeout: float | None = None,
    ) -> ReceivedEvent:
        """Wait for an event that was not taken yet, and take it. Others stay, for a later ``next()``.

        Args:
            event: its name; None takes the first of any. A state that comes without a join, because events were lost,
                is called "state"; in a room that has none, its data is None. A value of a keyed room is called
                "latest".
            key: in a keyed room, whose value it is; None takes the first of any.
            where: what its data must be like: a dict that it has in it, or a function that says whether it is.
            timeout: seconds; None is the client's.
        Raises:
            TimeoutError: it did not come in time. The text has what came and was not taken.
            LiveError: ``not_joined``: the client is not in the room any more.
            WebSocketDisconnect: the connection is closed.
        """
        return await self._connection.take_event(self._events, event, where, timeout, key=key, whose=f"{self.name}: ")

    async def receive_nothing(self, timeout: float = 0.1) -> bool:
        """Whether no event waits to be taken, and none comes for so many seconds. It is kept for ``next()``."""
        return await self._events.is_silent(timeout)

    async def next_presence(
        self,
        *,
        joined: Any = None,
        left: Any = None,
        changed: Any = None,
        count: int | None = None,
        timeout: float | None = None,
    ) -> ReceivedPresence:
        """Wait for a change of who is present that was not taken yet, and take it. Others stay.

        Without arguments it is the next change, else the next that has all of what is asked for. The answer to a join
        is no change: it is in ``present``.

        Args:
            joined, left, changed: who has come, gone, or has another card or number of connections: a key or a user.
            count: how many are present then.
            timeout: seconds; None is the client's.
        Raises:
            TimeoutError: it did not come in time. The text has what came and was not taken.
            LiveError: ``not_joined``: the client is not in the room any more.
            WebSocketDisconnect: the connection is closed.
        """
        wanted = {"joined": joined, "left": left, "changed": changed}
        keys = {name: _key_of(one) for name, one in wanted.items() if one is not None}
        seconds = self._connection.timeout if timeout is None else timeout

        def is_wanted(change: ReceivedPresence) -> bool:
            return count in (None, change.count) and all(key in getattr(change, name) for name, key in keys.items())

        try:
            return await self._presence.changes.take(is_wanted, seconds)
        except TimeoutError:
            what = [f"{name}={key!r}" for name, key in keys.items()]
            if count is not None:
                what.append(f"count={count}")
            self._connection.late(f"{self.name}: no change of presence {' '.join(what)}".rstrip(), seconds)

    # Leave

    async def leave(self) -> None:
        """Leave the room; returns when the server has answered. Raises as ``call()``."""
        self._is_wanted = False
        await self._connection.request({"leave": self.name}, f"{self.name}: the leave", lambda ok: self._out("left"))

    async def wait_left(self, timeout: float | None = None) -> Left:
        """Wait until the server takes this client out of the room; returns how it did.

        Raises:
            TimeoutError: it did not, within so many seconds.
            WebSocketDisconnect: the connection is closed.
        """
        seconds = self._connection.timeout if timeout is None else timeout
        try:
            if self.left is None:
                await self._events.take(lambda received: False, seconds)
        except TimeoutError:
            self._connection.late(f"{self.name}: the client was not taken out", seconds)
        except LiveError:
            pass
        if self.left is None:
            raise LiveError("not_joined", f"{self.name}: the client has left by itself")
        return self.left

    # For the client

    async def _join(self, since: str | None, *, comes_back: bool = False) -> None:
        """Join, or join again; for ``LiveClient``.

        Args:
            comes_back: with the version of its presence, as a page does.
        """
        frame: dict[str, Any] = {"join": self.name}
        if since is not None:
            frame["since"] = since
        if comes_back and self._presence.version is not None:
            frame["v"] = self._presence.version
        self._is_wanted = False
        try:
            await self._connection.request(frame, f"{self.name}: the join", self._answered)
        except LiveError as error:
            self._reopen()
            self._out(f"the join was refused: {error}")
            raise

    def _answered(self, ok: dict[str, Any]) -> None:
        self._is_joined = self._is_wanted = True
        self.left = None
        self._reopen()
        self._presence.joined(ok)
        self.at, self.recovered = ok.get("at"), ok["recovered"]
        if not self.recovered:
            self._begin(ok.get("state"))

    def _begin(self, state: Any) -> None:
        self.state = state
        self.latest = dict(state) if isinstance(state, dict) else {}

    def _receive(self, frame: dict[str, Any]) -> bool:
        at = frame.get("at")
        if at is not None:
            self.at = at
        if "left" in frame:
            self.left = Left(frame["left"]["code"], frame["left"]["reason"])
            self._is_wanted = False
            self._out(f"taken out with {self.left.code} {self.left.reason}".rstrip())
        elif "state" in frame or frame.get("recovered") is False:
            self._begin(frame.get("state"))
            self._events.put(ReceivedEvent("state", self.state, at))
        elif "key" in frame:
            self._change(frame["key"], frame.get("data"), is_removed=frame.get("removed") is True)
        elif "event" in frame:
            self._events.put(ReceivedEvent(frame["event"], frame.get("data"), at, frame.get("from")))
        elif not self._presence.receive(frame):
            return at is not None  # only the position: of an event that was not for this client
        return True

    def _change(self, key: str, value: Any, *, is_removed: bool) -> None:
        if is_removed:
            self.latest.pop(key, None)
        else:
            self.latest[key] = value
        self._events.put(ReceivedEvent("latest", value, key=key, removed=is_removed))

    def _out(self, why: str) -> None:
        self._is_joined = False
        for mailbox in (self._events, self._presence.changes):
            mailbox.end(lambda: LiveError("not_joined", f"{self.name}: {why}"))

    def _reopen(self) -> None:
        self._events.reopen()
        self._presence.changes.reopen()

    def _lost(self) -> None:
        self._is_joined = False


def _key_of(who: Any) -> str:
    """The key of one who is present, who may be given as the user."""
    return str(getattr(who, "pk", who))
