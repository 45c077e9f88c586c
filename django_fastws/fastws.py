"""FastWS: the decorators that turn functions and consumer classes into routes."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import Any, ParamSpec, Protocol, TypeVar, cast, overload

from channels.consumer import AsyncConsumer
from django.urls.converters import get_converters

from ._core.paths import Path, join, parse
from .endpoint import Endpoint
from .routes import Route, registry
from .signatures import RouteError, Signature, label_of, place_of, read_signature

__all__ = ["FastWS", "WebSocketHandler"]

Consumer = TypeVar("Consumer", bound=type[AsyncConsumer])
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


class WebSocketHandler(Protocol[Arguments, Result_co]):
    """A handler after its decoration: the same function, which can also be mounted by hand."""

    __name__: str

    def __call__(self, *args: Arguments.args, **kwargs: Arguments.kwargs) -> Result_co: ...

    def as_asgi(self) -> Any:
        """The handler as an ASGI application, for ``django.urls.path()`` in a Channels ``URLRouter``."""


class FastWS:
    """A group of routes. Make one in an app's ``consumers.py``, which is found at start-up.

    Args:
        prefix: goes before the path of every route; it may have parameters.
        tags: go before the tags of every route.
    Raises:
        RouteError: (a TypeError) the prefix is no path.
    """

    def __init__(self, prefix: str = "", tags: Iterable[str] = ()) -> None:
        try:
            parse(prefix)
        except (TypeError, ValueError) as error:
            raise RouteError(f"FastWS(prefix=...): {error}") from None
        self.prefix = prefix
        self.tags = _tags(tags)
        self.routes: list[Route] = []
        registry.apps.append(self)
        registry.changed()

    def websocket(self, path: str, *, name: str | None = None, tags: Iterable[str] | None = None) -> _Decorator:
        """Route sockets that come in on a path to the decorated handler.

        The handler is an ``async def`` that takes the WebSocket first; or a Channels consumer class. Parameters that
        the path names get what it holds. Every other parameter is read from the query string and converted by its
        annotation; one without a default is required. What does not fit is refused with HTTP 400.

        The function is returned as it is, with ``as_asgi()`` added for mounting it by hand.

        Args:
            path: ``/chat/{room}``; ``{pk:int}`` and ``<int:pk>`` name a converter, else the annotation picks it.
            name: what ``reverse_ws`` finds it by; unique. The handler's own name where it is None.
            tags: labels, for ``ws.tags`` and ``manage.py ws_routes``.
        Raises:
            RouteError: (a TypeError) the handler is not async, or a parameter or the path cannot be.
        """

        def decorate(handler: Any) -> Any:
            frame = inspect.currentframe()
            caller = frame.f_back.f_locals if frame is not None and frame.f_back is not None else {}
            self.routes.append(self._route(path, handler, name, tags, caller))
            registry.changed()
            return handler

        return decorate

    def _route(
        self, path: str, handler: Any, name: str | None, tags: Iterable[str] | None, caller: Mapping[str, Any]
    ) -> Route:
        label = label_of(handler)
        if not isinstance(path, str):
            raise RouteError(f"{label}: a path is a str such as '/chat/{{room}}', not {type(path).__name__}")
        full_path = join(self.prefix, path)
        all_tags = self.tags + _tags(tags)
        _check_name(label, name)
        pattern = _pattern(label, full_path)
        application, signature = _application(handler, pattern, all_tags, caller)
        return Route(
            path=full_path,
            pattern=pattern,
            handler=handler,
            application=application,
            signature=signature,
            name=name or handler.__name__,
            is_named=name is not None,
            tags=all_tags,
            place=place_of(handler),
        )

    def __repr__(self) -> str:
        return f"FastWS(prefix={self.prefix!r}, tags={list(self.tags)!r})"


class _Decorator(Protocol):
    @overload
    def __call__(self, handler: Consumer) -> Consumer: ...

    @overload
    def __call__(
        self, handler: Callable[Arguments, Coroutine[Any, Any, Result]]
    ) -> WebSocketHandler[Arguments, Coroutine[Any, Any, Result]]: ...


def _application(
    handler: Any, pattern: Path, tags: tuple[str, ...], caller: Mapping[str, Any]
) -> tuple[Any, Signature | None]:
    """The ASGI application of a handler, and what the handler takes."""
    if isinstance(handler, type) and issubclass(handler, AsyncConsumer):
        return cast("Any", handler).as_asgi(), None
    if hasattr(handler, "consumer_class"):  # what a consumer's as_asgi() has returned
        return handler, None
    signature = read_signature(handler, caller, pattern)
    endpoint = Endpoint(handler, signature, tags)
    if not hasattr(handler, "as_asgi"):
        with contextlib.suppress(AttributeError):  # of a bound method, which takes none
            handler.as_asgi = lambda: endpoint
    return endpoint, signature


def _pattern(label: str, path: str) -> Path:
    try:
        pattern = parse(path)
    except ValueError as error:
        raise RouteError(f"{label}: {error}") from None
    known = get_converters()
    for param in pattern.params:
        if param.converter is not None and param.converter not in known:
            raise RouteError(
                f"{label}: no path converter is called {param.converter!r}; there are {', '.join(sorted(known))}"
            )
    return pattern


def _check_name(label: str, name: Any) -> None:
    if name is not None and (not isinstance(name, str) or not name or ":" in name):
        raise RouteError(f"{label}: name={name!r} is no name: use a str without a colon")


def _tags(tags: Iterable[str] | None) -> tuple[str, ...]:
    if isinstance(tags, str):
        raise RouteError(f"tags={tags!r} is one str: write tags=[{tags!r}]")
    return tuple(tags or ())
