"""Who is in which room, in this process and event loop, and what arrives for them.

A room is one subscription of the layer however many members it has here, and none when it has none.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, Protocol

from .._core.fanout import MOST_TASKS, Broadcast, FanOut, Post, take
from .._core.groups import group_name
from .._core.ids import Ids
from .._core.messages import Payload
from .._core.pacing import Pacing
from ..exceptions import WebSocketConnectionError
from ..layer import BrokerClient, get_broker
from ..loops import PerLoop
from ..tasks import BackgroundTasks

__all__ = ["VERSION", "Hub", "Member", "current_hub", "envelope", "ids"]

logger = logging.getLogger("django_fastws.hub")

#: Of the envelope that crosses the layer.
VERSION = "1"
_TYPE = "fastws.broadcast"

#: When broadcasts of more than so many bytes have arrived that could not be sent yet, or more than so many, for they
#: may be empty, no more are taken for a while.
_MOST_BYTES = 16 * 1024 * 1024
_MOST_BROADCASTS = 32 * 1024
_SLICE = 0.01  # seconds for which a fan-out may hold the loop

#: The ids of sockets.
ids: Ids[Any] = Ids()


class Member(Protocol):
    """What the hub needs of a WebSocket.

    A class whose members can be found by their id has a ``_find(id)`` besides, which costs nothing for each member.
    """

    @property
    def id(self) -> str: ...

    @property
    def post(self) -> Post:
        """What sends to it without waiting and without raising."""


def envelope(group: str, payload: Payload, exclude: str | None) -> dict[str, str | bytes]:
    """What crosses the layer for one broadcast: str and bytes only, so that every layer carries it unchanged."""
    crossing: dict[str, str | bytes] = {"type": _TYPE, "v": VERSION, "room": group}
    if payload.binary:
        crossing["bytes"] = payload.raw
    else:
        crossing["text"] = payload.text
    if exclude is not None:
        crossing["exclude"] = exclude
    return crossing


class _Room:
    """The members of one room here, and what is on its way to them. Whoever changes them calls ``Hub._settle``."""

    __slots__ = (
        "arrived",
        "attempted",
        "bytes",
        "fan_out",
        "find",
        "group",
        "is_due",
        "joining",
        "lock",
        "members",
        "pacing",
        "subscribed",
        "took",
    )

    def __init__(self, group: str) -> None:
        self.group = group
        #: And how to send to each.
        self.members: dict[Member, Post] = {}
        #: The joins of each that have not returned yet, where none has returned before.
        self.joining: dict[Member, set[object]] = {}
        #: Finds a socket by its id, where all members can be found.
        self.find: Callable[[str], Any] | None = None
        self.subscribed = False
        #: A subscription was asked for, and the layer may have it even if it did not say so.
        self.attempted = False
        self.lock = asyncio.Lock()
        #: Broadcasts that no fan-out has taken up, in order.
        self.arrived: list[Broadcast] = []
        #: How many bytes they have.
        self.bytes = 0
        self.fan_out: FanOut | None = None
        #: How many seconds it has taken so far.
        self.took = 0.0
        self.pacing = Pacing()
        self.is_due = False

    def add(self, member: Member, join: object) -> None:
        """Somebody joins, under a name for this join."""
        if member not in self.members:
            find = getattr(member, "_find", None)
            self.find = find if not self.members or find == self.find else None
            self.members[member] = member.post
            self.joining[member] = {join}
        elif member in self.joining:
            self.joining[member].add(join)

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
        """Somebody leaves, whatever of its joins goes on."""
        self.members.pop(member, None)
        self.joining.pop(member, None)

    def send(self, is_over: Callable[[], bool]) -> int:
        """Go on with the fan-out until it has ended or the slice is over, and make one if there is none.

        Returns:
            How many tasks that write it has started.
        """
        began = time.perf_counter()
        if self.fan_out is None:
            broadcasts = take(self.arrived)
            self.bytes -= sum([len(payload) for payload, _ in broadcasts])
            self.fan_out = FanOut(broadcasts, self.members, self.find)
        fan_out = self.fan_out
        has_ended = fan_out.run(self.members, is_over)
        ends = time.perf_counter()
        self.took += ends - began
        if has_ended:
            self.pacing.after(ends, self.took, fan_out.count)
            self.fan_out, self.took = None, 0.0
        return fan_out.started


class Hub:
    """The rooms of one event loop."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._client: BrokerClient | None = None
        self._tasks = BackgroundTasks(logger)
        self._refresher: asyncio.TimerHandle | None = None
        self._unknown_version = False
        self._saw_garbage = False
        #: The rooms that have something to send, and whether the loop will call for them.
        self._due: deque[_Room] = deque()
        self._is_sending = False
        #: How many bytes, in how many broadcasts, have arrived and were not taken up; and whether the client is held.
        self._bytes = self._count = 0
        self._is_held = False

    async def join(self, member: Member, name: str) -> None:
        """Add a member; returns when it cannot miss a broadcast any more. Joining twice is joining once.

        Raises:
            WebSocketConnectionError: the layer cannot be reached; the member is not in the room.
        """
        group, join = group_name(name), object()
        room = self._rooms.get(group)
        if room is None:
            room = self._rooms[group] = _Room(group)
        room.add(member, join)
        try:
            if not self._hears(room) or room.lock.locked():
                await self._settle(room)
        except BaseException:
            room.has_not_joined(member, join)
            if not room.members:
                self._settle_later(room)
            raise
        room.has_joined(member, join)

    def has(self, member: Member, name: str) -> bool:
        """Whether it is in a room, or about to be."""
        room = self._rooms.get(group_name(name))
        return room is not None and member in room.members

    async def leave(self, member: Member, name: str) -> None:
        """Remove a member; returns when the room's subscription, if it was the last one, is given back."""
        room = self._rooms.get(group_name(name))
        if room is not None and member in room.members:
            room.remove(member)
            if not room.members:
                try:
                    await self._settle(room)
                except WebSocketConnectionError as error:
                    logger.warning("Left a room here, but: %s", error)
                except BaseException:
                    # It was cancelled, maybe behind a refresh of the subscription, which does not look who is left.
                    if not room.members:
                        self._settle_later(room)
                    raise

    def drop(self, member: Member, names: set[str]) -> None:
        """Remove a member from these rooms at once; subscriptions are given back soon. Never raises."""
        for name in names:
            room = self._rooms.get(group_name(name))
            if room is not None:
                room.remove(member)
                if not room.members:
                    self._settle_later(room)

    async def settled(self) -> None:
        """Wait until every subscription that is not needed any more is given back."""
        await self._tasks.wait()

    def deliver(self, crossing: Mapping[str, Any]) -> None:
        """Take what arrived for a room, for its members here. Never raises: this is called by the layer.

        What arrives for one room in one turn of the loop is joined, and written once to each member.
        """
        try:
            self._deliver(crossing)
        except Exception as error:
            # Whoever may publish can send anything: it is said once, and no traceback helps.
            if not self._saw_garbage:
                self._saw_garbage = True
                logger.warning("Ignoring broadcasts that are none: %s: %s", type(error).__name__, str(error)[:200])

    def _deliver(self, crossing: Mapping[str, Any]) -> None:
        if crossing.get("type") != _TYPE:
            return
        if crossing.get("v") != VERSION:
            if not self._unknown_version:
                self._unknown_version = True
                logger.warning(
                    "Ignoring broadcasts of version %.80r: another process runs another release of django_fastws",
                    crossing.get("v"),
                )
            return
        room = self._rooms.get(crossing.get("room", ""))
        if room is None:
            return
        data = crossing.get("bytes")
        text, exclude = crossing["text"] if data is None else "", crossing.get("exclude")
        # What is no message must not come among those that wait: they are joined, and it would take them with it.
        is_message = isinstance(text, str) and (data is None or isinstance(data, bytes))
        if not is_message or not (exclude is None or isinstance(exclude, str)):
            raise TypeError(f"a broadcast of {type(text if data is None else data)} that excludes {type(exclude)}")
        payload = Payload(text if data is None else data)
        size = len(payload)  # which raises for text that has no UTF-8
        room.arrived.append((payload, exclude))
        room.bytes += size
        self._bytes += size
        self._count += 1
        is_over = self._bytes > _MOST_BYTES or self._count > _MOST_BROADCASTS
        if is_over and not self._is_held and self._client is not None:
            self._is_held = True
            self._client.hold()
        if not room.is_due:
            self._make_due(room)

    def _make_due(self, room: _Room) -> None:
        """Have a room send what has arrived: now, or when it has rested."""
        room.is_due = True
        pause = room.pacing.remaining(time.perf_counter())
        if pause:
            asyncio.get_running_loop().call_later(pause, self._due_now, room)
        else:
            self._due_now(room)

    def _due_now(self, room: _Room) -> None:
        self._due.append(room)
        if not self._is_sending:
            self._is_sending = True
            asyncio.get_running_loop().call_soon(self._send)

    def _send(self) -> None:
        """Send what is due, for no longer than a slice; the rest in the next turns of the loop, each room in turn."""
        # While the client is held, the layer has to be read so that it need not drop more: its turn comes sooner.
        end, started = time.perf_counter() + (_SLICE / 4 if self._is_held else _SLICE), 0

        def is_over() -> bool:
            return time.perf_counter() >= end

        due = self._due
        # Each room once: what it gets next may depend on what its members have taken, for which they need a turn.
        for _ in range(len(due)):
            room = due.popleft()
            before, count = room.bytes, len(room.arrived)
            try:
                started += room.send(is_over)
            except Exception:
                logger.exception("Could not deliver a broadcast")
                room.fan_out = None
            self._bytes -= before - room.bytes
            self._count -= count - len(room.arrived)
            if room.fan_out is not None:
                due.append(room)
            elif room.arrived:
                self._make_due(room)
            else:
                room.is_due = False
            if started >= MOST_TASKS or is_over():
                break
        if self._is_held and self._bytes <= _MOST_BYTES // 2 and self._count <= _MOST_BROADCASTS // 2:
            self._is_held = False
            if self._client is not None:
                self._client.resume()
        self._is_sending = bool(due)
        if due:
            asyncio.get_running_loop().call_soon(self._send)

    def _hears(self, room: _Room) -> bool:
        """Whether nothing that is published to a room from now on is missed, as far as that is known."""
        return room.subscribed and self._client is not None and self._client.is_subscribed(room.group)

    async def _settle(self, room: _Room) -> None:
        """Make the layer's subscription agree with whether the room has members."""
        async with room.lock:
            if room.members and not room.subscribed:
                if self._client is None:
                    self._client = get_broker().client(self.deliver)
                    self._refresh_later()
                room.attempted = True
                await self._client.subscribe(room.group)
                room.subscribed = True
            elif room.members and not self._hears(room):
                # The layer was lost, and the subscription is made again: whoever joins must not be deaf until then.
                await self._client.resubscribed(room.group)  # type: ignore[union-attr]
            if not room.members:
                try:
                    if room.attempted and self._client is not None:
                        await self._client.unsubscribe(room.group)
                except asyncio.CancelledError:
                    room.subscribed = False  # it may still be there: who was cancelled has it given back later
                    raise
                except Exception:
                    self._forget(room)
                    raise
                self._forget(room)
        await self._close_if_idle()

    def _forget(self, room: _Room) -> None:
        """A room has no subscription any more."""
        room.subscribed = room.attempted = False
        # Whoever came meanwhile waits for the lock, and finds the room still here.
        if not room.members and self._rooms.get(room.group) is room:
            del self._rooms[room.group]

    async def _close_if_idle(self) -> None:
        if self._rooms or self._client is None:
            return
        idle, self._client = self._client, None
        if self._is_held:
            self._is_held = False
            idle.resume()
        if self._refresher is not None:
            self._refresher.cancel()
            self._refresher = None
        await idle.close()

    def _settle_later(self, room: _Room) -> None:
        level = logging.WARNING if room.subscribed else logging.DEBUG  # a join that failed was told of already

        async def settle() -> None:
            try:
                await self._settle(room)
            except WebSocketConnectionError as error:
                logger.log(level, "Left a room here, but: %s", error)
            except Exception:
                logger.exception("Could not give back the subscription of a room")

        try:
            self._tasks.start(settle())
        except RuntimeError:  # the loop is gone, and the layer's connections with it
            return

    def _refresh_later(self) -> None:
        seconds = self._client.refresh_seconds if self._client is not None else None
        if seconds is not None:
            self._refresher = asyncio.get_running_loop().call_later(seconds, self._refresh)

    def _refresh(self) -> None:
        """Layers that store groups forget members after a day, however alive they are: tell them again."""

        async def refresh() -> None:
            for room in list(self._rooms.values()):
                async with room.lock:
                    if self._client is not None and room.subscribed and room.members:
                        try:
                            await self._client.subscribe(room.group)
                        except Exception as error:
                            logger.warning("Could not refresh a room's subscription: %s", error)

        self._tasks.start(refresh())
        self._refresh_later()


_hubs = PerLoop(Hub)


def current_hub() -> Hub:
    """The hub of the running event loop."""
    return _hubs.get()
