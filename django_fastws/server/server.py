"""The server: daphne's, with an orderly stop, health and a lifespan."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
import re
import socket
import time
from collections.abc import Callable
from typing import Any
from weakref import WeakSet

from daphne.access import AccessLogGenerator
from daphne.http_protocol import WebRequest
from daphne.server import Server as DaphneServer
from daphne.server import reactor
from twisted.internet import defer
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.web.http_headers import Headers

from .._core.answers import checked_body, checked_response
from ..conf import conf
from ..layer import announce_layer
from ..masking import mask_path
from ..python_warnings import reveal_warnings
from ..rooms import current_hub
from ..stopping import OrderlyStop
from ..tasks import BackgroundTasks
from ..types import ASGIApp, Message, Receive, Scope, Send
from ..users import current_users
from .access_log import AccessLog, shown
from .backpressure import request_has_room, tcp_below, transport_has_room, unsent_bytes
from .channel import Channel, NegotiatingChannel
from .drain import Drain
from .forwarded import Forwarded
from .health import Health
from .inbox import Inbox
from .lifespan import Lifespan
from .pending import PendingRequests
from .protocol import WebSocketProtocol
from .requests import Request
from .spool import Spools
from .timers import Timers
from .unix import UnixSocket, UnixSocketError, claimed, leave_path

__all__ = ["Server"]

logger = logging.getLogger("django_fastws.server")

_CHECK_SECONDS = 1.0  # between two looks at what has lasted too long
_GRACE_SECONDS = 1.0  # for applications that are cancelled to end
_FINISH_SECONDS = 2.0  # for rooms to be left and the lifespan to end, after the drain
_SETTLE_SECONDS = 5.0  # of the drain's time that is left over, for a layer that is slow or away
_FD = re.compile(r"fd:fileno=\d+")
#: Where proxies tell which port the client asked for. daphne takes it for the client's own, unless told of another.
_PORT_ASKED_FOR = b"x-forwarded-port"


class Server(DaphneServer):  # type: ignore[misc]
    """Serves an ASGI application until it is told to stop.

    Takes what daphne's server takes, and

    Args:
        forwarded_hops: how many proxies stand in front of the server, whose X-Forwarded-* headers are believed;
            None for 1 if daphne's ``proxy_forwarded_address_header`` is given, else for none.
        lifespan: "auto", "on" or "off".
        per_message_deflate: whether to agree to compression.
        drain_seconds: how long an orderly stop may take; None for ``FASTWS_DRAIN_SECONDS``.
        websocket_max_message_size, websocket_max_frame_size: None for ``FASTWS_MAX_MESSAGE_BYTES``.
    """

    action_logger: Any
    endpoints: list[str]
    ready_callable: Callable[[], None] | None
    signal_handlers: bool

    #: Whether sockets are closed over a time when the server stops, or all at once.
    spreads_drain = True

    def __init__(
        self,
        application: ASGIApp,
        *args: Any,
        forwarded_hops: int | None = None,
        lifespan: str = "off",
        per_message_deflate: bool = False,
        drain_seconds: float | None = None,
        websocket_max_message_size: int | None = None,
        websocket_max_frame_size: int | None = None,
        **options: Any,
    ) -> None:
        forwarded = [options.pop(f"proxy_forwarded_{what}_header", None) for what in ("address", "port", "proto")]
        limit = conf.max_message_bytes if websocket_max_message_size is None else websocket_max_message_size
        super().__init__(
            application,
            *args,
            websocket_max_message_size=limit,
            websocket_max_frame_size=limit if websocket_max_frame_size is None else websocket_max_frame_size,
            **options,
        )
        if type(self.action_logger) is AccessLogGenerator:
            self.action_logger = AccessLog(self.action_logger.stream)
        # daphne takes any socket that it is handed for one of IPv4.
        self._descriptors = [int(text.partition("fileno=")[2]) for text in self.endpoints if _FD.fullmatch(text)]
        self.endpoints = [text for text in self.endpoints if not _FD.fullmatch(text)]
        self.per_message_deflate = per_message_deflate
        self.is_draining = False
        self._drained_by = 0.0
        self._forwarded = _forwarded(forwarded_hops, forwarded)
        self._drain_seconds = drain_seconds
        self._lifespan = Lifespan(application, lifespan)
        self._health = Health(lambda: self.is_draining)
        self.spools = Spools()
        self.pending = PendingRequests(reactor.callLater)
        self._channels: WeakSet[Any] = WeakSet()
        self._ports: list[Any] = []
        self._unix_sockets = [unix for text in self.endpoints if (unix := UnixSocket.of(text))]
        # A lock of Twisted's would outlive a process that is killed.
        self.endpoints = [f"{text}:lockfile=0" if UnixSocket.of(text) else text for text in self.endpoints]
        self._claims = contextlib.ExitStack()
        self._late: set[Any] = set()
        self._tasks = BackgroundTasks(logger)
        self._when_ready: Callable[[], None] | None = self.ready_callable
        self.ready_callable = self._ready

    # Running

    def run(self) -> None:
        """Serve until told to stop; sets ``abort_start`` if it could not begin."""
        loop = reactor._asyncioEventloop
        asyncio.set_event_loop(loop)
        if not loop.run_until_complete(self._lifespan.startup()):
            self.abort_start = True
            return
        try:
            with contextlib.ExitStack() as claims:
                self._claims = claims
                claims.enter_context(claimed(self._unix_sockets))
                super().run()
        except UnixSocketError as error:
            logger.critical("Cannot listen: %s", error)
            self.abort_start = True
        finally:
            loop.run_until_complete(self._finish())

    def _ready(self) -> None:
        """What daphne calls between having made its factories and beginning to serve."""
        reveal_warnings()
        self.ws_factory.protocol = WebSocketProtocol
        self.ws_factory._batched_timer = Timers()
        self.http_factory.protocol = functools.partial(NegotiatingChannel, self._build_channel)
        build = self.http_factory.buildProtocol

        def build_and_remember(address: Any) -> Any:
            channel = build(address)
            channel.requestFactory = Request
            self._channels.add(channel)
            return channel

        self.http_factory.buildProtocol = build_and_remember
        self._claims.close()  # every endpoint listens, or has failed
        for descriptor in self._descriptors:
            self._listen_on(descriptor)
        if self.signal_handlers:
            self.signal_handlers = False  # Twisted's cut every connection
            OrderlyStop(
                reactor._asyncioEventloop,
                self.drain,
                seconds=lambda: self.drain_seconds + _FINISH_SECONDS + _GRACE_SECONDS,
                status=lambda: 0,
                logger=logger,
            ).install()
        reactor.callWhenRunning(self._spawn, announce_layer)
        if self._when_ready is not None:
            self._when_ready()

    def _build_channel(self) -> Channel:
        # Behind a proxy, one address stands for everybody.
        return Channel(self.pending, counts_address=self._forwarded is None)

    def _spawn(self, function: Callable[[], Any]) -> None:
        self._tasks.start(function(), loop=reactor._asyncioEventloop)  # which does not run yet at the beginning

    def _listen_on(self, descriptor: int) -> None:
        """Listen on a socket that somebody else has opened, of whatever family."""
        try:
            with socket.socket(fileno=os.dup(descriptor)) as opened:
                family = opened.family
            listening = AdoptedStreamServerEndpoint(reactor, descriptor, family).listen(self.http_factory)
        except OSError as error:
            listening = defer.fail(error)
        listening.addCallback(self.listen_success)
        listening.addErrback(self.listen_error)

    def listen_error(self, failure: Any) -> None:
        super().listen_error(failure)
        self.abort_start = True
        reactor.callWhenRunning(self.stop)  # if it does not know that yet

    def listen_success(self, port: Any) -> None:
        self._ports.append(port)
        self._adopt(port)
        super().listen_success(port)

    def _adopt(self, port: Any) -> None:
        """See to the path of a Unix socket: Twisted would remove it whoever it belongs to at the end."""
        name = getattr(port, "_bindPath", None)
        if name is not None:
            for unix in self._unix_sockets:
                if os.fsencode(unix.path) == name:
                    unix.adopt(port)
            leave_path(port)

    async def _finish(self) -> None:
        """After the last connection: leave the rooms, end the lifespan and whatever still runs."""
        left = max(0.0, self._drained_by - time.monotonic())
        try:
            async with asyncio.timeout(min(left, _SETTLE_SECONDS) + _FINISH_SECONDS / 2):
                await current_hub().settled()
                await current_users().settled()
        except TimeoutError:
            logger.warning("The channel layer did not take back every subscription in time")
        left = max(0.0, self._drained_by - time.monotonic())
        await self._lifespan.shutdown(left + _FINISH_SECONDS / 2)
        others = asyncio.all_tasks() - {asyncio.current_task()}
        for task in others:
            task.cancel()
        if others:
            await asyncio.wait(others, timeout=_FINISH_SECONDS / 4)
        await asyncio.get_running_loop().shutdown_asyncgens()

    # Stopping

    def drain(self) -> None:
        """Begin an orderly stop; once. The reactor stops when it is over."""
        if self.is_draining:
            return
        self.is_draining = True
        self._drained_by = time.monotonic() + self.drain_seconds
        self._spawn(self._drain)

    @property
    def drain_seconds(self) -> float:
        """How long an orderly stop may take."""
        return conf.drain_seconds if self._drain_seconds is None else self._drain_seconds

    async def _drain(self) -> None:
        try:
            await Drain(self, self.drain_seconds, spread=self.spreads_drain).run()
        finally:
            self.stop()

    def sockets(self) -> list[WebSocketProtocol]:
        """The WebSocket connections that are open, or whose application has not ended."""
        return [
            protocol
            for protocol, details in self.connections.items()
            if isinstance(protocol, WebSocketProtocol)
            and ("disconnected" not in details or "application_instance" in details)
        ]

    def requests(self) -> list[object]:
        """The HTTP requests that are not answered, and connections that have not taken their answer."""
        requests: list[object] = [
            protocol
            for protocol, details in self.connections.items()
            if isinstance(protocol, WebRequest) and "disconnected" not in details
        ]
        return requests + [channel for channel in self._channels if _is_flushing(channel)]

    def streams(self) -> list[Request]:
        """The HTTP requests whose answers are streamed, and whose applications wait for a disconnect."""
        return [protocol for protocol in self.connections if isinstance(protocol, Request) and protocol.can_be_told]

    def tell_disconnect(self) -> None:
        """Tell the applications of all HTTP requests that their clients have gone."""
        for protocol in list(self.connections):
            if isinstance(protocol, Request):
                protocol.tell_disconnect()

    def applications(self) -> list[asyncio.Future[None]]:
        """Whatever applications run."""
        running = (details.get("application_instance") for details in self.connections.values())
        return [task for task in running if task is not None and not task.done()]

    def has_connections(self) -> bool:
        """Whether any HTTP connection is open, be it idle."""
        return any(_is_connected(channel) for channel in list(self._channels))

    def close_idle(self) -> None:
        """Close HTTP connections that wait for a request; the others are closed behind their answer."""
        for channel in list(self._channels):
            http = _http_of(channel)
            if http.transport is not None and not getattr(http, "requests", True):
                http.loseConnection()

    def stop_listening(self) -> None:
        """Take no more connections."""
        for unix in self._unix_sockets:
            unix.remove()  # before the port is closed: who finds the path finds a server
        while self._ports:
            self._ports.pop().stopListening()

    def kill_all_applications(self) -> Any:
        """Cancel what still runs when the reactor stops; it waits for the result."""
        tasks = self.applications()
        if not tasks:
            return None
        for task in tasks:
            task.cancel()
        return defer.Deferred.fromFuture(asyncio.ensure_future(asyncio.wait(tasks, timeout=_GRACE_SECONDS)))

    # Connections

    def create_application(self, protocol: Any, scope: Scope) -> Any:
        """Start the application for one connection; returns the queue for the events of a socket."""
        is_websocket = scope["type"] == "websocket"
        scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}
        scope["state"] = self._lifespan.state.copy()
        if is_websocket:
            protocol.complete_scope(scope)
        else:
            scope["headers"] = protocol.received_headers
            if not scope["path"].startswith("/"):
                _make_relative(scope)
        self._resolve_client(protocol, scope)
        inbox: Inbox | None = protocol.open_inbox() if is_websocket else None
        receive = protocol.open_events().receive if inbox is None else inbox.get
        send = functools.partial(self.handle_reply, protocol)
        self.connections[protocol]["application_instance"] = asyncio.ensure_future(
            self._serve(protocol, self._application_for(scope), scope, receive, send)
        )
        return inbox

    def _application_for(self, scope: Scope) -> ASGIApp:
        if scope["type"] == "websocket" and self.is_draining:
            return _refuse
        application: ASGIApp = self._health.application(scope) or self.application
        return application

    def _resolve_client(self, protocol: Any, scope: Scope) -> None:
        """Put into the scope who the client is behind the proxies."""
        forwarded = self._forwarded
        if forwarded is None:
            return
        client, is_secure = forwarded.client(scope["headers"]), forwarded.is_secure(scope["headers"])
        if client is not None:
            scope["client"] = protocol.client_addr = client
        if is_secure is not None:
            scheme = "ws" if scope["type"] == "websocket" else "http"
            scope["scheme"] = protocol.client_scheme = f"{scheme}s" if is_secure else scheme

    async def _serve(self, protocol: Any, application: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
        failed = True
        try:
            await application(scope, receive, send)
            failed = False
        except Exception as error:
            logger.error("The application failed on %.200r", mask_path(scope["path"]), exc_info=error)
        finally:
            details = self.connections.get(protocol, {"disconnected": 0})
            details.pop("application_instance", None)
            if isinstance(protocol, Request) and protocol.events is not None:
                protocol.events.abandon()
            if "disconnected" not in details:
                _application_ended(protocol, failed=failed)

    async def handle_reply(self, protocol: Any, message: Message) -> None:
        """Take one message of an application; returns when the client has taken enough of what was sent before."""
        is_http = isinstance(protocol, WebRequest)
        if is_http and self.is_draining and hasattr(protocol.channel, "persistent"):
            protocol.channel.persistent = 0
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), (b"connection", b"close")]}
        if message["type"] == "http.response.start":
            message = checked_response(message)  # Twisted mends some of what is wrong, and sends the rest
        elif message["type"] == "http.response.body":
            message = {**message, "body": checked_body(message)}
        await super().handle_reply(protocol, message)
        if message["type"] == "websocket.send":
            await transport_has_room(protocol.transport, conf.send_buffer_bytes)
        elif message["type"] == "http.response.body" and message.get("more_body"):
            await request_has_room(protocol, conf.send_buffer_bytes)

    def log_action(self, protocol: str, action: str, details: dict[str, Any]) -> None:
        """Pass what has happened to the access log, but for the requests of monitors."""
        if protocol != "http" or details["path"].partition("?")[0] not in (conf.health_path, conf.ready_path):
            super().log_action(protocol, action, shown(details))

    # Looking after them

    def application_checker(self) -> None:
        """Cancel applications that go on for too long after their clients have gone, and forget what has ended."""
        now = time.time()
        for protocol, details in list(self.connections.items()):
            task, gone = details.get("application_instance"), details.get("disconnected")
            if gone is None:
                continue
            if task is None:
                del self.connections[protocol]
                self._late.discard(protocol)
            elif now - gone > self.application_close_timeout and not self.is_draining and protocol not in self._late:
                self._late.add(protocol)
                logger.warning(
                    "Cancelling the application on %.200r: it goes on %g seconds after its client has gone",
                    mask_path(getattr(protocol, "path", "")),
                    self.application_close_timeout,
                )
                task.cancel()
        reactor.callLater(_CHECK_SECONDS, self.application_checker)

    def timeout_checker(self) -> None:
        """Have every connection look at what has lasted too long."""
        for protocol in list(self.connections):
            try:
                protocol.check_timeouts()
            except Exception:
                logger.exception("Could not check the time limits of %r", protocol)
        reactor.callLater(_CHECK_SECONDS, self.timeout_checker)


def _forwarded(hops: int | None, names: list[str | None]) -> Forwarded | None:
    address, port, proto = (name.lower().encode("latin-1") if name else None for name in names)
    if hops is None:
        hops = 0 if address is None else 1
    if hops < 1:
        return None
    if address is None:
        return Forwarded(hops)
    if port == _PORT_ASKED_FOR:
        port = None
    return Forwarded(hops, address, port, proto)


def _http_of(channel: Any) -> Any:
    """The HTTP/1.1 or HTTP/2 channel behind Twisted's, which stands for either."""
    return getattr(channel, "_channel", channel)


