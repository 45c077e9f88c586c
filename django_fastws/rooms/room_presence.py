"""Presence of one room, as users ask for it: who is there, and how many."""

from __future__ import annotations

from .._core.present import Present
from .on_commit import check_no_loop
from .presence_reading import aread_living, people, read_living

__all__ = ["RoomPresence"]


class RoomPresence:
    """What a ``Room`` knows of who is present in it, in all processes: live members, and sockets that say so.

    Who has gone is present for the grace; who was connected to a process that has died, until its lease is over.
    """

    __slots__ = ("name",)

    name: str

    def present(self) -> list[Present]:
        """Who is present, from sync code; who came first is first.

        Raises:
            PresenceUnavailable: the channel layer keeps nothing of that.
            WebSocketStateError: this thread runs an event loop, which would be blocked; await apresent() there.
            WebSocketConnectionError: the channel layer cannot be reached.
        """
        check_no_loop("Room.present()", "room.apresent()")
        return people(read_living(self.name))

    async def apresent(self) -> list[Present]:
        """Who is present; see ``present()``."""
        return people(await aread_living(self.name))

    def count(self) -> int:
        """How many are present, from sync code: users and anonymous clients, not their connections.

        Raises:
            PresenceUnavailable: the channel layer keeps nothing of that.
            WebSocketStateError: this thread runs an event loop, which would be blocked; await acount() there.
            WebSocketConnectionError: the channel layer cannot be reached.
        """
        check_no_loop("Room.count()", "room.acount()")
        return read_living(self.name, counts_only=True).total

    async def acount(self) -> int:
        """How many are present; see ``count()``."""
        return (await aread_living(self.name, counts_only=True)).total
