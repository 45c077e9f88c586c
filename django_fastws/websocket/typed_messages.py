"""Iterator over the messages of a socket, each validated as a type."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar, cast

if TYPE_CHECKING:
    from .base import WebSocket

__all__ = ["TypedMessages"]

T = TypeVar("T")


class TypedMessages(Generic[T]):
    """Async iterator over validated messages; ``WebSocket.iter_as`` makes one.

    No generator, which an error would end: after a message that does not fit it goes on with the next.
    """

    __slots__ = ("_type", "_ws")

    def __init__(self, ws: WebSocket[Any], type_: Any) -> None:
        self._ws = ws
        self._type = type_

    def __aiter__(self) -> TypedMessages[T]:
        return self

    async def __anext__(self) -> T:
        from ..validation import read_message  # only those who use it import pydantic

        message = await self._ws.__anext__()
        return cast("T", read_message(self._type, message.data, "iter_as"))
