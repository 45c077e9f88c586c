"""Presence of a member of a live room: that it is there, and what it is told of who else is."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from ..exceptions import MessageTooBig, WebSocketConnectionError, WebSocketDisconnect
from ..rooms import Attendance, PresenceRoom, current_hub, current_presence
from ..tasks import BackgroundTasks
from .live_errors import logger, room_fields, unavailable

if TYPE_CHECKING:
    from .membership import Membership

__all__ = ["MemberPresence"]

_NOT_TOLD = (1011, "who is present was lost")
_catching_up = BackgroundTasks(logger)


class MemberPresence:
    """Presence of one membership, in a room that is declared with it.

    Attributes:
        is_behind: the client was too slow for what has changed of who is present.
    """

    __slots__ = ("_attendance", "_catching_up", "_membership", "is_behind")

    def __init__(self, membership: Membership) -> None:
        self._membership = membership
        self._attendance: Attendance | None = None
        self._catching_up: asyncio.Task[None] | None = None
        self.is_behind = False

    def _room(self) -> PresenceRoom | None:
        """Who is present, as far as this process knows; None where the layer keeps nothing of that."""
        return current_hub().presence(self._membership.name)

    async def begin(self) -> None:
        """Be present, with the card that the room makes.

        Raises:
            LiveError: the layer cannot be reached.
            Exception: that of the function for the card.
        """
        membership = self._membership
        hook, card = membership.live_room.card_hook, b"null"
        if hook is not None:
            card = hook.encode(await hook.call(membership.session.socket, membership.room, membership.params))
        if membership.is_member:
            await self.show(card)

    async def show(self, card: bytes) -> None:
        """Be present with a card; returns when this process knows of it.

        Args:
            card: as JSON.
        Raises:
            LiveError: the layer cannot be reached.
        """
        room, session = self._room(), self._membership.session
        if room is None:
            return
        if self._attendance is not None and self._attendance.key != session.key:
            self.end(has_grace=False)  # it has said by a token who it is, when it was in already
        if self._attendance is None:
            self._attendance = Attendance(
                self._membership.name,
                session.key,
                session.client_id,
                is_user=bool(session.user_key),
                is_named=session.is_named,
            )
        try:
            reported = await current_presence().enter(self._attendance, session.checked(card))
            await room.reach(reported.diff)
        except WebSocketConnectionError as error:
            raise unavailable(error) from error

    def added_to(self, answer: bytes, v: int | None) -> bytes:
        """The value of a join's answer, with who is present.

        Args:
            v: number of the newest diff that the client has had.
        Raises:
            MessageTooBig: so many are present, with such cards; the member is not any more.
        """
        room = self._room()
        if room is None:
            return answer
        try:
            return self._membership.session.checked(answer[:-1] + b"," + room.part(v) + b"}")
        except MessageTooBig:
            self.end(has_grace=False)  # refused: a client that tries again would be present all the time
            raise

    def catch_up(self) -> None:
        """Send who is present to a client that may have missed what has changed.

        In its turn, so that it is not dropped where the client is slow.
        """
        self.is_behind = True
        if self._catching_up is None:  # else it is done once more: what is sent now may be older
            session = self._membership.session
            self._catching_up = _catching_up.start(self._send_all(), context=session.copy_context())

    async def _send_all(self) -> None:
        session = self._membership.session
        try:
            while self.is_behind and (room := self._room()) is not None and self._membership.is_joined:
                self.is_behind = False
                await session.send(session.checked(room.payload().raw))
        except WebSocketDisconnect:
            pass  # nobody is left to be told
        except MessageTooBig as error:
            logger.warning(
                "Who is present in room %.200r is too much for one message: %s",
                self._membership.name,
                error,
                extra=room_fields(self._membership, code=_NOT_TOLD[0]),
            )
            # It cannot go on over this connection; over the next one, its join is answered.
            with contextlib.suppress(WebSocketDisconnect):
                await session.close(*_NOT_TOLD)
        finally:
            self._catching_up = None

    def end(self, *, has_grace: bool = True) -> None:
        """The member has gone. Idempotent.

        Args:
            has_grace: it may come back, and is present for the grace.
        """
        attendance, self._attendance = self._attendance, None
        if attendance is not None:
            current_presence().leave(attendance, has_grace=has_grace)
