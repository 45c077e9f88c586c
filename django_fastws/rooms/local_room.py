"""Local room: the members of a room in this process and event loop, and the broadcasts that wait for them.

A room has up to two, one of the members that get its broadcasts as they are, one of those that get them as events.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Protocol

from .. import metrics
from .._core.envelope import Envelope
from .._core.exclusions import split_exclusion
from .._core.fanout import Broadcast, FanOut, Find
from .._core.json import dumps
from .._core.pacing import Pacing
from .._core.positions import Position
from .._core.recipients import Post, Recipients
from .._core.room_events import DEFAULT_EVENT, EventPayload, KeyedPayload, VolatileEventPayload
from .held_broadcasts import HeldBroadcasts
from .room_traces import TracedArrival, end_fan_out

__all__ = ["LocalEventRoom", "LocalRoom", "Member"]


class Member(Protocol):
    """Member of a room: what the room needs of a WebSocket.

    A class whose members can be found by their id has a ``_find(id)`` besides, which returns those that have it and
    costs nothing for each member.

    Attributes:
        takes_events: whether it gets each broadcast as an event (``EventPayload``), or else as it is.
    """

    takes_events: bool

    @property
    def id(self) -> str: ...

    @property
    def post(self) -> Post:
        """The function that sends to the member without waiting and without raising."""

    def matches(self, user: str, client: str) -> bool:
        """Whether it is of a user, by the ``user_key``, or of a client, by its id; "" is nobody's."""

    def kick(self, code: int, reason: str) -> None:
        """Remove it from the room, soon: its socket is closed, or told that it has left."""

    def lost(self) -> None:
        """Stored broadcasts of the room were lost before what comes next."""


class LocalRoom:
    """Members of one room in one event loop, and their queue of broadcasts. There is one while there are members.

    Args:
        name: of the room.
    """

    __slots__ = (
        "_recipients",
        "arrived",
        "bytes",
        "fan_out",
        "find",
        "group",
        "is_due",
        "joining",
        "members",
        "name",
        "pacing",
        "took",
        "traced",
    )

    def __init__(self, group: str, name: str) -> None:
        self.group = group
        self.name = name
        #: And how to send to each.
        self.members: dict[Member, Post] = {}
        #: The members as a fan-out takes them; None since one has come or gone.
        self._recipients: Recipients | None = None
        #: The joins of each that have not returned yet, where none has returned before.
        self.joining: dict[Member, set[object]] = {}
        #: Finds sockets by their id, where all members can be found.
        self.find: Find | None = None
        #: Broadcasts that no fan-out has taken up, in order.
        self.arrived: list[Broadcast] = []
        #: How many bytes they have.
        self.bytes = 0
        self.fan_out: FanOut | None = None
        #: How many seconds it has taken so far.
        self.took = 0.0
        self.pacing = Pacing()
        #: Whether the scheduler has it.
        self.is_due = False
        #: Broadcasts that are traced and wait for the end of their fan-out; None for none.
        self.traced: list[TracedArrival] | None = None

    def add(self, member: Member, join: object | None = None, held: HeldBroadcasts | None = None) -> bool:
        """Add a member, under a name for this join, or for good; returns whether it is new.

        Args:
            held: holds what is sent to a new member.
        """
        members = self.members
        if member not in members:
            find = getattr(member, "_find", None)
            self.find = find if not members or find == self.find else None
            members[member] = member.post if held is None else held.add
            self._recipients = None
            if join is not None:
                self.joining[member] = {join}
            return True
        if join is None:
            self.joining.pop(member, None)
        elif member in self.joining:
            self.joining[member].add(join)
        return False

    def repost(self, member: Member, *, is_behind: bool = False) -> None:
        """Ask a member for its ``post`` again, if it is in the room.

        Args:
            is_behind: also for what it does not have yet of a fan-out that goes on.
        """
        if member in self.members:
            post = self.members[member] = member.post
            self._recipients = None
            if is_behind and self.fan_out is not None:
                self.fan_out.repost(member, post)

    def has_joined(self, member: Member, join: object) -> None:
        """A join has returned: whatever becomes of others that go on, the member is in."""
        if join in self.joining.get(member, ()):
            del self.joining[member]

    def has_not_joined(self, member: Member, join: object) -> None:
        """A join has failed: the member is out, unless another of its joins goes on or has returned."""
        joins = self.joining.get(member, set())
        joins.discard(join)
        if not joins and member in self.joining:
            self.remove(member)

    def remove(self, member: Member) -> None:
        """Remove a member, whatever of its joins goes on."""
        self.members.pop(member, None)
        self.joining.pop(member, None)
        self._recipients = None

    def position(self, newest: Position) -> Position:
        """Of the last stored broadcast that who joins now does not get any more.

        Args:
            newest: of the last one that has arrived.
        """
        for payload, _ in self.arrived:
            if (first := payload.position) is not None:
                return Position(first.epoch, first.offset - 1)
        return newest

    def send(self, is_over: Callable[[], bool]) -> int:
        """Go on with the fan-out until it has ended or the slice is over, and make one if there is none.

        Returns:
            How many tasks that write it has started.
        """
        began = time.perf_counter()
        fan_out = self.fan_out
        if fan_out is None:
            members, recipients = self.members, self._recipients
            if recipients is None:
                recipients = self._recipients = Recipients.of(members)
            fan_out = self.fan_out = FanOut.start(self.arrived, members, self.find, is_over, recipients)
            self.bytes -= fan_out.size
        else:
            fan_out.run(self.members, is_over)
        ends = time.perf_counter()
        self.took += ends - began
        if fan_out.has_ended:
            self.pacing.after(ends, self.took, fan_out.count)
            metrics.count_fan_out(self.took, fan_out.deliveries, fan_out.delivered_bytes)
            self.fan_out, self.took = None, 0.0
            self._was_sent(fan_out, ends)
            if self.traced is not None:
                end_fan_out(self, fan_out)
        return fan_out.started

    def _was_sent(self, fan_out: FanOut, now: float) -> None:
        """All members have what a fan-out had for them."""

    def give_up(self) -> None:
        """Forget a fan-out that has failed: what it had taken up is lost, what has arrived since is not."""
        self.fan_out, self.took, self.traced = None, 0.0, None
        self.bytes = sum([len(payload) for payload, _ in self.arrived])


