"""ASGI application of a project: HTTP to Django, WebSockets to the routes; and the pieces to compose one by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.asgi import get_asgi_application as get_django_application
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from . import console, metrics  # noqa: F401 (what the console asks is answered)
from ._core.close_codes import INTERNAL_ERROR
from ._core.handshake import handshake_problem, offered
from .conf import check_settings, conf
from .database import check_setup
from .exceptions import WebSocketDisconnect
from .garbage import collector
from .layer import expect_members
from .limits import (
    HANDSHAKE_TIME,
    Denial,
    OriginCheck,
    deny_handshake,
    host_problem,
    process_limits,
    record_denial,
)
from .log_fields import connection_fields
from .logs import reveal_warnings
from .masking import mask_path
from .processes import current_responder
from .routing import Activation, Registry, WebSocketRouter, registry
from .slow_callbacks import watch_loop
from .threads import TESTING, threads
from .transports import ASGITransport, find_transport, served_scope
from .types import ASGIApp, CallScope, Receive, Scope, Send
from .users import AuthMiddleware, SessionLoadingMiddleware, SessionMiddleware

__all__ = ["AuthMiddleware", "Handshake", "OriginCheck", "SessionMiddleware", "get_asgi_application"]

logger = logging.getLogger("django_fastws.handshake")

#: Callable that makes an application of the one inside, or the dotted path of such.
Middleware = str | Callable[[Any], ASGIApp]

_LATE_SECONDS = 0.9  # after which a client that leaves is no mere coincidence


def get_asgi_application(*, websocket_middleware: Iterable[Middleware] = ()) -> ASGIApp:
    """The ASGI application of a project, for its ``asgi.py``.

    HTTP goes to Django. WebSockets go through a check of the handshake and of its origin, then Django's sessions and
    users where those apps are installed, then ``websocket_middleware``, to the routes. A lifespan is answered.

    Args:
        websocket_middleware: ASGI middleware for WebSockets: callables that take the inner application, or dotted
            paths of such. The first is the outermost; all find ``scope["user"]`` and ``scope["session"]`` in place.
    Raises:
        ImproperlyConfigured: ``django_fastws`` is not installed, the routes cannot be served as they are, or a
            setting is no limit.
    """
    return build_application(registry, websocket_middleware)


def build_application(served: Registry, websocket_middleware: Iterable[Middleware] = ()) -> ASGIApp:
    """The ASGI application of some routes; as ``get_asgi_application``, which serves all of them."""
    http: Any = get_django_application()  # sets Django up, which collects the routes
    if not apps.is_installed("django_fastws"):
        raise ImproperlyConfigured("Add 'django_fastws' to INSTALLED_APPS: without it no consumers.py is found.")
    check_settings()
    check_setup()
    inner: Any = WebSocketRouter(served)
    for middleware in reversed(list(websocket_middleware)):
        factory = import_string(middleware) if isinstance(middleware, str) else middleware
        inner = factory(inner)
    return _Application(http, Handshake(OriginCheck(_with_users(inner))))


def _with_users(inner: Any) -> Any:
    if not apps.is_installed("django.contrib.sessions"):
        return inner
    has_users = apps.is_installed("django.contrib.auth")
    return SessionMiddleware(AuthMiddleware(inner) if has_users else SessionLoadingMiddleware(inner))


class _Application:
    """Dispatcher of HTTP, WebSockets and lifespans."""

    def __init__(self, http: ASGIApp, websocket: ASGIApp) -> None:
        self._http = http
        self._websocket = websocket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        expect_members()
        if scope["type"] == "websocket":
            running = self._websocket(scope, receive, send)
            del scope, receive, send
            await running
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await self._http(_trusted(served_scope(scope, send)), receive, send)


def _trusted(scope: Scope) -> Scope:
    """A scope without headers that have an underscore in their name, which Django up to 5.2.12 takes for a hyphen."""
    headers = scope.get("headers") or ()
    if not any(b"_" in name for name, _ in headers):
        return scope
    return {**scope, "headers": [(name, value) for name, value in headers if b"_" not in name]}


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        if event["type"] == "lifespan.startup":
            current_responder().start()
            watch_loop()
            collector.start(collects=True)
        else:
            current_responder().stop()
            if registry.rooms:
                from .live import once_calls_ended  # which imports pydantic

                await once_calls_ended(conf.drain_seconds)
            await current_responder().settled()
            await threads.close(conf.drain_seconds)  # uvicorn ends by a signal: nothing runs at the process's exit
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


class Handshake:
    """Outermost WebSocket middleware: finds the transport, and denies handshakes that are malformed or too many.

    What is inside gets the transport's own ``receive`` and ``send``, in which the server's mistakes are mended. Its
    sync code runs in one of the ``FASTWS_DB_THREADS`` threads. Django's script prefix is set, and the language if
    ``LocaleMiddleware`` is in ``MIDDLEWARE``.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: CallScope, receive: Receive, send: Send) -> None:
        reveal_warnings()
        transport = find_transport(scope, receive, send)
        del scope, receive, send
        denial = _enter(transport.scope)
        if denial is not None:
            record_denial(denial, transport.scope)
            await deny_handshake(transport, denial.status, denial.text, denial.headers)
            return
        transport.scope[HANDSHAKE_TIME] = began = asyncio.get_running_loop().time()
        # Some servers have no lifespan; those serve as long as they have connections.
        responder = None if TESTING in (transport.scope.get("extensions") or ()) else current_responder()
        if responder is not None:
            responder.start()
            watch_loop()
            collector.start()
        frozen = collector.opened()
        try:
            with Activation(transport.scope), threads.assigned(transport.scope):
                await self._inner(transport.scope, transport.receive, transport.send)
        except WebSocketDisconnect:
            pass
        except asyncio.CancelledError as error:
            if transport.state.close_error is None:
                raise
            raise transport.state.close_error from error  # of a cancelled application, daphne takes no notice
        except Exception as error:
            if transport.state.close_error is not None:
                raise
            if error is transport.state.send_error:
                return  # the client has gone; daphne drops what is sent to it then, and others say so
            await _failed(transport, error)
        else:
            # Nobody is left to serve it, and daphne would keep it open.
            if transport.state.is_answered and not transport.state.is_over:
                await transport.close(1000, "")
        finally:
            collector.closed(frozen)
            if responder is not None:
                responder.stop()
            _left(transport, began)
        if transport.state.close_error is not None:
            raise transport.state.close_error  # the server ends a connection whose application has failed


