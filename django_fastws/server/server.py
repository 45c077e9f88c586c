"""Server: daphne's, with a graceful shutdown, health checks and a lifespan."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import time
from collections.abc import Callable
from typing import Any

from daphne.access import AccessLogGenerator
from daphne.http_protocol import WebRequest
from daphne.server import Server as DaphneServer
from daphne.server import reactor
from twisted.internet import defer

from .. import console, metrics  # noqa: F401 (what the console asks is answered)
from .._core.answers import checked_body, checked_response
from ..conf import conf
from ..garbage import collector
from ..layer import announce_layer
from ..logs import reveal_warnings
from ..masking import mask_path
from ..processes import Responder, current_responder
from ..rooms import current_hub
from ..slow_callbacks import watch_loop
from ..stopping import OrderlyStop
from ..tasks import BackgroundTasks
from ..transports import Inbox, request_has_room, transport_has_room
from ..types import ASGIApp, Message, Receive, Scope, Send
from ..users import current_users
from .access_log import AccessFile, AccessLog, shown
from .channel import Channel, NegotiatingChannel
from .connections import ServerConnections
from .drain import Drain, deny_while_draining
from .endpoints import Endpoints
from .forwarded import Forwarded
from .health import Health
from .lifespan import Lifespan
from .metrics_endpoint import MetricsEndpoint
from .pending import PendingRequests
from .prepared_protocol import prepared
from .requests import Request
from .spool import Spools
from .timers import Timers
from .unix import UnixSocketError

__all__ = ["Server"]

logger = logging.getLogger("django_fastws.server")

_CHECK_SECONDS = 1.0  # between two looks at what has lasted too long
_GRACE_SECONDS = 1.0  # for applications that are cancelled to end
_FINISH_SECONDS = 2.0  # for rooms to be left and the lifespan to end, after the drain
_SETTLE_SECONDS = 5.0  # of the drain's time that is left over, for a layer that is slow or away


class Server(DaphneServer):  # type: ignore[misc]
    """Server of one ASGI application, HTTP and WebSockets.

    Takes what daphne's server takes, and

    Args:
        forwarded_hops: how many proxies stand in front of the server, whose X-Forwarded-* headers are believed;
            None for 1 if daphne's ``proxy_forwarded_address_header`` is given, else for none.
        lifespan: "auto", "on" or "off".
        per_message_deflate: whether to agree to compression.
        drain_seconds: how long the graceful shutdown may take; None for ``FASTWS_DRAIN_SECONDS``.
        keeps_signals: whether signals are still handled when it has stopped, for a process that ends behind it;
            False gives them back.
        logs_requests: whether requests are lines of the log; False writes them where daphne does, if there.
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
        keeps_signals: bool = True,
        logs_requests: bool = False,
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
            self.action_logger = AccessLog() if logs_requests else AccessFile(self.action_logger.stream)
        self._endpoints = Endpoints(self.endpoints)
        self.endpoints = self._endpoints.for_daphne
        self.per_message_deflate = per_message_deflate
        self.is_draining = False
        self._drained_by = 0.0
        self._forwarded = Forwarded.from_options(forwarded_hops, *forwarded)
        self._drain_seconds = drain_seconds
        self._lifespan = Lifespan(application, lifespan)
        self._health = Health(lambda: self.is_draining)
        self._metrics = MetricsEndpoint()
        self.spools = Spools()
        self.pending = PendingRequests(reactor.callLater)
        self._connections = ServerConnections(self)
        self._claims = contextlib.ExitStack()
        self._tasks = BackgroundTasks(logger)
        self._stop: OrderlyStop | None = None
        self._responder: Responder | None = None
        self._keeps_signals = keeps_signals
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
        self._handle_signals()
        try:
            with contextlib.ExitStack() as claims:
                self._claims = claims
                claims.enter_context(self._endpoints.claimed())
                super().run()
        except UnixSocketError as error:
            logger.critical("Cannot listen: %s", error)
            self.abort_start = True
        finally:
            loop.run_until_complete(self._finish())
            if self._stop is not None and (self.abort_start or not self._keeps_signals):
                self._stop.uninstall()
            if not self._keeps_signals:
                collector.stop()

    def _handle_signals(self) -> None:
        """Handle signals before anything listens: whoever has reached the server may stop it in order."""
        if not self.signal_handlers:
            return
        self.signal_handlers = False  # Twisted's cut every connection
        self._stop = OrderlyStop(
            reactor._asyncioEventloop,
            self.drain,
            seconds=lambda: self.drain_seconds + _FINISH_SECONDS + _GRACE_SECONDS,
            status=lambda: 0,
            logger=logger,
        )
        self._stop.install()

    def _ready(self) -> None:
        """Set up the factories; daphne calls this when it has made them, and before it serves."""
        reveal_warnings()
        self.ws_factory._batched_timer = Timers()
        self.ws_factory.protocol = prepared(self.ws_factory)
        self.http_factory.protocol = functools.partial(NegotiatingChannel, self._build_channel)
        build = self.http_factory.buildProtocol

        def build_and_remember(address: Any) -> Any:
            channel = build(address)
            channel.requestFactory = Request
            self._connections.add_channel(channel)
            return channel

        self.http_factory.buildProtocol = build_and_remember
        self._claims.close()  # every endpoint listens, or has failed
        for listening in self._endpoints.listen(self.http_factory):
            listening.addCallback(self.listen_success)
            listening.addErrback(self.listen_error)
        reactor.callWhenRunning(self._spawn, announce_layer)
        reactor.callWhenRunning(self._spawn, self._answer_questions)
        if self._when_ready is not None:
            self._when_ready()

    async def _answer_questions(self) -> None:
        """Answer what is asked of all processes of the layer, until the server has stopped."""
        self._responder = current_responder()
        # As SIGTERM does it, where that is handled: then there is somebody who watches the time.
        self._responder.start("server", lambda: self.is_draining, self._stop.begin if self._stop else self.drain)
        watch_loop()
        collector.start()

    def _build_channel(self) -> Channel:
        # Behind a proxy, one address stands for everybody.
        return Channel(self.pending, counts_address=self._forwarded is None)

    def _spawn(self, function: Callable[[], Any]) -> None:
        self._tasks.start(function(), loop=reactor._asyncioEventloop)  # which does not run yet at the beginning

    def listen_error(self, failure: Any) -> None:
        super().listen_error(failure)
        self.abort_start = True
        reactor.callWhenRunning(self.stop)  # if it does not know that yet

    def listen_success(self, port: Any) -> None:
        self._endpoints.opened(port)
        super().listen_success(port)

    async def _finish(self) -> None:
        """Leave the rooms, end the lifespan and whatever still runs, after the last connection."""
        left = max(0.0, self._drained_by - time.monotonic())
        if self._responder is not None:
            self._responder.stop()
        try:
            async with asyncio.timeout(min(left, _SETTLE_SECONDS) + _FINISH_SECONDS / 2):
                await current_hub().settled()
                await current_users().settled()
                await current_responder().settled()
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
        """Begin the graceful shutdown; once. The reactor stops when it is over."""
        if self.is_draining:
            return
        self.is_draining = True
        metrics.draining.add(1)
        self._drained_by = time.monotonic() + self.drain_seconds
        self._spawn(self._drain)

    @property
    def drain_seconds(self) -> float:
        """Seconds that the graceful shutdown may take."""
        return conf.drain_seconds if self._drain_seconds is None else self._drain_seconds

    async def _drain(self) -> None:
        try:
            drain = Drain(self._connections, self._endpoints, self.drain_seconds, spread=self.spreads_drain)
            await drain.run()
        finally:
            metrics.draining.add(-1)
            self.stop()

    def kill_all_applications(self) -> Any:
        """Cancel the applications that still run when the reactor stops; it waits for the result."""
        tasks = self._connections.applications()
        if not tasks:
            return None
        for task in tasks:
            task.cancel()
        return defer.Deferred.fromFuture(asyncio.ensure_future(asyncio.wait(tasks, timeout=_GRACE_SECONDS)))

    # Connections

    def protocol_disconnected(self, protocol: Any) -> None:
        """Note when a connection has ended: it was denied, or is lost.

        One that was denied may be lost when its application is long over and the connection forgotten; daphne's own
        fails then.
        """
        if protocol in self.connections:
            super().protocol_disconnected(protocol)

    def create_application(self, protocol: Any, scope: Scope) -> Any:
        """Start the application for one connection; returns the queue for the events of a socket."""
        is_websocket = scope["type"] == "websocket"
        scope["asgi"] = {"version": "3.0", "spec_version": "2.3"}
        scope["state"] = self._lifespan.state.copy()
        protocol.complete_scope(scope)
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
            return deny_while_draining
        answer = self._health.application(scope) or self._metrics.application(scope)
        application: ASGIApp = answer or self.application
        return application

    def _resolve_client(self, protocol: Any, scope: Scope) -> None:
        """Put the client's address and scheme behind the proxies into the scope."""
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
        failed, path = True, scope["path"]
        try:
            running = application(scope, receive, send)
            del application, scope, receive, send  # or they would be kept as long as the connection is open
            await running
            failed = False
        except Exception as error:
            logger.error("The application failed on %.200r", mask_path(path), exc_info=error)
        finally:
            details = self.connections.get(protocol, {"disconnected": 0})
            details.pop("application_instance", None)
            if isinstance(protocol, Request) and protocol.events is not None:
                protocol.events.abandon()
            if "disconnected" not in details:
                protocol.application_ended(failed=failed)

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
        if not getattr(self.action_logger, "is_read", self.action_logger):
            return
        quiet = (conf.health_path, conf.ready_path, conf.metrics_path)
        if protocol != "http" or details["path"].partition("?")[0] not in quiet:
            super().log_action(protocol, action, shown(details))

    # Looking after them

    def application_checker(self) -> None:
        """Cancel applications that go on for too long after their clients have gone; daphne calls this at first."""
        self._connections.cancel_late(float("inf") if self.is_draining else self.application_close_timeout)
        reactor.callLater(_CHECK_SECONDS, self.application_checker)

    def timeout_checker(self) -> None:
        """Apply the timeouts of all connections; daphne calls this at first."""
        self._connections.check_timeouts()
        reactor.callLater(_CHECK_SECONDS, self.timeout_checker)
