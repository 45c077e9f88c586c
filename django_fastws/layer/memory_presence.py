"""Presence in the memory of this process, for the broker that ends at the process."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Collection, Iterator, Mapping, Sequence
from itertools import islice

from .._core.forks import reset_in_child
from .._core.presence_leases import LAST_SEEN_SECONDS, PresenceLeases
from .._core.presence_reports import PresenceBeat, PresenceDiff, PresenceReport, PresenceSnapshot, Reported
from .._core.presence_roll import EMPTY_SECONDS, PresenceRoll, chunks, joined_reports
from ..clock import process_clock
from .presence_store import PresenceStore

__all__ = ["MemoryPresence"]

_SWEPT = 4  # rooms and users that are looked at for each one that is used


class _MemoryUser:
    """A user: since when by process, and when it was seen last; by the clock."""

    __slots__ = ("last", "processes")

    def __init__(self) -> None:
        self.processes: dict[str, float] = {}
        self.last: float | None = None


class MemoryPresence(PresenceStore):
    """Who is present, in the memory of this process; any thread may use it.

    Args:
        publish: called with the name of the room and the diff of each change; must not raise.
        clock: the seconds since the epoch.
    """

    def __init__(
        self, publish: Callable[[str, PresenceDiff], object], clock: Callable[[], float] = process_clock.time
    ) -> None:
        self._publish, self._clock = publish, clock
        self._last_v = 0
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Begin anew in a forked child: another thread of the parent may have held the lock."""
        self._lock = threading.Lock()
        self._empty()

    def forget(self) -> None:
        """Forget all that was reported, and every lease."""
        with self._lock:
            self._empty()

    def _empty(self) -> None:
        self._leases = PresenceLeases()
        #: Each with when it is forgotten, by the clock, for nobody is there; None as long as somebody is.
        self._rolls: OrderedDict[str, tuple[PresenceRoll, float | None]] = OrderedDict()
        self._rooms: dict[str, set[str]] = {}
        self._users: OrderedDict[str, _MemoryUser] = OrderedDict()

    # Rooms

    async def areport(self, room: str, process: str, reports: Sequence[PresenceReport]) -> Reported:
        parts = []
        with self._lock:
            self._leases.expect_burial(process, self._now_ms())
            for chunk in chunks(reports):
                roll = self._roll(room)
                part = roll.report(process, chunk, int(self._clock() * 1e6), self._first_v())
                parts.append(part)
                self._used(room, roll)
            if roll.has(process):
                self._rooms.setdefault(process, set()).add(room)
            else:
                self._forget_room(process, room)
        for part in parts:
            if part.diff.changes:
                self._publish(room, part.diff)
        return joined_reports(parts)

    async def aread(self, room: str, *, counts_only: bool = False, without: Collection[str] = ()) -> PresenceSnapshot:
        return self.read(room, counts_only=counts_only, without=without)

    def read(self, room: str, *, counts_only: bool = False, without: Collection[str] = ()) -> PresenceSnapshot:
        with self._lock:
            roll, leases = self._roll(room), self._leases
            dead = leases.over(leases.leases if counts_only else roll.processes, self._now_ms())
            return roll.snapshot(dead, counts_only=counts_only, without=without)

    def _roll(self, room: str) -> PresenceRoll:
        found = self._rolls.get(room)
        return PresenceRoll() if found is None else found[0]

    def _used(self, room: str, roll: PresenceRoll) -> None:
        """Keep a room, for a while if nobody is there, and forget others whose while is over."""
        now, rolls = self._clock(), self._rolls
        self._last_v = max(self._last_v, roll.v)
        if roll.v:
            rolls[room] = roll, None if roll.total else now + EMPTY_SECONDS
        for name in list(islice(rolls, _SWEPT)):
            ends = rolls[name][1]
            if ends is not None and ends <= now:
                del rolls[name]
            else:
                rolls.move_to_end(name)

    def _first_v(self) -> int:
        return max(int(self._clock() * 1e6), self._last_v + 1)

    def _now_ms(self) -> int:
        return int(self._clock() * 1000)

    def _forget_room(self, process: str, room: str) -> None:
        rooms = self._rooms.get(process)
        if rooms is not None:
            rooms.discard(room)
            if not rooms:
                del self._rooms[process]

    # Leases

    async def abeat(self, process: str, seconds: float) -> PresenceBeat:
        with self._lock:
            return self._leases.beat(process, max(1, round(seconds * 1000)), self._now_ms())

    async def arest(self, process: str, seconds: float) -> None:
        with self._lock:
            self._leases.rest(process, max(0, round(seconds * 1000)), self._now_ms())

    async def abury(self, process: str) -> AsyncIterator[tuple[str, PresenceDiff]]:
        for room, diff in self.bury(process):
            yield room, diff
            await asyncio.sleep(0)

    def bury(self, process: str) -> Iterator[tuple[str, PresenceDiff]]:
        with self._lock:
            renewed = self._leases.begin_burial(process, self._now_ms())
        while renewed is not None:
            with self._lock:
                room = next(iter(self._rooms.get(process, ())), None)
                if room is None:
                    self._leases.end_burial(process)
                    return
                roll = self._roll(room)
                keys = roll.keys_of(process)
                for key in keys:
                    self._lose_user(key, process, renewed / 1000)
                diff = roll.take_back(process, keys, self._first_v())
                self._used(room, roll)
                if not roll.has(process):
                    self._forget_room(process, room)
            if diff.changes:
                self._publish(room, diff)
                yield room, diff

    async def aforget(self, room: str, process: str) -> None:
        with self._lock:
            self._rolls.pop(room, None)
            self._rooms.pop(process, None)
            self._leases.forget(process)

    # Users

    async def areport_users(self, process: str, users: Mapping[str, float | None]) -> None:
        with self._lock:
            now = self._clock()
            for key, ago in users.items():
                user = self._users.get(key)
                if user is None:
                    user = self._users[key] = _MemoryUser()
                if ago is None:
                    user.processes[process] = now
                else:
                    user.processes.pop(process, None)
                    user.last = max(user.last or 0.0, now - ago)
                self._users.move_to_end(key)
            for key in list(islice(self._users, _SWEPT)):
                user = self._users[key]
                if not user.processes and (user.last or 0.0) < now - LAST_SEEN_SECONDS:
                    del self._users[key]

    def _lose_user(self, key: str, process: str, renewed: float) -> None:
        user = self._users.get(key)
        if user is not None and user.processes.pop(process, None) is not None:
            user.last = max(user.last or 0.0, renewed)

    async def aonline(self, users: Sequence[str]) -> set[str]:
        return self.online(users)

    def online(self, users: Sequence[str]) -> set[str]:
        with self._lock:
            return {key for key in users if self._is_online(key)}

    def _is_online(self, key: str) -> bool:
        user, leases = self._users.get(key), self._leases
        return user is not None and any(leases.is_alive(process, self._now_ms()) for process in user.processes)

    async def alast_seen(self, user: str) -> float | None:
        return self.last_seen(user)

    def last_seen(self, user: str) -> float | None:
        with self._lock:
            now, found = self._clock(), self._users.get(user)
            if found is None:
                return None
            return self._leases.last_seen(found.processes, found.last, now)