def _is_connected(channel: Any) -> bool:
    tcp = tcp_below(_http_of(channel).transport)
    return tcp is not None and bool(tcp.connected)


def _is_flushing(channel: Any) -> bool:
    """Whether an HTTP connection holds bytes of an answer that its client has not taken."""
    return _is_connected(channel) and unsent_bytes(tcp_below(_http_of(channel).transport)) > 0


def _application_ended(protocol: Any, *, failed: bool) -> None:
    """Answer for an application that has ended before it has answered."""
    if isinstance(protocol, WebSocketProtocol):
        protocol.application_ended(failed=failed)
    elif not protocol.startedWriting:
        if not failed:
            logger.error("The application has returned without an answer on %.200r", mask_path(protocol.path))
        protocol._response_started = False  # nothing of it was sent
        protocol.responseHeaders = Headers()
        protocol.basic_error(500, b"Internal Server Error", "Exception inside application.")
    elif not protocol.finished:
        protocol.end_answer()


def _make_relative(scope: Scope) -> None:
    """Take scheme and host off a path: a request may be for a whole URL (RFC 9112 section 3.2.2)."""
    for name, colon, slash in (("path", "://", "/"), ("raw_path", b"://", b"/")):
        value: Any = scope.get(name)
        if value and colon in value:
            scope[name] = slash + value.partition(colon)[2].partition(slash)[2]


async def _refuse(scope: Scope, receive: Receive, send: Send) -> None:
    """The application for handshakes that come while the server drains."""
    await receive()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"retry-after", b"1")]
    await send({"type": "websocket.http.response.start", "status": 503, "headers": headers})
    await send({"type": "websocket.http.response.body", "body": b"Service Unavailable: the server is restarting"})
