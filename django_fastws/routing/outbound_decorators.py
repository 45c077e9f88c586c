"""Decorators of outbound routes: WebSockets and HTTP requests of ``manage.py runws_clients``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Iterable
from ssl import SSLContext
from typing import Any, TypeVar, Unpack

from .._core.outbound_urls import check_url
from ..exceptions import RouteError
from .declarations import check_name, checked_tags, checks_options, unknown_option
from .outbound_options import (
    RequestOptions,
    check_request,
    check_socket,
    checked_statuses,
    request_options,
    reusable,
    socket_options,
)
from .routes import OutboundRoute, registry
from .signatures import check_handler, label_of, place_of

__all__ = ["OutboundDecorators"]

Outgoing = TypeVar("Outgoing", bound=Callable[..., Coroutine[Any, Any, Any]])
#: A URL, or a callable, sync or async, that returns one.
Url = str | Callable[[], str | Awaitable[str]]


class OutboundDecorators:
    """Decorators of outbound routes, which ``FastWS`` has.

    Attributes:
        tags: go before the tags of every route.
        outbound: the routes.
    """

    tags: tuple[str, ...]
    outbound: list[OutboundRoute]

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
        given = dict(locals())
        again_on = reusable(retry_on_status)
        options = socket_options(given)

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
                retry_on_status=checked_statuses(label, again_on),
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
        check_name(label, name)
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
            tags=self.tags + checked_tags(tags),
            place=place_of(handler),
            **fields,
        )
        self.outbound.append(route)
        registry.changed()
