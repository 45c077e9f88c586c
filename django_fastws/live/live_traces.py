"""Traces of live rooms: each call of a client, and each hook that runs by itself, is a unit of work."""

from __future__ import annotations

from collections.abc import Coroutine
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from .. import tracing
from .._core.close_codes import INTERNAL_ERROR
from ..exceptions import WebSocketConnectionError, WebSocketException
from ..tracing import Observed, Work, WorkKind
from .live_errors import as_live_error, logger, room_fields

if TYPE_CHECKING:
    from .room_feed import RoomFeed
    from .session import LiveSession

__all__ = ["begin_ask", "begin_work", "restoring", "state_failed"]

_restored: ContextVar[Observed | None] = ContextVar("fastws_restored", default=None)


def begin_work(kind: WorkKind, feed: RoomFeed, event: str = "") -> Observed:
    """Begin to observe what is done for a client in a room; whoever calls this has seen that somebody observes.

    Args:
        event: which the room declares.
    """
    ws = feed.session.ws
    opened_by = getattr(getattr(ws, "trace", None), "opened_by", "")
    return tracing.begin(
        Work(
            kind,
            feed.live_room.pattern,
            event=event,
            room=feed.name,
            scope=ws.scope,
            connection=ws.id,
            links=(opened_by,) if opened_by else (),
        )
    )


def begin_ask(session: LiveSession, event: str) -> Observed:
    """Begin to observe a question to a client."""
    return tracing.begin(Work(tracing.ASK, event=event, scope=session.ws.scope, connection=session.ws.id))


def restoring(feed: RoomFeed, work: Coroutine[Any, Any, None]) -> Coroutine[Any, Any, None]:
    """What restores a member that has lost events, observed if somebody observes."""
    return _restoring(feed, work) if tracing.observers else work


async def _restoring(feed: RoomFeed, work: Coroutine[Any, Any, None]) -> None:
    with begin_work(tracing.RESTORE, feed) as observed:
        _restored.set(observed)
        await work


def state_failed(feed: RoomFeed, error: BaseException) -> None:
    """A member could not be restored: log it, unless it is what clients are told of and no failure of the server."""
    if as_live_error(error) is not None or isinstance(error, (WebSocketException, WebSocketConnectionError)):
        return
    if (observed := _restored.get()) is not None:
        observed.end(error, is_left=False)
    fields = room_fields(feed, code=INTERNAL_ERROR[0])
    logger.error("the state failed in room %.200r", feed.name, exc_info=error, extra=fields)
