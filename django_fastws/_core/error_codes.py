"""Table of the error codes of the protocol ``fastws.v1``. One row is a code, what it means, and if it is retried."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["ERROR_CODES", "ErrorCode", "is_retried"]


class ErrorCode(NamedTuple):
    """Error code of the protocol; a handler may answer with others.

    Attributes:
        meaning: for developers of clients.
        is_retried: whether the same frame may succeed if it is sent again.
    """

    meaning: str
    is_retried: bool = False


ERROR_CODES = {
    "invalid": ErrorCode("The payload does not fit. fields has what is wrong with which field."),
    "unauthenticated": ErrorCode("Nobody is logged in, or the token is not valid."),
    "forbidden": ErrorCode("The user may not."),
    "not_found": ErrorCode("There is no such thing."),
    "unknown_room": ErrorCode("No room is declared whose pattern matches the name."),
    "unknown_event": ErrorCode("The room has no handler of the event."),
    "not_joined": ErrorCode("The room must be joined first."),
    "rate_limited": ErrorCode("It came too soon. retry_after has the seconds until then.", is_retried=True),
    "timeout": ErrorCode("The handler took longer than it may."),
    "cancelled": ErrorCode("The client has cancelled it, or the server ends."),
    "unavailable": ErrorCode("The server cannot do it now. The same may succeed later.", is_retried=True),
    "bad_request": ErrorCode("The frame is none of the protocol."),
    "too_big": ErrorCode("The frame is larger than the server takes."),
    "failed": ErrorCode("The handler has failed. The server's log says why."),
}


def is_retried(code: str) -> bool:
    """Whether a frame that was answered with this code may succeed if it is sent again."""
    found = ERROR_CODES.get(code)
    return found is not None and found.is_retried
