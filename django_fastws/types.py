"""Names for the shapes that the package passes around."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, MutableMapping
from typing import Any, NamedTuple, Protocol

from typing_extensions import TypeVar

__all__ = [
    "ASGIApp",
    "Address",
    "CallScope",
    "Data",
    "HasId",
    "Headers",
    "Message",
    "Receive",
    "Scope",
    "Send",
    "SocketUser",
    "UserT",
]

Scope = MutableMapping[str, Any]
# Libraries have types of their own for these: asgiref and Channels TypedDicts, Starlette mutable mappings. What is an
# application, or takes one, fits all of them.
CallScope = Mapping[str, Any]
Message = Mapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Any], Awaitable[None]]
ASGIApp = Callable[[Any, Any, Any], Awaitable[Any]]

# What send() and broadcast() take: str and bytes go out as text and binary frames, the rest as JSON.
Data = Any

# Header names and values as a caller may give them.
Headers = Mapping[Any, Any] | tuple[tuple[Any, Any], ...] | list[tuple[Any, Any]]


class Address(NamedTuple):
    """One end of a connection. The port is 0 where there is none (a Unix socket)."""

    host: str
    port: int


class HasId(Protocol):
    """Socket of any kind, as far as its id goes."""

    @property
    def id(self) -> str: ...


class SocketUser(Protocol):
    """User of a socket, as type checkers see one: what Django's users and its ``AnonymousUser`` have.

    For a project's own user model, the annotation names it: ``ws: WebSocket[Member]``.
    """

    pk: Any

    @property
    def username(self) -> str: ...

    @property
    def is_active(self) -> bool: ...

    @property
    def is_staff(self) -> bool: ...

    @property
    def is_superuser(self) -> bool: ...

    @property
    def is_authenticated(self) -> bool: ...

    @property
    def is_anonymous(self) -> bool: ...

    def get_username(self) -> str: ...

    def has_perm(self, perm: str, obj: Any = None) -> bool: ...

    def has_perms(self, perm_list: Iterable[str], obj: Any = None) -> bool: ...

    def has_module_perms(self, module: str) -> bool: ...

    async def ahas_perm(self, perm: str, obj: Any = None) -> bool: ...

    async def ahas_perms(self, perm_list: Iterable[str], obj: Any = None) -> bool: ...


#: The class of ``ws.user``, for type checkers alone.
UserT = TypeVar("UserT", default=SocketUser, covariant=True)
