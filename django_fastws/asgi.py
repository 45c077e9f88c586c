"""The whole ASGI application: HTTP to Django, WebSockets to the routes; and the pieces to compose one by hand."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from typing import Any

from channels.auth import AuthMiddleware as ChannelsAuthMiddleware
from channels.sessions import CookieMiddleware
from channels.sessions import SessionMiddleware as ChannelsSessionMiddleware
from django.apps import apps
from django.conf import settings
from django.core.asgi import get_asgi_application as get_django_application
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from ._core.handshake import refusal
from ._core.origins import matches_any, parse_origin, same_host
from .conf import conf
from .exceptions import WebSocketDisconnect
from .routing import WebSocketRouter
from .types import ASGIApp, Receive, Scope, Send
from .wires import Wire, find_wire

__all__ = ["AuthMiddleware", "Handshake", "OriginCheck", "SessionMiddleware", "get_asgi_application"]

logger = logging.getLogger("django_fastws.handshake")


def get_asgi_application(*, websocket_middleware: Iterable[Any] = ()) -> ASGIApp:
    """The ASGI application of a project, for its ``asgi.py``.

    HTTP goes to Django. WebSockets go through a check of the handshake and of its origin, then Django's sessions and
    users where those apps are installed, then ``websocket_middleware``, to the routes. A lifespan is answered.

    Args:
        websocket_middleware: ASGI middleware for WebSockets: callables that take the inner application, or dotted
            paths of such. The first is the outermost; all find ``scope["user"]`` and ``scope["session"]`` in place.
    Raises:
        ImproperlyConfigured: ``django_fastws`` is not installed, or the routes cannot be served as they are.
    """
    http: Any = get_django_application()  # sets Django up, which collects the routes
    if not apps.is_installed("django_fastws"):
        raise ImproperlyConfigured("Add 'django_fastws' to INSTALLED_APPS: without it no consumers.py is found.")
    inner: Any = WebSocketRouter()
    for middleware in reversed(list(websocket_middleware)):
        factory = import_string(middleware) if isinstance(middleware, str) else middleware
        inner = factory(inner)
    return _Application(http, Handshake(OriginCheck(_with_users(inner))))


def _with_users(inner: Any) -> Any:
    if not apps.is_installed("django.contrib.sessions"):
        return inner
    if apps.is_installed("django.contrib.auth"):
        inner = AuthMiddleware(inner)
    return CookieMiddleware(SessionMiddleware(inner))


class SessionMiddleware(ChannelsSessionMiddleware):  # type: ignore[misc]
    """Channels' SessionMiddleware, which leaves a session alone that is in the scope already."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "session" in scope:  # set by middleware around this one, or by a test
            await self.inner(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


class _Application:
    """Dispatches on what kind of connection it is."""

    def __init__(self, http: ASGIApp, websocket: ASGIApp) -> None:
        self._http = http
        self._websocket = websocket

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":
            await self._websocket(scope, receive, send)
        elif scope["type"] == "lifespan":
            await _lifespan(receive, send)
        else:
            await self._http(scope, receive, send)


async def _lifespan(receive: Receive, send: Send) -> None:
    while True:
        event = await receive()
        await send({"type": f"{event['type']}.complete"})
        if event["type"] == "lifespan.shutdown":
            return


class Handshake:
    """The outermost WebSocket middleware: finds the wire, and refuses handshakes that are malformed.

    What is inside gets the wire's own ``receive`` and ``send``, in which the server's mistakes are mended.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        wire = find_wire(scope, receive, send)
        problem = refusal(wire.scope, settings.DATA_UPLOAD_MAX_NUMBER_FIELDS)
        if problem is not None:
            await refuse(wire, 400, problem)
            return
        try:
            await self._inner(wire.scope, wire.receive, wire.send)
        except WebSocketDisconnect:
            pass
        except Exception:
            # Of middleware or a consumer. Servers report it late, or cut the connection without a close frame.
            logger.exception("The WebSocket application failed on %.200r", scope.get("path"))
            if not wire.answered:
                await wire.deny(500, "Internal Server Error")
            elif wire.gone is None:
                await wire.close(1011, "internal error")


class OriginCheck:
    """Lets a browser in only from where ``FASTWS_ALLOWED_ORIGINS`` says (RFC 6455 section 10.2).

    Where that is None, the origin's host must be in ``ALLOWED_HOSTS``; if that allows every host, the origin must
    be the host that was asked for. A client that sends no Origin header is no browser, and let in.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        origins = [value.decode("latin-1") for name, value in scope.get("headers") or () if name == b"origin"]
        if not origins or (len(origins) == 1 and self._is_allowed(origins[0], scope)):
            await self._inner(scope, receive, send)
            return
        logger.warning(
            "Refused a WebSocket from origin %.200r on %.200r: it is not in %s",
            ", ".join(origins),
            scope.get("path"),
            "ALLOWED_HOSTS" if conf.allowed_origins is None else "FASTWS_ALLOWED_ORIGINS",
        )
        await refuse(find_wire(scope, receive, send), 403, "Forbidden: this origin is not allowed")

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
        host = next((value for name, value in scope.get("headers") or () if name == b"host"), b"")
        return same_host(origin, host.decode("latin-1"))


class AuthMiddleware(ChannelsAuthMiddleware):  # type: ignore[misc]
    """Channels' AuthMiddleware, without its detour through a thread where there is no session to look at."""

    async def resolve_scope(self, scope: Scope) -> None:
        from django.contrib.auth.models import AnonymousUser

        if getattr(scope["session"], "session_key", None) is None:
            scope["user"]._wrapped = AnonymousUser()
        else:
            await super().resolve_scope(scope)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "user" in scope:  # set by middleware around this one, or by a test
            await self.inner(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


async def refuse(wire: Wire, status: int, text: str) -> None:
    """Deny a handshake as soon as it has come."""
    event = await wire.receive()
    if event["type"] == "websocket.connect":
        await wire.deny(status, text)