class LocalEventRoom(LocalRoom):
    """Members of one room in one event loop that get its broadcasts as events."""

    __slots__ = ("_before", "_by_id", "_json_name", "_passed_over", "_told")

    def __init__(self, group: str, name: str) -> None:
        super().__init__(group, name)
        self._json_name = dumps(name)
        #: When the last fan-out ended; which members got nothing of it, and when these had got something, at least.
        self._told = self._before = -math.inf
        self._passed_over: set[Member] = set()
        #: Members by each of the ids under which a broadcast can exclude them: several, where a client has come back
        #: and the end of its former socket is not noticed yet.
        self._by_id: dict[str, tuple[Member, ...]] = {}
        self.find = self._find

    def _find(self, member_id: str) -> tuple[Member, ...]:
        found = self._by_id.get(member_id, ())
        client_id, owner = split_exclusion(member_id)
        if owner is None:
            return found
        # Another owner may have the id here than in the process that has excluded it.
        return (*found, *[one for one in self._by_id.get(client_id, ()) if _owner(one) == owner])

    def add(self, member: Member, join: object | None = None, held: HeldBroadcasts | None = None) -> bool:
        is_new = super().add(member, join, held)
        self.find = self._find
        for member_id in _ids(member):
            found = self._by_id.get(member_id, ())
            if member not in found:
                self._by_id[member_id] = (*found, member)
        return is_new

    def _was_sent(self, fan_out: FanOut, now: float) -> None:
        passed_over = fan_out.passed_over()
        if passed_over.isdisjoint(self._passed_over):
            self._before = self._told
        self._told, self._passed_over = now, passed_over

    def told_at(self, member: Member) -> float:
        """When a member last got something, or before that, by ``time.perf_counter()``."""
        return self._before if member in self._passed_over else self._told

    def remove(self, member: Member) -> None:
        super().remove(member)
        self._passed_over.discard(member)
        for member_id in _ids(member):
            left = tuple([one for one in self._by_id.pop(member_id, ()) if one is not member])
            if left:
                self._by_id[member_id] = left

    def payload(self, envelope: Envelope) -> EventPayload | None:
        """The event of a broadcast; None for bytes, which have no JSON."""
        data = envelope.data
        if isinstance(data, bytes):
            return None
        encoded = data.encode() if envelope.is_json else dumps(data)
        if envelope.keyed is not None:
            return KeyedPayload(self._json_name, envelope.keyed, encoded, envelope.position)
        kind = VolatileEventPayload if envelope.is_volatile else EventPayload
        return kind(self._json_name, envelope.event or DEFAULT_EVENT, encoded, envelope.author, envelope.position)


def _owner(member: Member) -> str | None:
    """The owner of a member's client id; None of one that has no such id."""
    return getattr(member, "owner", None)


def _ids(member: Member) -> tuple[str, ...]:
    """Ids of a member, under which a broadcast can exclude it."""
    client_id = getattr(member, "client_id", "")
    return (member.id, client_id) if client_id else (member.id,)
