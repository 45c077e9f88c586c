"""Who is in which room, in this process and event loop, and what arrives for them.

A room is one subscription of the layer however many members it has here, and none when it has none.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from ._core.groups import group_name
from ._core.messages import Payload
from .exceptions import WebSocketConnectionError
from .layer import Link, link

__all__ = ["VERSION", "Hub", "Member", "current_hub", "envelope"]

logger = logging.getLogger("django_fastws.hub")

#: Of the envelope that crosses the layer.
VERSION = "1"
_TYPE = "fastws.broadcast"


class Member(Protocol):
    """What the hub needs of a WebSocket."""

    @property
    def id(self) -> str: ...

    def post(self, payload: Payload) -> None:
        """Send without waiting and without raising."""


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
    """The members of one room here. Whoever changes them calls ``Hub._settle``."""

    __slots__ = ("attempted", "group", "lock", "members", "subscribed")

    def __init__(self, group: str) -> None:
        self.group = group
        self.members: dict[Member, None] = {}
        self.subscribed = False
        #: A subscription was asked for, and the layer may have it even if it did not say so.
        self.attempted = False
        self.lock = asyncio.Lock()


class Hub:
    """The rooms of one event loop."""

    def __init__(self) -> None:
        self._rooms: dict[str, _Room] = {}
        self._link: Link | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._refresher: asyncio.TimerHandle | None = None
        self._unknown_version = False

    async def join(self, member: Member, name: str) -> None:
        """Add a member; returns when it cannot miss a broadcast any more. Joining twice is joining once.

        Raises:
            WebSocketConnectionError: the layer cannot be reached; the member is not in the room.
        """
        group = group_name(name)
        room = self._rooms.get(group)
        if room is None:
            room = self._rooms[group] = _Room(group)
        room.members[member] = None
        if room.subscribed and not room.lock.locked():
            return
        try:
            await self._settle(room)
        except BaseException:
            room.members.pop(member, None)
            self._settle_later(room)
            raise

    async def leave(self, member: Member, name: str) -> None:
        """Remove a member; returns when the room's subscription, if it was the last one, is given back."""
        room = self._rooms.get(group_name(name))
        if room is not None and member in room.members:
            del room.members[member]
            if not room.members:
                try:
                    await self._settle(room)
                except WebSocketConnectionError as error:
                    logger.warning("Left a room here, but: %s", error)

    def drop(self, member: Member, names: set[str]) -> None:
        """Remove a member from these rooms at once; subscriptions are given back soon. Never raises."""
        for name in names:
            room = self._rooms.get(group_name(name))
            if room is not None:
                room.members.pop(member, None)
                if not room.members:
                    self._settle_later(room)

    def deliver(self, crossing: Mapping[str, Any]) -> None:
        """Send what arrived for a room to its members here. Never raises: this is called by the layer."""
        try:
            self._deliver(crossing)
        except Exception:
            logger.exception("Could not deliver a broadcast")

    def _deliver(self, crossing: Mapping[str, Any]) -> None:
        if crossing.get("type") != _TYPE:
            return
        if crossing.get("v") != VERSION:
            if not self._unknown_version:
                self._unknown_version = True
                logger.warning(
                    "Ignoring broadcasts of version %r: another process runs another release of django_fastws",
                    crossing.get("v"),
                )
            return
        room = self._rooms.get(crossing.get("room", ""))
        if room is None:
            return
        data = crossing.get("bytes")
        payload = Payload(crossing["text"] if data is None else data)
        exclude = crossing.get("exclude")
        for member in list(room.members):
            if exclude is None or member.id != exclude:
                try:
                    member.post(payload)
                except Exception:
                    logger.exception("Could not deliver a broadcast to one member")

    async def _settle(self, room: _Room) -> None:
        """Make the layer's subscription agree with whether the room has members."""
        async with room.lock:
            if room.members and not room.subscribed:
                if self._link is None:
                    self._link = link(self.deliver)
                    self._refresh_later()
                room.attempted = True
                await self._link.subscribe(room.group)
                room.subscribed = True
            if not room.members:
                try:
                    if room.attempted and self._link is not None:
                        await self._link.unsubscribe(room.group)
                finally:
                    room.subscribed = room.attempted = False
                    # Whoever came meanwhile waits for the lock, and finds the room still here.
                    if not room.members and self._rooms.get(room.group) is room:
                        del self._rooms[room.group]
        await self._close_if_idle()

    async def _close_if_idle(self) -> None:
        if self._rooms or self._link is None:
            return
        idle, self._link = self._link, None
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
            task = asyncio.get_running_loop().create_task(settle())
        except RuntimeError:  # the loop is gone, and the layer's connections with it
            return
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _refresh_later(self) -> None:
        seconds = self._link.refresh_seconds if self._link is not None else None
        if seconds is not None:
            self._refresher = asyncio.get_running_loop().call_later(seconds, self._refresh)

    def _refresh(self) -> None:
        """Layers that store groups forget members after a day, however alive they are: tell them again."""

        async def refresh() -> None:
            for room in list(self._rooms.values()):
                async with room.lock:
                    if self._link is not None and room.subscribed and room.members:
                        try:
                            await self._link.subscribe(room.group)
                        except Exception as error:
                            logger.warning("Could not refresh a room's subscription: %s", error)

        task = asyncio.get_running_loop().create_task(refresh())
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._refresh_later()


_hubs: WeakKeyDictionary[asyncio.AbstractEventLoop, Hub] = WeakKeyDictionary()


def current_hub() -> Hub:
    """The hub of the running event loop."""
    loop = asyncio.get_running_loop()
    hub = _hubs.get(loop)
    if hub is None:
        hub = _hubs[loop] = Hub()
    return hub
