"""Close codes that servers refuse: every close ends its connection, if need be with another code."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from typing import Any

from ..exceptions import check_close
from ..types import Message

__all__ = ["is_close", "is_loss", "send_close", "substitute"]

_STANDARD = frozenset({1001, 1002, 1003, *range(1007, 1015)})
_SHIFT = 3900


def is_loss(error: BaseException) -> bool:
    """Whether the error of a server's ``send`` says that the connection is closed; any other is somebody's mistake.

    Servers say so with OSError, as ASGI has it, some with RuntimeError.
    """
    return isinstance(error, OSError) or type(error) is RuntimeError


def is_close(code: Any, reason: Any) -> bool:
    """Whether a close event's code and reason can be sent; None stands for the default of either."""
    try:
        check_close(1000 if code is None else code, reason or "")
    except (TypeError, ValueError):
        return False
    return True


def substitute(code: int) -> int:
    """The private close code that stands for a standard one (RFC 6455 section 7.4.2).

    >>> substitute(1011)
    4911
    """
    return code + _SHIFT


async def send_close(send: Callable[[Message], Awaitable[None]], message: Message) -> None:
    """Send a close event; where the server refuses its code, with one that it takes.

    Daphne refuses every standard code but 1000, with an error that leaves the connection open. Then the private code
    of ``substitute()`` is tried, and 1000 after that.

    Raises:
        OSError, RuntimeError: the connection is closed.
        Exception: what the server said of the code that was asked for: it takes none, or that is no code at all.
    """
    problem: Exception | None = None
    for attempt in _attempts(message):
        try:
            await send(attempt)
        except Exception as error:
            if is_loss(error):
                raise
            problem = problem or error
        else:
            return
    if problem is not None:
        raise problem


def _attempts(message: Message) -> Iterator[Message]:
    yield message
    code = message.get("code")
    if type(code) is int and code in _STANDARD:
        yield {**message, "code": substitute(code)}
        yield {"type": "websocket.close", "code": 1000}
