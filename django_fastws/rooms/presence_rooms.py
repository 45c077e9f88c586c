"""Rooms with presence that have live members in an event loop: who is present there, and what members are told."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
from collections import deque
from collections.abc import Callable, Mapping
from contextvars import Context

from .._core.groups import group_name
from .._core.json import dumps
from .._core.presence_payloads import PresencePayload, count_part, diff_part, present_part
from .._core.presence_reports import ChangeKind, PresenceDiff, PresenceSnapshot, PresentKey
from .._core.present import Presence
from ..conf import conf
from ..exceptions import WebSocketConnectionError
from ..layer import get_broker
from .declared import pattern_of, presence_of
from .presence_reading import aread_presence
from .presence_reporter import current_presence

__all__ = ["PresenceRoom", "PresenceRooms"]

logger = logging.getLogger("django_fastws.rooms")

_MOST_RECENT = 256  # diffs of which it is known what they have changed
_REACH_SECONDS = 2.0  # for a diff to arrive that the layer has published; then who is present is read
_ANEW_SECONDS = 1.0  # in which all processes report again, to a layer that was away and may have lost everything
_READINGS = 2  # the first may have begun before the diff


class PresenceRoom:
    """Who is present in one room, as this event loop knows it: read once, and kept up to date by the diffs.

    A hole in the numbers of the diffs is filled by reading again.

    Args:
        name: of the room.
        presence: its declaration.
        deliver: called with what its members are told; must not raise.
    """

    __slots__ = (
        "_before",
        "_changes",
        "_deliver",
        "_early",
        "_encoded",
        "_is_over",
        "_keys",
        "_must_read",
        "_part",
        "_reached",
        "_reading",
        "_recent",
        "_settling",
        "_timer",
        "_told",
        "_total",
        "_was_read",
        "counts_only",
        "name",
        "v",
    )

    def __init__(self, name: str, presence: Presence, deliver: Callable[[PresencePayload], None]) -> None:
        self.name = name
        self.counts_only = presence.counts_only
        #: Number of the newest diff that is known here; None before anything is.
        self.v: int | None = None
        self._deliver = deliver
        self._encoded = dumps(name)
        self._total = 0
        self._keys: dict[str, PresentKey] = {}
        self._recent: deque[tuple[int, Mapping[str, ChangeKind]]] = deque(maxlen=_MOST_RECENT)
        #: What members have not been told yet: kinds by key; and the total that they were told last.
        self._changes: dict[str, str] = {}
        #: As they were when members were told last; whether somebody has begun with something else meanwhile.
        self._before: dict[str, PresentKey | None] = {}
        self._was_read = False
        self._told: int | None = None
        self._timer: asyncio.TimerHandle | None = None
        #: Until all have reported again to a layer that was away.
        self._settling: asyncio.TimerHandle | None = None
        self._reading: asyncio.Task[None] | None = None
        self._must_read = False
        #: What has arrived during the reading, and is newer than what it may find.
        self._early: list[PresenceDiff] = []
        #: Set when the newest diff is another one.
        self._reached = asyncio.Event()
        self._part = b""
        self._is_over = False

    # What the layer says

    def receive(self, diff: PresenceDiff) -> None:
        """Take a diff as it arrives."""
        if self.v is not None and diff.v <= self.v:
            return
        if self.counts_only:
            self._count(diff)  # also before the first join is answered, which may know of an older one
        elif self.v is not None and diff.v == self.v + 1:
            self._apply(diff)
        elif self._reading is not None:
            self._early.append(diff)
        elif self.v is not None and self._settling is None:
            self._start_reading()

    def _count(self, diff: PresenceDiff) -> None:
        if self.v is None:
            self._told = diff.total
        self._advance(diff.v, diff.total)
        self._tell_later()

    def _apply(self, diff: PresenceDiff) -> None:
        for kind, key, present in diff.changes:
            self._note(key, kind)
            if kind == "left":
                self._keys.pop(key, None)
                current_presence().lost(self.name, key)
            else:
                self._keys[key] = present
        self._recent.append((diff.v, {change.key: change.kind for change in diff.changes}))
        self._advance(diff.v, diff.total)
        self._tell_later()

    def _note(self, key: str, kind: str) -> None:
        """A key is about to change."""
        self._before.setdefault(key, self._keys.get(key))
        if kind == "changed" and self._changes.get(key) == "joined":
            return  # still new to the members
        self._changes[key] = kind

    def _advance(self, v: int, total: int) -> None:
        self.v, self._total, self._part = v, total, b""
        self._reached.set()
        self._reached = asyncio.Event()

    def _found(self, snapshot: PresenceSnapshot, before: int | None) -> None:
        """Who is present was read: members are told what is new to them.

        Args:
            before: the newest diff that was known when the reading began.
        """
        if before is not None and snapshot.v < before:
            self._began_anew(snapshot)
            return
        if self.v is not None and snapshot.v < self.v:
            return  # diffs have come meanwhile
        is_first = self.v is None
        if not is_first:
            for key in self._keys.keys() - snapshot.keys.keys():
                self._note(key, "left")
            for key, present in snapshot.keys.items():
                known = self._keys.get(key)
                if _differ(known, present):
                    self._note(key, "joined" if known is None else "changed")
        self._take(snapshot)
        if is_first:
            self._told = self._total
        else:
            self._tell_later()

    def _began_anew(self, snapshot: PresenceSnapshot) -> None:
        """The layer has lost its newest diffs, and gives their numbers again: members begin with the snapshot."""
        self._changes.clear()
        self._before.clear()
        self._take(snapshot)
        self._told = self._total
        self._deliver(self.payload())

    def _take(self, snapshot: PresenceSnapshot) -> None:
        self._keys = dict(snapshot.keys)
        self._recent = deque(snapshot.recent, maxlen=_MOST_RECENT)
        self._advance(snapshot.v, snapshot.total)

    # Reading

    def restored(self) -> None:
        """The layer was away: read who is present, in a moment.

        What is read at once may have none of those whose processes have not reported again yet.
        """
        if self._settling is None and self.v is not None:
            loop = asyncio.get_running_loop()
            self._settling = loop.call_later(_ANEW_SECONDS, self._has_settled, context=Context())

    def _has_settled(self) -> None:
        self._settling = None
        self.check()

    def check(self) -> None:
        """Read who is present, once more if that is going on: diffs may have been missed."""
        if self._reading is None:
            self._start_reading()
        else:
            self._must_read = True

    def _start_reading(self) -> asyncio.Task[None]:
        if self._reading is None:
            self._must_read = False
            self._reading = asyncio.get_running_loop().create_task(self._read(), context=Context())
            self._reading.add_done_callback(self._has_read)
        return self._reading

    def _has_read(self, reading: asyncio.Task[None]) -> None:
        self._reading = None
        early, self._early = self._early, []
        if reading.cancelled():
            return
        if not self._must_read:
            for diff in early:
                self.receive(diff)
        if (error := reading.exception()) is None:
            if self._must_read:
                self._start_reading()
        elif isinstance(error, WebSocketConnectionError):  # all are checked when the layer is back
            logger.debug("Who is present cannot be read: %s", error)
        else:
            fields = {"room": pattern_of(self.name)}
            logger.error("Who is present could not be read in room %.200r", self.name, exc_info=error, extra=fields)

    async def _read(self) -> None:
        before = self.v
        snapshot = await aread_presence(self.name, counts_only=self.counts_only)
        self._found(snapshot, before)
        if not self.counts_only:
            current_presence().check(self.name, snapshot.keys)

    async def reach(self, diff: PresenceDiff) -> None:
        """Wait until a diff is known that the layer has published, and all before it; or the room has no members.

        Raises:
            WebSocketConnectionError: the layer cannot be reached.
        """
        if self.counts_only:
            if self.v is None or self.v < diff.v:
                self._count(diff)
            return
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_REACH_SECONDS):
                while not self._is_over and self.v is not None and self.v < diff.v:
                    await self._reached.wait()
        for _ in range(_READINGS):
            if self._is_over or (self.v is not None and self.v >= diff.v):
                return
            reading = self._start_reading()
            await asyncio.wait([reading])  # whoever gives up leaves it to the others
            if not self._is_over:
                reading.result()

    # What members are told

    def _tell_later(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(conf.presence_diff_seconds, self._tell, context=Context())

    def _tell(self) -> None:
        """Tell the members what has changed since they were told last."""
        self._timer = None
        if self._settling is not None:
            self._tell_later()
            return
        changes, self._changes = self._changes, {}
        before, self._before = self._before, {}
        if not self._was_read:  # nobody has had what was for a moment
            changes = {key: kind for key, kind in changes.items() if _differ(before[key], self._keys.get(key))}
        self._was_read = False
        v = self.v or 0
        if self.counts_only:
            if self._total != self._told:
                self._told = self._total
                self._deliver(PresencePayload(self._encoded, count_part(self._total), v))
        elif changes:
            self._deliver(PresencePayload(self._encoded, self._diff(changes, v), v))

    def _diff(self, changes: Mapping[str, str], v: int) -> bytes:
        def of(kind: str) -> dict[str, PresentKey]:
            return {key: self._keys[key] for key, one in changes.items() if one == kind and key in self._keys}

        left = [key for key in changes if key not in self._keys]
        return diff_part(of("joined"), left, of("changed"), v)

    def part(self, since: int | None = None) -> bytes:
        """Who is present, for the answer of a join; or what has changed since a diff, if that is known.

        Args:
            since: number of the newest diff that the client has had.
        """
        if self.counts_only:
            if self._total != self._told:
                self._told = None  # who gets it is told of the next, also if that is what the others had last
            return count_part(self._total)
        v = self.v or 0
        self._was_read = True
        if since is not None and (changes := self._changes_since(since)) is not None:
            return self._diff(changes, v)
        if not self._part:
            self._part = present_part(self._keys, v)
        return self._part

    def _changes_since(self, since: int) -> dict[str, str] | None:
        """Kinds by key of what has changed since a diff; None where that is not known."""
        if since == self.v:
            return {}
        if not self._recent or not self._recent[0][0] - 1 <= since < self._recent[-1][0]:
            return None
        changes: dict[str, str] = {}
        for v, kinds in self._recent:
            if v > since:
                for key, kind in kinds.items():
                    changes.setdefault(key, kind)
        # The first change says whether the client knew of somebody.
        return {key: "joined" if kind == "joined" else "changed" for key, kind in changes.items()}

    def payload(self) -> PresencePayload:
        """Who is present, for a member that has missed what has changed."""
        return PresencePayload(self._encoded, self.part(), self.v or 0)

    def close(self) -> None:
        """The room has no live members here any more."""
        self._is_over = True
        self._reached.set()
        for timer in (self._timer, self._settling):
            if timer is not None:
                timer.cancel()
        if self._reading is not None:
            self._reading.cancel()


def _differ(one: PresentKey | None, other: PresentKey | None) -> bool:
    if one is None or other is None:
        return one is not other
    return (one.meta, one.connections) != (other.meta, other.connections)


class PresenceRooms:
    """Rooms with presence of one event loop that have members there.

    Args:
        deliver: called with the group of a room, and what its live members are told; must not raise.
    """

    def __init__(self, deliver: Callable[[str, PresencePayload], None]) -> None:
        self._deliver = deliver
        self._rooms: dict[str, PresenceRoom] = {}

    def begin(self, group: str, name: str) -> None:
        """A room is about to have its first member here."""
        presence = presence_of(name)
        if presence is not None and get_broker().presence is not None:
            self._rooms[group] = PresenceRoom(name, presence, functools.partial(self._deliver, group))

    def end(self, group: str) -> None:
        """A room has no members here any more."""
        room = self._rooms.pop(group, None)
        if room is not None:
            room.close()

    def find(self, name: str) -> PresenceRoom | None:
        """The room of a name; None if it has no presence, or no members here."""
        return self._rooms.get(group_name(name))

    def receive(self, group: str, diff: PresenceDiff) -> None:
        """Take a diff as it arrives for a group."""
        room = self._rooms.get(group)
        if room is not None:
            room.receive(diff)

    def restored(self) -> None:
        """The layer was away: diffs may have been missed."""
        for room in self._rooms.values():
            room.restored()
