"""Keyed rooms in an event loop: each key is sent at most so often, and its last value always."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

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
_PRUNED = 1000  # keys, from which on it is looked which of them need not be known any more

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

    __slots__ = ("_deliver", "_epoch", "_known", "_removed", "_sent", "_timer", "_waiting", "group", "latest")

    def __init__(self, group: str, latest: Latest, deliver: Callable[[Envelope], None]) -> None:
        self.group = group
        self.latest = latest
        self._deliver = deliver
        self._epoch = ""
        #: Numbers of the newest changes: of the keys that have a value, and of some of those that have none any more.
        self._known: dict[str, int] = {}
        self._removed: dict[str, int] = {}
        #: When each key was sent last, by the loop's time.
        self._sent: dict[str, float] = {}
        self._waiting: dict[str, Envelope] = {}
        self._timer: asyncio.TimerHandle | None = None

    def receive(self, envelope: Envelope) -> None:
        """Take a value as it arrives: it is sent now, or when its key may be sent again."""
        keyed, interval = envelope.keyed, self.latest.interval
        assert keyed is not None
        key = keyed.key
        if not self._is_newer(envelope, keyed):
            return
        if not interval:
            self._deliver(envelope)
            return
        now = asyncio.get_running_loop().time()
        due = self._sent.get(key, now - interval) + interval
        if now >= due:
            self._send(key, envelope, now)
        else:
            self._waiting[key] = envelope
            if self._timer is None:
                self._timer = asyncio.get_running_loop().call_at(due, self._send_due)

    def _is_newer(self, envelope: Envelope, keyed: Keyed) -> bool:
        """Whether a value is newer than what has come of its key: threads may deliver in another order than keep."""
        position = envelope.position
        if position is None:
            return True
        if position.epoch != self._epoch:
            self._epoch = position.epoch
            self._known.clear()
            self._removed.clear()
        key, number = keyed.key, position.offset
        if number <= max(self._known.get(key, 0), self._removed.get(key, 0)):
            return False
        if keyed.is_removed:
            self._known.pop(key, None)
            self._removed.pop(key, None)
            self._removed[key] = number
            if len(self._removed) > _MOST_REMOVED:
                del self._removed[next(iter(self._removed))]
        else:
            self._removed.pop(key, None)
            self._known[key] = number
        return True

    def _send(self, key: str, envelope: Envelope, now: float) -> None:
        self._waiting.pop(key, None)
        if len(self._sent) >= _PRUNED and key not in self._sent:
            oldest = now - self.latest.interval
            self._sent = {one: sent for one, sent in self._sent.items() if sent > oldest}
        self._sent[key] = now
        self._deliver(envelope)

    def _send_due(self) -> None:
        """Send the values that have waited long enough."""
        loop, interval = asyncio.get_running_loop(), self.latest.interval
        now = loop.time()
        self._timer = None
        for key, envelope in list(self._waiting.items()):
            if now >= self._sent.get(key, 0.0) + interval:
                self._send(key, envelope, now)
        if self._waiting:
            due = min(self._sent.get(key, 0.0) for key in self._waiting) + interval
            self._timer = loop.call_at(due, self._send_due)

    def found(self, values: LatestValues) -> None:
        """The values were read, for some may have been missed: take those that are not known, and what is gone."""
        known, self._epoch = self._known, ""
        self._known, self._removed = {}, {}
        for key, envelope in values.values.items():
            position = envelope.position
            if position is not None and known.get(key) == position.offset and key not in self._waiting:
                self._epoch = position.epoch
                self._known[key] = position.offset
            else:
                self.receive(envelope)
        for key in known:
            if key not in values.values:
                gone = Envelope.broadcast(self.group, Payload("null"), is_json=True, keyed=Keyed(key, True, None))
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

    def check_all(self) -> None:
        """Read the values of all rooms: some may have been missed."""
        if self._check is None and self._rooms and get_broker().has_history:
            self._check = _checks.start(self._check_all())

    async def _check_all(self) -> None:
        try:
            for room in list(self._rooms.values()):
                values = await get_broker().aread_latest(room.group, room.latest)
                if self._rooms.get(room.group) is room:
                    room.found(values)
        except WebSocketConnectionError as error:  # it is asked again when the layer is back
            logger.debug("Values of keyed rooms cannot be read: %s", error)
        finally:
            self._check = None
