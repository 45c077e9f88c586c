"""Attendances: who is present in the rooms of an event loop, connection by connection, and the grace of who has gone.

What a process reports of a key follows from them; ``presence_reporter.py`` reports it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextvars import Context

from .._core.presence_reports import PresenceConnection, PresenceReport
from .declared import pattern_of

__all__ = ["Attendance", "Attendances"]


class Attendance:
    """Presence of one connection in one room, from its join to its end.

    Attributes:
        room: its name.
        key: of the user, or of the anonymous client.
        connection: the id of the client, which several sockets may have while it reconnects; else of the socket.
        is_user: the key is that of a user.
        is_named: the connection is known by its id when it comes back.
        is_over: it has ended.
    """

    __slots__ = ("connection", "is_named", "is_over", "is_user", "key", "room")

    def __init__(self, room: str, key: str, connection: str, *, is_user: bool, is_named: bool) -> None:
        self.room = room
        self.key = key
        self.connection = connection
        self.is_user = is_user
        self.is_named = is_named
        self.is_over = False


class _Connection:
    """Connection of a key: its card, and the attendances that it has.

    Attributes:
        stamp: of the card, as the layer has given it; 0 until then.
        held_since: when the last attendance ended, by the loop's time; None while it has one.
    """

    __slots__ = ("attendances", "held_since", "meta", "stamp")

    def __init__(self) -> None:
        self.attendances: set[Attendance] = set()
        self.meta = b"null"
        self.stamp = 0
        self.held_since: float | None = None


class _Key:
    """Key that is present in a room here, by its connections; in its grace, by the last of them.

    Attributes:
        timer: ends the grace.
    """

    __slots__ = ("connections", "is_user", "timer")

    def __init__(self, *, is_user: bool) -> None:
        self.connections: dict[str, _Connection] = {}
        self.is_user = is_user
        self.timer: asyncio.TimerHandle | None = None

    def end_grace(self) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None


class Attendances:
    """Attendances of one event loop.

    Attributes:
        counts: how many keys are present here in rooms of each pattern.

    Args:
        changed: called with the room and the key where another report is due; must not raise.
        user_changed: called with the key of a user who is present in a first room, or not in any more, and how many
            seconds ago the last connection ended; must not raise.
    """

    def __init__(
        self, changed: Callable[[str, str], None], user_changed: Callable[[str, float | None], None]
    ) -> None:
        self._changed = changed
        self._user_changed = user_changed
        self._rooms: dict[str, dict[str, _Key]] = {}
        #: In how many rooms a user is present here.
        self._users: dict[str, int] = {}
        self.counts: dict[str, int] = {}

    def __len__(self) -> int:
        """Number of rooms."""
        return len(self._rooms)

    def __iter__(self) -> Iterator[tuple[str, str]]:
        """The rooms and keys that are present here."""
        return iter([(room, key) for room, keys in self._rooms.items() for key in keys])

    def keys_in(self, room: str) -> list[str]:
        """The keys that are present in a room here."""
        return list(self._rooms.get(room, ()))

    def users(self) -> list[str]:
        """The users who are present here."""
        return list(self._users)

    def enter(self, attendance: Attendance, meta: bytes) -> None:
        """An attendance begins, or shows another card.

        Args:
            meta: the card, as JSON.
        """
        keys = self._rooms.setdefault(attendance.room, {})
        key = keys.get(attendance.key)
        if key is None:
            key = keys[attendance.key] = _Key(is_user=attendance.is_user)
            self._count(attendance.room, 1)
            if attendance.is_user:
                self._count_user(attendance.key, 1, None)
        key.end_grace()
        connection = key.connections.get(attendance.connection)
        if connection is None:
            connection = key.connections[attendance.connection] = _Connection()
        for name, one in list(key.connections.items()):
            if one is not connection and one.held_since is not None:
                del key.connections[name]
        connection.attendances.add(attendance)
        connection.held_since = None
        connection.meta, connection.stamp = meta, 0
        self._changed(attendance.room, attendance.key)

    def is_open(self, room: str, name: str) -> bool:
        """Whether a key has a connection in a room here that has not ended."""
        key = self._rooms.get(room, {}).get(name)
        return key is not None and any(one.held_since is None for one in key.connections.values())

    def has(self, attendance: Attendance) -> bool:
        """Whether an attendance has begun, and is not over."""
        key = self._rooms.get(attendance.room, {}).get(attendance.key)
        connection = None if key is None else key.connections.get(attendance.connection)
        return connection is not None and attendance in connection.attendances

    def leave(self, attendance: Attendance, grace: float) -> None:
        """An attendance ends; the key is present for as long as the grace if it was the last. Idempotent.

        Nothing happens for one that has never begun.

        Args:
            grace: seconds.
        """
        if attendance.is_over:
            return
        attendance.is_over = True
        key = self._rooms.get(attendance.room, {}).get(attendance.key)
        connection = None if key is None else key.connections.get(attendance.connection)
        if key is None or connection is None or attendance not in connection.attendances:
            return
        connection.attendances.remove(attendance)
        if connection.attendances:
            return
        loop = asyncio.get_running_loop()
        if len(key.connections) > 1:
            del key.connections[attendance.connection]
        else:
            connection.held_since = loop.time()
            if grace <= 0:
                self._remove(attendance.room, attendance.key)
            else:
                # In no context: the one here is of some socket.
                key.timer = loop.call_later(grace, self._remove, attendance.room, attendance.key, context=Context())
        self._changed(attendance.room, attendance.key)

    def hold_unnamed(self) -> None:
        """The process drains: connections that will come back under another id are gone, and expected."""
        for room, keys in self._rooms.items():
            for name, key in keys.items():
                unnamed = [
                    one
                    for one in key.connections.values()
                    if one.held_since is None and not any(a.is_named for a in one.attendances)
                ]
                for one in unnamed:
                    one.held_since = asyncio.get_running_loop().time()
                if unnamed:
                    self._changed(room, name)

    def _remove(self, room: str, name: str) -> None:
        """A key is not present in a room here any more."""
        keys = self._rooms[room]
        key = keys.pop(name)
        key.end_grace()
        self._count(room, -1)
        if not keys:
            del self._rooms[room]
        if key.is_user:
            now = asyncio.get_running_loop().time()
            ended = max(now if one.held_since is None else one.held_since for one in key.connections.values())
            self._count_user(name, -1, now - ended)
        self._changed(room, name)

    def _count(self, room: str, step: int) -> None:
        pattern = pattern_of(room)
        self.counts[pattern] = self.counts.get(pattern, 0) + step

    def _count_user(self, user: str, step: int, seconds: float | None) -> None:
        count = self._users.get(user, 0) + step
        if count > 0:
            self._users[user] = count
        else:
            self._users.pop(user, None)
        if count == 0 or (count == 1 and step == 1):
            self._user_changed(user, seconds)

    def report(self, room: str, name: str) -> PresenceReport:
        """What is reported of a key in a room now."""
        key = self._rooms.get(room, {}).get(name)
        if key is None:
            return PresenceReport(name, (), is_user=False)
        connections = tuple(
            PresenceConnection(connection, one.stamp, one.meta, is_held=one.held_since is not None)
            for connection, one in key.connections.items()
        )
        return PresenceReport(name, connections, key.is_user)

    def reported(self, room: str, report: PresenceReport, stamp: int) -> None:
        """A report has been taken: cards that were new have this stamp, unless another was shown meanwhile."""
        key = self._rooms.get(room, {}).get(report.key)
        for id_, was, meta, _ in report.connections if key is not None else ():
            assert key is not None
            connection = key.connections.get(id_)
            if was == 0 and connection is not None and connection.stamp == 0 and connection.meta is meta:
                connection.stamp = stamp

    def forget(self) -> None:
        """Nobody is here any more, and nothing is reported of that."""
        self.close()
        self._rooms.clear()
        self._users.clear()
        self.counts.clear()

    def close(self) -> None:
        """End every grace: nothing runs any more."""
        for keys in self._rooms.values():
            for key in keys.values():
                key.end_grace()
