"""Errors of live rooms: what an exception of a handler or a hook is to the client, and the frame that says it."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import pydantic
from django.core.exceptions import NON_FIELD_ERRORS, PermissionDenied, ValidationError
from django.http import Http404

from .._core import live_frames
from .._core.exception_groups import significant
from .._core.live_frames import Id
from .._core.log_throttle import LogThrottle
from ..clock import process_clock
from ..exceptions import LiveError, WebSocketConnectionError, WebSocketDisconnect, WebSocketException
from ..log_fields import connection_fields
from ..validation import error_texts

if TYPE_CHECKING:
    from .room_feed import RoomFeed

__all__ = [
    "FAILED",
    "NotAnswered",
    "as_live_error",
    "error_frame",
    "logger",
    "room_fields",
    "significant_error",
    "unavailable",
]

logger = logging.getLogger("django_fastws.live")

FAILED = LiveError("failed", "the server failed")
_UNAVAILABLE = "unavailable"
_said = LogThrottle(60.0)


class NotAnswered(TimeoutError):
    """The client has not answered what it was asked; let out by a handler, that is no failure of the server."""


def as_live_error(error: BaseException) -> LiveError | None:
    """The error that the client is told of; None for one that is the server's own, of which it is told nothing."""
    try:
        return _known(error)
    except Exception:  # its text cannot be made, such as "%(x)s" without an x
        return None


def _known(error: BaseException) -> LiveError | None:
    if isinstance(error, LiveError):
        return error
    if isinstance(error, PermissionDenied):
        return LiveError("forbidden", str(error) or "permission denied")
    if isinstance(error, Http404):
        return LiveError("not_found", str(error) or "not found")
    if isinstance(error, ValidationError):
        return _invalid(error)
    if isinstance(error, pydantic.ValidationError):
        summary, fields = error_texts(error)
        return LiveError("invalid", summary, fields=fields)
    if isinstance(error, WebSocketConnectionError):
        return unavailable(error)
    if isinstance(error, NotAnswered):
        return LiveError("timeout", str(error))
    return None


def unavailable(error: WebSocketConnectionError) -> LiveError:
    """The error that the client is told of a layer that cannot be reached, or refuses.

    The error itself has the addresses of servers, so the log alone has it; once a minute, for every client may be
    told at once. Of what a Redis refuses (memory, rights, a key of another type), nothing else is said here.
    """
    _said.add(_UNAVAILABLE)
    if _said.take(_UNAVAILABLE, process_clock.monotonic()):
        logger.warning("Clients of live rooms are told that the server is unavailable: %s", error)
    return LiveError("unavailable", "the server cannot reach what it needs; try again later")


def _invalid(error: ValidationError) -> LiveError:
    """Django's validation error, with its messages by field; those of no field are under ""."""
    found = error.message_dict if hasattr(error, "error_dict") else {NON_FIELD_ERRORS: error.messages}
    fields = {"" if name == NON_FIELD_ERRORS else name: list(map(str, texts)) for name, texts in found.items()}
    name, texts = next(iter(fields.items()), ("", []))
    first = texts[0] if texts else "invalid"
    return LiveError("invalid", f"{name}: {first}" if name else first, fields=fields)


def significant_error(error: BaseException) -> BaseException:
    """Of a group of exceptions, as a ``TaskGroup`` raises it, the one that says what the client is told."""
    return significant(error, WebSocketDisconnect, _is_asked_for)


def _is_asked_for(error: BaseException) -> bool:
    return isinstance(error, WebSocketException) or as_live_error(error) is not None


def error_frame(id_: Id | None, error: LiveError) -> bytes:
    """The frame that answers with an error."""
    return live_frames.error(id_, error.code, error.message, error.fields, error.retry_after)


def room_fields(member: RoomFeed, **more: Any) -> dict[str, Any]:
    """Fields of a log record about a live socket in a room, for ``extra=``."""
    return connection_fields(member.session.ws.scope, room=member.live_room.pattern, **more)
