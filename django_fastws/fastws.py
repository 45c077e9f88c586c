"""FastWS: the decorators that turn functions and consumer classes into routes."""

from __future__ import annotations

import contextlib
import inspect
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Mapping
from ssl import SSLContext
from typing import Any, ParamSpec, Protocol, TypeVar, Unpack, cast, overload

from channels.consumer import AsyncConsumer
from django.urls.converters import get_converters

from ._core.paths import Path, join, parse
from ._core.urls import check_url
from .exceptions import RouteError
from .limits import FROM_SETTINGS, OPTIONS, Access, Admission, FromSettings, Limits, Permission
from .routing import (
    ConsumerEndpoint,
    Endpoint,
    OutboundRoute,
    RequestOptions,
    Route,
    Signature,
    check_handler,
    check_request,
    check_socket,
    checks_options,
    kept,
    label_of,
    place_of,
    read_signature,
    registry,
    request_options,
    statuses,
    unknown_option,
)

__all__ = ["FastWS", "WebSocketHandler"]

Consumer = TypeVar("Consumer", bound=type[AsyncConsumer])
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)


Outgoing = TypeVar("Outgoing", bound=Callable[..., Coroutine[Any, Any, Any]])
#: A URL, or a callable, sync or async, that returns one.
Url = str | Callable[[], str | Awaitable[str]]


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

    @checks_options("FastWS")
    def __init__(self, prefix: str = "", tags: Iterable[str] = ()) -> None:
        try:
            parse(prefix)
        except (TypeError, ValueError) as error:
            raise RouteError(f"FastWS(prefix=...): {error}") from None
        self.prefix = prefix
        self.tags = _tags(tags)
        self.routes: list[Route] = []
        self.outbound: list[OutboundRoute] = []
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
            login_required: deny with 401 whoever is not logged in.
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
            frame = inspect.currentframe()
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
        all_tags = self.tags + _tags(tags)
        _check_name(label, name)
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

    # Sockets that go out

    @checks_options("ws")
    def ws(
        self,
        url: Url,
        *,
        reconnect: bool = False,
        max_retries: int = 0,
        retry_on_error: bool = False,
        restart_on_end: bool = False,
        retry_on_status: Iterable[int] | None = None,
        tags: Iterable[str] | None = None,
        name: str | None = None,
        headers: Any = None,
        subprotocols: Iterable[str] | None = None,
        ssl: SSLContext | None = None,
        proxy: str | bool | None = True,
        compression: str | None = "deflate",
        origin: str | None = None,
        open_timeout: float | None = 10,
        ping_interval: float | None = 20,
        ping_timeout: float | None = 20,
        close_timeout: float | None = 10,
        max_size: int | None = 1024 * 1024,
        max_queue: int | None = 16,
        lease: bool = False,
    ) -> Callable[[Outgoing], Outgoing]:
        """Connect to a WebSocket server, from ``manage.py runws_clients``; the decorated handler gets the socket.

        A handler that returns while the connection is open ends its route: closed with 1000, done. With
        ``reconnect``, a connection that failed, was lost or was closed by the peer is made again, after a delay that
        grows (``FASTWS_CLIENT_BACKOFF_*``); and ``raise Reconnect()`` asks for a new one. What cannot pass ends the
        route at once: HTTP 400, 401, 403, 404, 410 or 451, a bad certificate, an invalid URL. An exception that is no
        connection error is logged with its traceback. Every end of a route is logged.

        Args:
            url: ws:// or wss://; or a callable, sync or async, that returns it and is asked at every attempt.
            reconnect: connect again.
            max_retries: how often in a row; -1 is without end. The count starts again after a connection that stayed
                up for ``FASTWS_CLIENT_STABLE_SECONDS``.
            retry_on_error: connect again also after an exception of the handler.
            restart_on_end: connect again also after a handler has returned, or closed the connection itself.
            retry_on_status: HTTP statuses that may pass besides 408, 425, 429 and 5xx. None is 401, 403, 404 and 451
                where the URL or the headers are a callable, which may give another token next time, else none.
            tags: labels, for ``--tag`` and ``ws.tags``.
            name: what ``--route`` finds it by; unique. The handler's own name where it is None.
            headers: of the handshake: a mapping or pairs; or a callable, sync or async, asked at every attempt. They
                replace what would be sent under the same name, and do not follow a redirect to another origin.
            subprotocols: a list, offered in order of preference.
            ssl: an ``ssl.SSLContext`` for wss://; None makes Python's default one.
            proxy: True takes the system's, None or False none, a str is the proxy's URL.
            compression: "deflate" offers it (RFC 7692), None does not.
            origin: the Origin header, for servers that want one.
            open_timeout: seconds for connecting and the handshake; None disables it.
            ping_interval: seconds between two pings; None sends none.
            ping_timeout: seconds to wait for a pong; None waits for ever.
            close_timeout: seconds to wait for the closing handshake, and for a peer that has closed to go; None waits
                for ever.
            max_size: of a message that comes in, in bytes, over which the connection is closed with 1009; None
                disables it.
            max_queue: messages that wait to be received before reading is paused; None disables it. One read may
                bring more, up to 256 KiB of them.
            lease: of all processes that share a Redis, only one runs this route at a time.
        Raises:
            RouteError: (a TypeError and ValueError) the handler is not async, or an option cannot be.
        """
        again_on = kept(retry_on_status)
        options: dict[str, Any] = {
            "headers": kept(headers),
            "subprotocols": subprotocols if isinstance(subprotocols, str) else list(subprotocols or ()) or None,
            "ssl": ssl,
            "proxy": proxy or None,
            "compression": compression,
            "origin": origin,
            "open_timeout": open_timeout,
            "ping_interval": ping_interval,
            "ping_timeout": ping_timeout,
            "close_timeout": close_timeout,
            "max_size": max_size,
            "max_queue": max_queue,
        }

        def decorate(handler: Outgoing) -> Outgoing:
            label = label_of(handler)
            check_handler(handler, "ws")
            if type(max_retries) is not int or max_retries < -1:
                raise RouteError(f"{label}: max_retries={max_retries!r} is neither a count nor -1 (without end)")
            if restart_on_end and not reconnect:
                raise RouteError(f"{label}: restart_on_end=True needs reconnect=True")
            check_socket(label, options)
            self._add_outbound(
                url,
                handler,
                name,
                tags,
                ("ws", "wss"),
                reconnect=reconnect,
                max_retries=max_retries,
                retry_on_error=retry_on_error,
                restart_on_end=restart_on_end,
                retry_on_status=statuses(label, again_on),
                lease=lease,
                options=options,
            )
            return handler

        return decorate

    # HTTP requests

    @checks_options("get")
    def get(self, url: Url, **options: Unpack[RequestOptions]) -> Callable[[Outgoing], Outgoing]:
        """Send one GET request before the sockets open; the decorated handler gets the ``Response``.

        All requests are sent together, each with its own time limit. What the handler returns is logged. A request
        that fails, or is answered with a status of 400 or more, makes the exit status of the command 1; the sockets
        open all the same. They do not wait for a handler that takes over ``FASTWS_CLIENT_HTTP_HANDLER_SECONDS``.

        Args:
            url: http:// or https://; or a callable, sync or async, that returns it.
            tags: labels, for ``--tag``.
            name: what ``--route`` finds it by; unique. The handler's own name where it is None.
            params: of the query string.
            headers: a mapping or pairs; or a callable, sync or async. They replace what would be sent under the same
                name, and do not follow a redirect to another origin.
            json: the body, sent as JSON of any size.
            data: the body, sent as a form; str or bytes are sent as they are.
            timeout: in seconds, for the whole request; with ``stream`` until the handler is called, and then for each
                piece. None disables it.
            ssl: an ``ssl.SSLContext`` for https://; None makes a default one.
            proxy: True takes the system's, None or False none, a str is the proxy's URL.
            follow_redirects: False gives the handler the redirect itself.
            max_size: of the body of the answer, in bytes, unpacked; a larger one is an error. None disables it.
            stream: give the handler the response before its body is read, however large: it reads
                ``response.aiter_bytes()``.
        Raises:
            RouteError: (a TypeError and ValueError) the handler is not async, or an option cannot be.
        """
        return self._request("GET", url, options)

    @checks_options("post")
    def post(self, url: Url, **options: Unpack[RequestOptions]) -> Callable[[Outgoing], Outgoing]:
        """Send one POST request; as ``get``."""
        return self._request("POST", url, options)

    @checks_options("put")
    def put(self, url: Url, **options: Unpack[RequestOptions]) -> Callable[[Outgoing], Outgoing]:
        """Send one PUT request; as ``get``."""
        return self._request("PUT", url, options)

    @checks_options("patch")
    def patch(self, url: Url, **options: Unpack[RequestOptions]) -> Callable[[Outgoing], Outgoing]:
        """Send one PATCH request; as ``get``."""
        return self._request("PATCH", url, options)

    @checks_options("delete")
    def delete(self, url: Url, **options: Unpack[RequestOptions]) -> Callable[[Outgoing], Outgoing]:
        """Send one DELETE request; as ``get``."""
        return self._request("DELETE", url, options)

    @checks_options("head")
    def head(self, url: Url, **options: Unpack[RequestOptions]) -> Callable[[Outgoing], Outgoing]:
        """Send one HEAD request; as ``get``."""
        return self._request("HEAD", url, options)

    @checks_options("options")
    def options(self, url: Url, **options: Unpack[RequestOptions]) -> Callable[[Outgoing], Outgoing]:
        """Send one OPTIONS request; as ``get``."""
        return self._request("OPTIONS", url, options)

    def _request(self, method: str, url: Url, options: RequestOptions) -> Callable[[Outgoing], Outgoing]:
        for option in options:
            if option not in RequestOptions.__annotations__:
                raise unknown_option(method.lower(), option, RequestOptions.__annotations__)

        sent = request_options(options)

        def decorate(handler: Outgoing) -> Outgoing:
            label = label_of(handler)
            check_handler(handler, "resp")
            check_request(label, sent)
            name, tags = options.get("name"), options.get("tags")
            self._add_outbound(url, handler, name, tags, ("http", "https"), method=method, options=sent)
            return handler

        return decorate

    def _add_outbound(
        self,
        url: Url,
        handler: Any,
        name: str | None,
        tags: Iterable[str] | None,
        schemes: tuple[str, ...],
        **fields: Any,
    ) -> None:
        label = label_of(handler)
        _check_name(label, name)
        if not callable(url):
            try:
                check_url(url, schemes)
            except ValueError as error:
                raise RouteError(f"{label}: {error}") from None
        route = OutboundRoute(
            url=url,
            handler=handler,
            name=name or handler.__name__,
            is_named=name is not None,
            tags=self.tags + _tags(tags),
            place=place_of(handler),
            **fields,
        )
        self.outbound.append(route)
        registry.changed()

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
