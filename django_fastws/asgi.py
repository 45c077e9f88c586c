"""The whole ASGI application: HTTP to Django, WebSockets to the routes; and the pieces to compose one by hand."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Iterable
from importlib import import_module
from typing import Any

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.apps import apps
from django.conf import settings
from django.core.asgi import get_asgi_application as get_django_application
from django.core.exceptions import ImproperlyConfigured
from django.http import parse_cookie
from django.utils.module_loading import import_string

from . import metrics
from ._core.handshake import handshake_problem, offered
from ._core.origins import matches_any, parse_origin, same_host
from .conf import check_settings, conf
from .database import check_setup
from .exceptions import WebSocketDisconnect
from .layer import expect_members
from .limits import HANDSHAKE_TIME, Denial, host_problem, process_limits, record_denial, requested_host
from .masking import mask_path
from .python_warnings import reveal_warnings
from .routing import Activation, WebSocketRouter
from .threads import threads
from .transports import ASGITransport, find_transport, served_scope
from .types import ASGIApp, Receive, Scope, Send
from .users import current_users, is_loaded, load_session, load_user, names_a_user, unload, watched

__all__ = ["AuthMiddleware", "Handshake", "OriginCheck", "SessionMiddleware", "get_asgi_application"]

logger = logging.getLogger("django_fastws.handshake")

_PATIENCE = 0.9  # seconds after which a client that leaves is no mere coincidence


def get_asgi_application(*, websocket_middleware: Iterable[Any] = ()) -> ASGIApp:
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
    http: Any = get_django_application()  # sets Django up, which collects the routes
    if not apps.is_installed("django_fastws"):
        raise ImproperlyConfigured("Add 'django_fastws' to INSTALLED_APPS: without it no consumers.py is found.")
    check_settings()
    check_setup()
    inner: Any = WebSocketRouter()
    for middleware in reversed(list(websocket_middleware)):
        factory = import_string(middleware) if isinstance(middleware, str) else middleware
        inner = factory(inner)
    return _Application(http, Handshake(OriginCheck(_with_users(inner))))


def _with_users(inner: Any) -> Any:
    if not apps.is_installed("django.contrib.sessions"):
        return inner
    return SessionMiddleware(AuthMiddleware(inner) if apps.is_installed("django.contrib.auth") else _Loading(inner))


# What stands between the handshake and the handler stays on the stack as long as the connection lives. So these
# return what the inner application returns, where they can, instead of waiting for it: a thousand idle sockets
# hold no frames and no scopes of theirs.


class SessionMiddleware:
    """Puts the cookies and Django's session into the scope, as Channels' middleware of these names do.

    The session is loaded when it is asked for. A session that is in the scope already is left alone.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    @markcoroutinefunction
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if "session" not in scope:  # else set by middleware around this one, or by a test
            cookies = scope.get("cookies")
            if cookies is None:
                # Several such headers are one to HTTP/2 (RFC 9113 section 8.2.3).
                values = [value.decode("latin-1") for name, value in scope.get("headers") or () if name == b"cookie"]
                cookies = parse_cookie("; ".join(values)) if values else {}
            engine: Any = import_module(settings.SESSION_ENGINE)
            key = cookies.get(settings.SESSION_COOKIE_NAME)
            # No session is called so, and databases refuse to look for it, with an error.
            session = watched(engine.SessionStore)(None if key and "\0" in key else key)
            scope = {**scope, "cookies": cookies, "session": session}
        return self._inner(scope, receive, send)


class _Loading:
    """Loads the session in a thread, if there is one to load, so that async code can read it."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    @markcoroutinefunction
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if is_loaded(scope.get("session")):
            return self._inner(scope, receive, send)
        return self._with_session(scope, receive, send)

    async def _with_session(self, scope: Scope, receive: Receive, send: Send) -> None:
        with threads.assigned(scope):
            with threads.unblocked():
                await load_session(scope)
            running = self._inner(scope, receive, send)
            del scope, receive, send
            await running


class _Application:
    """Dispatches on what kind of connection it is."""

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
        if event["type"] == "lifespan.shutdown":
            await threads.close(conf.drain_seconds)  # uvicorn ends by a signal: nothing runs at the process's exit
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


class Handshake:
    """The outermost WebSocket middleware: finds the transport, and denies handshakes that are malformed or too many.

    What is inside gets the transport's own ``receive`` and ``send``, in which the server's mistakes are mended. Its
    sync code runs in one of the ``FASTWS_DB_THREADS`` threads. Django's script prefix is set, and the language if
    ``LocaleMiddleware`` is in ``MIDDLEWARE``.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reveal_warnings()
        transport = find_transport(scope, receive, send)
        del scope, receive, send
        problem = handshake_problem(transport.scope, settings.DATA_UPLOAD_MAX_NUMBER_FIELDS)
        if problem is not None:
            record_denial(Denial("malformed", 400, problem), transport.scope)
            await deny(transport, 400, problem)
            return
        transport.scope["subprotocols"] = offered(transport.scope.get("subprotocols"))
        problem = host_problem(transport.scope)
        if problem is None:
            denial = process_limits.enter(transport.scope)
        else:
            denial = Denial("host", 400, "Bad Request: this host is not allowed", problem)
        if denial is not None:
            record_denial(denial, transport.scope)
            await deny(transport, denial.status, denial.text, denial.headers)
            return
        transport.scope[HANDSHAKE_TIME] = began = asyncio.get_running_loop().time()
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
            # Of middleware or a consumer. Servers report it late, or cut the connection without a close frame.
            logger.exception("The WebSocket application failed on %.200r", mask_path(transport.scope.get("path")))
            if not transport.state.is_answered:
                metrics.denials.add(1, "error")
                await transport.deny(500, "Internal Server Error")
            elif not transport.state.is_over:
                await transport.close(1011, "internal error")
        else:
            # Nobody is left to serve it, and daphne would keep it open.
            if transport.state.is_answered and not transport.state.is_over:
                await transport.close(1000, "")
        finally:
            process_limits.leave()
            if transport.state.is_accepted:
                metrics.closes.add(1, transport.name, str(transport.state.close_code or 1006))
            if not transport.state.is_answered:
                _tell_unanswered(transport, asyncio.get_running_loop().time() - began)
        if transport.state.close_error is not None:
            raise transport.state.close_error  # the server ends a connection whose application has failed


