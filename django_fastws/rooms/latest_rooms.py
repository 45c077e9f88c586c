"""Keyed rooms in an event loop: each key is sent at most so often, and its last value always."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from itertools import islice

from .._core.envelope import Envelope
from .._core.json import dumps
from .._core.latest import Keyed, Latest
from .._core.latest_values import LatestValues
from .._core.messages import Payload
from ..exceptions import WebSocketConnectionError
from ..layer import get_broker
from ..tasks import BackgroundTasks
from .declared import latest_of

__all__ = ["LatestRoom", "LatestRooms", "encode_values"]

logger = logging.getLogger("django_fastws.rooms")

_MOST_REMOVED = 1000  # keys of which it is remembered that they were removed
_UNKNOWN = -1  # number of a change that any other is newer than

_checks = BackgroundTasks(logger)


def encode_values(values: LatestValues) -> bytes:
    """The values as JSON, by key."""
    parts = [b"%b:%b" % (dumps(key), _json(envelope)) for key, envelope in values.values.items()]
    return b"{%b}" % b",".join(parts)


def _json(envelope: Envelope) -> bytes:
    data = envelope.data
    return data.encode() if envelope.is_json and isinstance(data, str) else dumps(data)


class LatestRoom:
    """Keyed room in one event loop: a value that comes too soon waits, and the next of its key takes its place.

    Args:
        group: of the room.
        latest: how often a key is sent.
        deliver: called with what is sent; must not raise.
    """

    __slots__ = ("_deliver", "_epoch", "_known", "_removed", "_sent", "_timer", "_waiting", "group", "latest", "top")

    def __init__(self, group: str, latest: Latest, deliver: Callable[[Envelope], None]) -> None:
        self.group = group
        self.latest = latest
        #: Number of the newest change that has come.
        self.top = 0
        self._deliver = deliver
        self._epoch = ""
        #: Numbers of the newest changes: of the keys that members have a value of, each with when it came, the oldest
        #: first, and of some of those that have none any more.
        self._known: dict[str, tuple[int, float]] = {}
        self._removed: dict[str, int] = {}
        #: When each key was sent last, by the loop's time, the oldest first.
        self._sent: dict[str, float] = {}
        self._waiting: dict[str, Envelope] = {}
        self._timer: asyncio.TimerHandle | None = None

    def receive(self, envelope: Envelope) -> None:
        """Take a value as it arrives: it is sent now, or when its key may be sent again."""
        keyed, interval = envelope.keyed, self.latest.interval
        assert keyed is not None
        key, loop = keyed.key, asyncio.get_running_loop()
        now = loop.time()
        if not self._is_newer(envelope, keyed, now):
            return
        if not interval:
            self._deliver(envelope)
            return
        due = self._sent.get(key, -math.inf) + interval
        if now >= due:
            self._send(key, envelope, now)
        else:
            self._waiting[key] = envelope
            if self._timer is None:
                self._timer = loop.call_at(due, self._send_due)

    def _is_newer(self, envelope: Envelope, keyed: Keyed, now: float) -> bool:
        """Whether a value is newer than what has come of its key: threads may deliver in another order than keep."""
        position, known = envelope.position, self._known
        if position is None:
            return True
        if position.epoch != self._epoch:
            self._begin(position.epoch)
        key, number = keyed.key, position.offset
        if number <= max(known.get(key, (_UNKNOWN,))[0], self._removed.get(key, _UNKNOWN)):
            return False
        self.top = max(self.top, number)
        known.pop(key, None)
        self._removed.pop(key, None)
        if keyed.is_removed:
            self._removed[key] = number
            if len(self._removed) > _MOST_REMOVED:
                del self._removed[next(iter(self._removed))]
        else:
            known[key] = number, now
            for oldest, (_, came) in list(islice(known.items(), 2)):
                if now > came + self.latest.seconds:
                    del known[oldest]
        return True

    def _begin(self, epoch: str) -> None:
        """The numbers of changes are others from now on; members have the values that they have."""
        self._epoch, self.top = epoch, 0
        for key, (_, came) in self._known.items():
            self._known[key] = _UNKNOWN, came
        self._removed.clear()

    def _send(self, key: str, envelope: Envelope, now: float) -> None:
        sent = self._sent
        self._waiting.pop(key, None)
        sent.pop(key, None)
        sent[key] = now
        for oldest, at in list(islice(sent.items(), 2)):
            if now >= at + self.latest.interval:
                del sent[oldest]
        self._deliver(envelope)

    def _send_due(self) -> None:
        """Send the values that have waited long enough."""
        loop, interval = asyncio.get_running_loop(), self.latest.interval
        now = loop.time()
        self._timer = None
        for key, envelope in list(self._waiting.items()):
            if now >= self._sent.get(key, -math.inf) + interval:
                self._send(key, envelope, now)
        if self._waiting:
            due = min(self._sent.get(key, now) for key in self._waiting) + interval
            self._timer = loop.call_at(due, self._send_due)

    def seen(self, values: LatestValues) -> None:
        """A member begins with these values: none that is older, and waits or is on its way, comes behind them."""
        known, now = self._known, asyncio.get_running_loop().time()
        if values.position.epoch != self._epoch:
            self._begin(values.position.epoch)
        for key, envelope in values.values.items():
            before = _UNKNOWN if envelope.position is None else envelope.position.offset - 1
            if key not in known or known[key][0] < before:  # others have not had it, so it is sent when it arrives
                known.pop(key, None)
                known[key] = before, now
        for key in list(self._waiting):
            if (newest := values.values.get(key)) is not None:
                self.receive(newest)

    def found(self, values: LatestValues, top: int) -> None:
        """The values were read, for some may have been missed: take those that are not known, and what is gone.

        Args:
            top: that of this room when the reading began; if the values do not go so far, the layer has lost changes.
        """
        epoch, read = values.position
        if epoch != self._epoch or read < top:
            self._begin(epoch)
        for envelope in values.values.values():
            self.receive(envelope)
        # What has come meanwhile is newer than what was read.
        for key in [key for key, (number, _) in self._known.items() if number <= read and key not in values.values]:
            gone = Envelope.broadcast(self.group, Payload("null"), is_json=True, keyed=Keyed(key, True, None))
            gone.position = values.position
            self.receive(gone)

    def close(self) -> None:
        """The room has no members here any more."""
        if self._timer is not None:
            self._timer.cancel()


class LatestRooms:
    """Keyed rooms of one event loop that have members there.

    Args:
        deliver: called with what is sent to the members of a room; must not raise.
    """

    def __init__(self, deliver: Callable[[Envelope], None]) -> None:
        self._deliver = deliver
        self._rooms: dict[str, LatestRoom] = {}
        self._check: asyncio.Task[None] | None = None
        #: Groups of which values may have been missed.
        self._unchecked: set[str] = set()

    def begin(self, group: str, name: str) -> None:
        """A room is about to have its first member here."""
        latest = latest_of(name)
        if latest is not None:
            self._rooms[group] = LatestRoom(group, latest, self._deliver)

    def end(self, group: str) -> None:
        """A room has no members here any more."""
        room = self._rooms.pop(group, None)
        if room is not None:
            room.close()

    def receive(self, envelope: Envelope) -> bool:
        """Take a value as it arrives; False if its room is not keyed here."""
        room = self._rooms.get(envelope.room)
        if room is None:
            return False
        room.receive(envelope)
        return True

    def seen(self, group: str, values: LatestValues) -> None:
        """A member of a room begins with these values."""
        room = self._rooms.get(group)
        if room is not None:
            room.seen(values)

    def check_all(self) -> None:
        """Read the values of all rooms: some may have been missed."""
        self._unchecked |= self._rooms.keys()
        if self._check is None and self._rooms and get_broker().has_history:
            self._check = _checks.start(self._check_all())

    async def _check_all(self) -> None:
        try:
            while self._unchecked:
                room = self._rooms.get(self._unchecked.pop())
                if room is not None:
                    top = room.top
                    values = await get_broker().aread_latest(room.group, room.latest)
                    if self._rooms.get(room.group) is room:
                        room.found(values, top)
        except WebSocketConnectionError as error:  # all are checked when the layer is back
            logger.debug("Values of keyed rooms cannot be read: %s", error)
        finally:
            self._check = None
