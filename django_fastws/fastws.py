"""FastWS: group of routes, and the decorators that make them of functions and consumer classes."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Callable, Coroutine, Iterable, Mapping
from typing import TYPE_CHECKING, Any, ParamSpec, Protocol, TypeVar, cast, overload

from channels.consumer import AsyncConsumer

from . import standalone
from ._core.paths import Path, join, parse
from .exceptions import RouteError
from .limits import FROM_SETTINGS, OPTIONS, Access, Admission, FromSettings, Limits, Permission
from .routing import (
    ConsumerEndpoint,
    Endpoint,
    OutboundDecorators,
    OutboundRoute,
    Route,
    Signature,
    check_name,
    checked_tags,
    checks_options,
    converter_of,
    label_of,
    place_of,
    read_signature,
    registry,
)

if TYPE_CHECKING:
    from .live import Event, LiveRoom, RoomPermission
    from .rooms import History, Latest, Presence

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


class FastWS(OutboundDecorators):
    """Group of routes. Make one in an app's ``consumers.py``, which is found at start-up.

    Args:
        prefix: goes before the path of every route; it may have parameters.
        tags: go before the tags of every route.
    Raises:
        RouteError: (a TypeError) the prefix is no path.
    """

    @checks_options("FastWS")
    def __init__(self, prefix: str = "", tags: Iterable[str] = ()) -> None:
        try:
            parse(prefix)
        except (TypeError, ValueError) as error:
            raise RouteError(f"FastWS(prefix=...): {error}") from None
        self.prefix = prefix
        self.tags = checked_tags(tags)
        self.routes: list[Route] = []
        self.outbound: list[OutboundRoute] = []
        self.rooms: list[LiveRoom] = []
        registry.apps.append(self)
        registry.changed()

    @checks_options("websocket")
    def websocket(
        self,
        path: str,
        *,
        name: str | None = None,
        tags: Iterable[str] | None = None,
        login_required: bool = False,
        permission: Permission | Iterable[Permission] | None = None,
        max_connections: int | None = None,
        max_connections_per_address: int | FromSettings | None = FROM_SETTINGS,
        max_connections_per_user: int | FromSettings | None = FROM_SETTINGS,
        handshake_rate: str | None = None,
        rate: str | FromSettings | None = FROM_SETTINGS,
        idle_timeout: float | FromSettings | None = FROM_SETTINGS,
        max_lifetime: float | FromSettings | None = FROM_SETTINGS,
        max_message_bytes: int | None = None,
    ) -> _Decorator:
        """Route sockets that come in on a path to the decorated handler.

        The handler is an ``async def`` that takes the WebSocket first; or a Channels consumer class. Parameters that
        the path names get what it holds. Every other parameter is read from the query string and converted by its
        annotation; one without a default is required. What does not fit is denied with HTTP 400.

        The function is returned as it is, with ``as_asgi()`` added for mounting it by hand.

        Limits are of this process. A limit that is left out is the setting's; None is no limit. A rate is
        ``"20/s"``, ``"100/m"``, ``"5/10s"``, each with ``" burst 40"`` or without.

        Args:
            path: ``/chat/{room}``; ``{pk:int}`` and ``<int:pk>`` name a converter, else the annotation picks it.
            name: what ``reverse_ws`` finds it by; unique. The handler's own name where it is None.
            tags: labels, for ``ws.tags`` and ``manage.py ws_routes``.
            login_required: deny with 401 clients that are not logged in.
            permission: ``"app_label.codename"``; or a callable, sync or async, that gets the WebSocket before it is
                accepted and returns whether it may be; or several of them in a list. Who lacks it is denied with
                403, or with 401 if nobody is logged in who could have it.
            max_connections: sockets of this route at a time; more are denied with 429.
            max_connections_per_address: the same for each client address, with 429
                (``FASTWS_MAX_CONNECTIONS_PER_ADDRESS``).
            max_connections_per_user: the same for each user who is logged in, with 429
                (``FASTWS_MAX_CONNECTIONS_PER_USER``).
            handshake_rate: of this route; what comes sooner is denied with 429.
            rate: of the messages of one socket; over it, the socket is closed with 1008 (``FASTWS_MESSAGE_RATE``).
            idle_timeout: seconds without a message from the client, after which the socket is closed with 1008
                (``FASTWS_IDLE_TIMEOUT``).
            max_lifetime: seconds after which the socket is closed with 1013 (``FASTWS_MAX_LIFETIME``).
            max_message_bytes: of a message that comes in; over it, the socket is closed with 1009. The server may
                have a lower limit of its own.
        Raises:
            RouteError: (a TypeError and ValueError) the handler is not async, or a parameter, the path, a limit or a
                permission cannot be.
        """
        given = dict(locals())

        def decorate(handler: Any) -> Any:
            frame = inspect.currentframe()  # of the names around the handler, for annotations that are strings
            caller = frame.f_back.f_locals if frame is not None and frame.f_back is not None else {}
            try:
                access = Access(login_required=login_required, permission=permission)
                admission = Admission(Limits(**{option: given[option] for option in OPTIONS}), access)
            except (TypeError, ValueError) as error:
                raise RouteError(f"{label_of(handler)}: {error}") from None
            self.routes.append(self._route(path, handler, name, tags, caller, admission))
            registry.changed()
            return handler

        return decorate

    @checks_options("room")
    def room(
        self,
        pattern: str,
        *,
        name: str | None = None,
        history: History | None = None,
        presence: Presence | bool = False,
        sends: Iterable[type[Event]] = (),
        tags: Iterable[str] | None = None,
        login_required: bool = False,
        permission: RoomPermission | Iterable[RoomPermission] | None = None,
        rate: str | None = None,
        max_connections: int | None = None,
        max_connections_per_address: int | None = None,
        max_connections_per_user: int | None = None,
        latest: Latest | None = None,
    ) -> LiveRoom:
        """Declare a live room: rooms that clients join by name, as many as they like over one socket.

        Args:
            pattern: of the names, such as ``tickets/{pk:int}``, with the converters of paths. The prefix of the
                FastWS does not go before it.
            name: for the schema and ``manage.py ws_routes``; unique. None makes one of the pattern.
            history: what each room keeps of its broadcasts, for clients that come back: ``History(messages=500)``;
                None keeps nothing. It needs a ``RedisChannelLayer``, or a single process.
            presence: whether each room knows who is in it, in all processes, and tells its members;
                ``Presence(counts_only=True)`` tells them how many. It needs a ``RedisChannelLayer``, or a single
                process.
            sends: the events that are broadcast in these rooms, for the schema and for tests; empty says nothing.
            tags: labels, for ``manage.py ws_routes``.
            login_required: refuse the joins of clients that are not logged in, as "unauthenticated".
            permission: ``"app_label.codename"``; or a callable, sync or async, that gets the LiveSocket and the
                parameters of the pattern and returns whether it may join; or several of them in a list. Who lacks it
                is refused as "forbidden".
            rate: of the events of one socket in one of the rooms; what comes sooner is answered "rate_limited".
            max_connections: members of all these rooms at a time, in this process.
            max_connections_per_address: the same for each client address.
            max_connections_per_user: the same for each user who is logged in.
            latest: makes it keyed: of each key the newest value is kept, which members begin with:
                ``Latest(rate="5/s")``. Without a history and a state function.
        Raises:
            RouteError: (a TypeError and ValueError) the pattern, a limit, a permission or an event cannot be.
        """
        from .live import declare_room  # only projects that declare rooms import pydantic

        room = declare_room(
            pattern,
            name=name,
            history=history,
            latest=latest,
            presence=presence,
            sends=sends,
            tags=self.tags + checked_tags(tags),
            login_required=login_required,
            permission=permission,
            rate=rate,
            limits={
                "max_connections": max_connections,
                "max_connections_per_address": max_connections_per_address,
                "max_connections_per_user": max_connections_per_user,
            },
        )
        self.rooms.append(room)
        registry.changed()
        return room

    def run(self, *, settings: Mapping[str, Any] | None = None) -> None:
        """Run the outbound routes of this FastWS, as ``manage.py runws_clients`` does; the end of a one-file program.

        The HTTP requests first, all together, then the sockets, until they end or SIGINT, SIGTERM or SIGHUP stop them
        in order. Call it in the main thread, where no event loop runs.

        Where Django is configured, or ``DJANGO_SETTINGS_MODULE`` says how, those settings are used. Else Django is
        configured without a database, sessions and users, with the in-memory channel layer and a random key.

        Args:
            settings: that are added to these, or replace some, by their names: ``{"FASTWS_DRAIN_SECONDS": 5}``.
        Raises:
            WebSocketStateError: (a RuntimeError) it is called in a running event loop, or in another thread.
            ImproperlyConfigured: settings are given where Django is configured, or one cannot be what it is.
            SystemExit: with 1, if a request or a route has failed for good, or there is nothing to run.
        """
        standalone.run(registry.part(self), settings)

    def serve(self, host: str = "127.0.0.1", port: int = 8000, *, settings: Mapping[str, Any] | None = None) -> None:
        """Serve the inbound routes of this FastWS, as ``manage.py runws_server`` does; the end of a one-file program.

        It returns when SIGINT, SIGTERM or SIGHUP have stopped it in order. Call it once in a process, in the main
        thread, where no event loop runs.

        The settings are those of ``run()``. Without a project, ``ALLOWED_HOSTS`` is what the server is bound to, and
        browsers are let in from pages of these hosts, on any port; every client is anonymous.

        Args:
            host: to bind to: an address or a name; "0.0.0.0" is every address of the machine.
            port: 0 is one that is free, which the log says.
            settings: as ``run()`` takes them.
        Raises:
            WebSocketStateError: (a RuntimeError) it is called in a running event loop, in another thread, or again.
            ImproperlyConfigured: as of ``run()``; or two routes have one path.
            TypeError, ValueError: the host or the port cannot be one.
            SystemExit: with 1, if it cannot listen, or there is nothing to serve.
        """
        standalone.serve(registry.part(self), host, port, settings)

    def _route(
        self,
        path: str,
        handler: Any,
        name: str | None,
        tags: Iterable[str] | None,
        caller: Mapping[str, Any],
        admission: Admission,
    ) -> Route:
        label = label_of(handler)
        if not isinstance(path, str):
            raise RouteError(f"{label}: a path is a str such as '/chat/{{room}}', not {type(path).__name__}")
        full_path = join(self.prefix, path)
        all_tags = self.tags + checked_tags(tags)
        check_name(label, name)
        pattern = _pattern(label, full_path)
        application, signature = _application(handler, pattern, all_tags, caller, admission)
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
            admission=admission,
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
    handler: Any, pattern: Path, tags: tuple[str, ...], caller: Mapping[str, Any], admission: Admission
) -> tuple[Any, Signature | None]:
    """The ASGI application of a handler, and what the handler takes."""
    if isinstance(handler, type) and issubclass(handler, AsyncConsumer):
        return ConsumerEndpoint(cast("Any", handler).as_asgi(), admission, tags), None
    if hasattr(handler, "consumer_class"):  # what a consumer's as_asgi() has returned
        return ConsumerEndpoint(handler, admission, tags), None
    signature = read_signature(handler, caller, pattern)
    endpoint = Endpoint(handler, signature, tags, admission)
    if not hasattr(handler, "as_asgi"):
        with contextlib.suppress(AttributeError):  # of a bound method, which takes none
            handler.as_asgi = lambda: endpoint
    return endpoint, signature


def _pattern(label: str, path: str) -> Path:
    try:
        pattern = parse(path)
    except ValueError as error:
        raise RouteError(f"{label}: {error}") from None
    for param in pattern.params:
        if param.converter is not None:
            converter_of(label, param.converter, param.name)
    return pattern
