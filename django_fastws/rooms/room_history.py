"""History of one room, wherever it is kept: the one way by which rooms are stored to and read."""

from __future__ import annotations

import asyncio
import logging
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Sequence
from typing import Any, ClassVar

from .._core.envelope import Envelope
from .._core.groups import group_name
from .._core.history import History
from .._core.history_checks import encode_history_check
from .._core.history_page import HistoryPage, PageQuery
from .._core.positions import Position
from ..exceptions import WebSocketConnectionError
from ..layer import get_broker
from .on_commit import publish_sync

__all__ = ["LayerHistory", "RoomHistory"]

logger = logging.getLogger("django_fastws.rooms")

_AT_ONCE = 100  # rooms whose tops are asked for in one go


class RoomHistory(ABC):
    """History of one room. It costs nothing to make, and holds nothing.

    Where it is kept cannot be reached, all of it raises ``WebSocketConnectionError``.

    Args:
        name: of the room.
        history: what it keeps.
    """

    #: Where it is not kept, why, and what to do.
    missing: ClassVar[str] = ""

    def __init__(self, name: str, history: History) -> None:
        self.name = name
        self.group = group_name(name)
        self.history = history

    @property
    @abstractmethod
    def is_kept(self) -> bool:
        """Whether there is where to keep it."""

    @abstractmethod
    def publish(self, envelope: Envelope, what: str, *, on_commit: bool) -> Position | None:
        """Store an envelope with this history, and publish it, from a thread that runs no event loop.

        Args:
            what: is published, for the log.
            on_commit: False publishes at once, whatever becomes of the transaction.
        Returns:
            The position; None if it is not stored by now.
        """

    @abstractmethod
    def apublish(self, envelope: Envelope) -> Awaitable[Position | None]:
        """Store an envelope with this history, and publish it."""

    @abstractmethod
    def read(self, query: PageQuery, *, seconds: float | None = None) -> HistoryPage:
        """Read a part, at one moment: what is kept within the bounds. It has an epoch from the first reading on.

        Args:
            seconds: the longest that this may take, as far as that can be bounded.
        """

    @abstractmethod
    async def aread(self, query: PageQuery) -> HistoryPage:
        """Read a part, for the caller; see ``read()``."""

    async def aread_here(self, query: PageQuery) -> HistoryPage:
        """Read a part, for all members that the room has in this process; see ``read()``."""
        return await self.aread(query)

    @abstractmethod
    def clear(self) -> None:
        """Forget the events, begin another epoch, and tell all processes."""

    @abstractmethod
    async def aclear(self) -> None:
        """Forget the events; see ``clear()``."""

    @abstractmethod
    async def aforget(self) -> None:
        """Forget that there was one, which was made for a trial; nobody is told of it."""

    @classmethod
    @abstractmethod
    async def atops(cls, histories: Sequence[Any]) -> Sequence[HistoryPage | None]:
        """Epochs and tops of some of this kind, together, in their order; None of one that cannot be reached."""


class LayerHistory(RoomHistory):
    """History that the channel layer keeps, and publishes in the same step."""

    missing = "the channel layer keeps none; use RedisChannelLayer, or History(database=True)"

    @property
    def is_kept(self) -> bool:
        return get_broker().has_history

    def publish(self, envelope: Envelope, what: str, *, on_commit: bool) -> Position | None:
        return publish_sync(envelope, what, logger, on_commit=on_commit)

    def apublish(self, envelope: Envelope) -> Awaitable[Position | None]:
        return get_broker().apublish(envelope)

    def read(self, query: PageQuery, *, seconds: float | None = None) -> HistoryPage:
        return get_broker().read_history(self.group, self.history, query, seconds=seconds)

    async def aread(self, query: PageQuery) -> HistoryPage:
        return await get_broker().aread_history(self.group, self.history, query)

    def clear(self) -> None:
        get_broker().clear_history(encode_history_check(self.group), self.history)

    async def aclear(self) -> None:
        await get_broker().aclear_history(encode_history_check(self.group), self.history)

    async def aforget(self) -> None:
        await get_broker().aforget_history(self.group)

    @classmethod
    async def atops(cls, histories: Sequence[LayerHistory]) -> Sequence[HistoryPage | None]:
        found: list[HistoryPage | None] = []
        for at in range(0, len(histories), _AT_ONCE):
            found += await asyncio.gather(*(one._atop() for one in histories[at : at + _AT_ONCE]))
        return found

    async def _atop(self) -> HistoryPage | None:
        try:
            return await self.aread(PageQuery(limit=0))
        except WebSocketConnectionError as error:  # of several servers, only its own may be away
            logger.debug("The history of a room cannot be looked at: %s", error)
            return None