def _enter(scope: Scope) -> Denial | None:
    """The denial of a handshake that is malformed, for another host, or over a limit of the process.

    If it is None, the handshake is counted, and ``process_limits.leave()`` is owed.
    """
    problem = handshake_problem(scope, settings.DATA_UPLOAD_MAX_NUMBER_FIELDS)
    if problem is not None:
        return Denial("malformed", 400, problem)
    scope["subprotocols"] = offered(scope.get("subprotocols"))
    problem = host_problem(scope)
    if problem is not None:
        return Denial("host", 400, "Bad Request: this host is not allowed", problem)
    return process_limits.enter(scope)


def _left(transport: ASGITransport, began: float) -> None:
    """Count the end of a connection that ``_enter()`` has let in, and say so if nobody has answered its handshake."""
    process_limits.leave()
    if transport.state.is_accepted:
        seconds = asyncio.get_running_loop().time() - began
        metrics.count_connection(seconds, transport.state.close_code or 1006, transport.state.closed_by)
    if not transport.state.is_answered:
        _tell_unanswered(transport, asyncio.get_running_loop().time() - began)


async def _failed(transport: ASGITransport, error: Exception) -> None:
    """Log an error of middleware or of a consumer, then deny the handshake or close the connection.

    Servers report it late, or cut the connection without a close frame.
    """
    logger.error(
        "The WebSocket application failed on %.200r",
        mask_path(transport.scope.get("path")),
        exc_info=error,
        extra=connection_fields(transport.scope, code=INTERNAL_ERROR[0] if transport.state.is_answered else 500),
    )
    if not transport.state.is_answered:
        metrics.denials.add(1, "error")
        await transport.deny(500, "Internal Server Error")
    elif not transport.state.is_over:
        await transport.close(*INTERNAL_ERROR)


def _tell_unanswered(transport: ASGITransport, seconds: float) -> None:
    """Log a handshake that was over before the application has answered it, which no server says."""
    if seconds >= _LATE_SECONDS:
        why = (
            f"the application has not accepted it before it was over, {seconds:.1f} seconds after it came: the "
            "client has left, or the server does not wait longer (daphne: --websocket_connect_timeout)"
        )
        record_denial(Denial("not_answered", 503, "Service Unavailable", why), transport.scope)
