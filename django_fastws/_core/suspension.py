"""Detection of a suspended task: whether an await had to wait, or its result was there at once.

The receive limiter asks it, to know whether a message had waited before it was received.
"""

from __future__ import annotations

from collections.abc import Awaitable, Generator
from typing import Any, Generic, TypeVar

__all__ = ["Suspension"]

Result = TypeVar("Result")


class Suspension(Generic[Result]):
    """Awaitable around another one, which notes whether the task was suspended; to be awaited once.

    Args:
        awaitable: a coroutine, or whatever else can be awaited.

    Attributes:
        has_waited: whether the task was suspended, so that others had their turn before the result was there.
    """

    __slots__ = ("_inner", "has_waited")

    def __init__(self, awaitable: Awaitable[Result]) -> None:
        self._inner: Any = awaitable.__await__()
        self.has_waited = False

    def __await__(self) -> Generator[Any, Any, Result]:
        return self  # which has all that ``await`` uses of a generator

    def __iter__(self) -> Suspension[Result]:
        return self

    def __next__(self) -> Any:
        yielded = next(self._inner)
        self.has_waited = True
        return yielded

    def send(self, value: Any) -> Any:
        """Send a value into the inner awaitable, as a generator's ``send()``."""
        if value is None:
            return next(self)
        yielded = self._inner.send(value)
        self.has_waited = True
        return yielded

    def throw(self, *error: Any) -> Any:
        """Throw an error into the inner awaitable, as a generator's ``throw()``."""
        yielded = self._inner.throw(*error)
        self.has_waited = True
        return yielded

    def close(self) -> None:
        """Close the inner awaitable, as a generator's ``close()``."""
        close = getattr(self._inner, "close", None)
        if close is not None:
            close()