def _tell_unanswered(transport: ASGITransport, seconds: float) -> None:
    """Log a handshake that was over before the application has answered it, which no server says."""
    if seconds >= _PATIENCE:
        why = (
            f"the application has not accepted it before it was over, {seconds:.1f} seconds after it came: the "
            "client has left, or the server does not wait longer (daphne: --websocket_connect_timeout)"
        )
        record_denial(Denial("not_answered", 503, "Service Unavailable", why), transport.scope)


class OriginCheck:
    """Lets a browser in only from where ``FASTWS_ALLOWED_ORIGINS`` says (RFC 6455 section 10.2).

    Where that is None, the origin's host must be in ``ALLOWED_HOSTS``; if that allows every host, the origin must
    be the host that was asked for, which ``USE_X_FORWARDED_HOST`` finds behind a proxy. A client that sends no
    Origin header is no browser, and let in.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    @markcoroutinefunction
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        origins = [value.decode("latin-1") for name, value in scope.get("headers") or () if name == b"origin"]
        if not origins or (len(origins) == 1 and self._is_allowed(origins[0], scope)):
            return self._inner(scope, receive, send)
        logger.warning(
            "Denied a WebSocket from origin %.200r on %.200r: it is not in %s",
            ", ".join(origins),
            mask_path(scope.get("path")),
            "ALLOWED_HOSTS" if conf.allowed_origins is None else "FASTWS_ALLOWED_ORIGINS",
        )
        metrics.denials.add(1, "origin")
        return deny(find_transport(scope, receive, send), 403, "Forbidden: this origin is not allowed")

    def _is_allowed(self, value: str, scope: Scope) -> bool:
        patterns = conf.allowed_origins
        if patterns is not None and ("*" in patterns or value in patterns):
            return True
        origin = parse_origin(value)
        if origin is None:
            return False
        if patterns is not None:
            return matches_any(origin, patterns)
        hosts = list(settings.ALLOWED_HOSTS)
        if settings.DEBUG and not hosts:
            hosts = [".localhost", "127.0.0.1", "[::1]"]
        if "*" not in hosts:
            return matches_any(origin, hosts)
        return same_host(origin, requested_host(scope))


class AuthMiddleware:
    """Puts the session's user into the scope, as Django's middleware of this name puts it into a request.

    It needs ``SessionMiddleware`` around it. Where there is no session there is no detour to the database: the user
    is an AnonymousUser. A user that is in the scope already is left alone; the session is loaded all the same.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner
        self._loading = _Loading(inner)

    @markcoroutinefunction
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if "user" in scope:  # set by middleware around this one, or by a test
            return self._loading(scope, receive, send)
        if "session" not in scope:
            raise ValueError("AuthMiddleware finds no session in the scope: put SessionMiddleware around it")
        if getattr(scope["session"], "session_key", None) is None:
            from django.contrib.auth.models import AnonymousUser

            return self._inner({**scope, "user": AnonymousUser()}, receive, send)
        return self._with_user(scope, receive, send)

    async def _with_user(self, scope: Scope, receive: Receive, send: Send) -> None:
        from django.contrib.auth.models import AnonymousUser

        users, session, is_expected = current_users(), scope["session"], False
        try:
            with threads.assigned(scope):
                user: Any = None
                if users.listens or await _unblocked(names_a_user, session):
                    # Somebody may be logged in: first listen for the end of that, then look who it is.
                    is_expected = True
                    users.expect()
                    if not users.listens:
                        await users.listening()
                        unload(session)
                    user = await _unblocked(load_user, session)
                    if not user.is_authenticated:
                        is_expected = False
                        users.unexpect()
                running = self._inner({**scope, "user": user or AnonymousUser()}, receive, send)
                del scope, receive, send, session, user
                await running
        finally:
            if is_expected:
                users.unexpect()


async def _unblocked(function: Callable[[Any], Any], session: Any) -> Any:
    """Call a function in a thread, but not behind what handlers and rules do there."""
    with threads.unblocked():
        return await sync_to_async(function)(session)


async def deny(transport: ASGITransport, status: int, text: str, more: Iterable[tuple[bytes, bytes]] = ()) -> None:
    """Deny a handshake as soon as it has come."""
    event = await transport.receive()
    if event["type"] == "websocket.connect":
        await transport.deny(status, text, more)
