"""Exception groups of handlers: which of several exceptions says how the connection ends."""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["significant"]


def significant(
    error: BaseException, lost: type[Exception], is_asked_for: Callable[[BaseException], bool]
) -> BaseException:
    """The significant exception of a handler: of an exception group, failures come before what somebody asked for,
    and that before a connection that was lost.

    Args:
        lost: what says no more than that a connection is gone.
        is_asked_for: whether an exception says itself how the connection is closed.
    Returns:
        The group of failures if there are any, else the first of the others; what is no group, as it is.
    """
    if not isinstance(error, ExceptionGroup):
        return error
    gone, rest = error.split(lost)
    asked, failures = (None, None) if rest is None else rest.split(is_asked_for)
    if failures is not None:
        return failures
    first: BaseException = asked or gone or error
    while isinstance(first, BaseExceptionGroup):
        first = first.exceptions[0]
    return first
