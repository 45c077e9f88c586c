"""ASGI middleware that puts Django's session and user into the scope of a WebSocket."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import lru_cache
from importlib import import_module
from typing import Any

from asgiref.sync import markcoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.sessions.backends.base import SessionBase
from django.http import parse_cookie

from ..threads import threads
from ..types import ASGIApp, CallScope, Receive, Send
from .authentication import is_known, is_loaded, load_at_once, load_session, load_user, names_a_user, unload
from .registry import current_users
from .sessions import watched

__all__ = ["AuthMiddleware", "SessionLoadingMiddleware", "SessionMiddleware"]

# What stands between the handshake and the handler stays on the stack as long as the connection lives. So these
# return what the inner application returns, where they can, instead of waiting for it: a thousand idle sockets
# hold no frames and no scopes of theirs.


class SessionMiddleware:
    """ASGI middleware that puts the cookies and Django's session into the scope, as those of Channels do.

    The session is loaded when it is asked for. A session that is in the scope already is left alone.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    @markcoroutinefunction
    def __call__(self, scope: CallScope, receive: Receive, send: Send) -> Awaitable[None]:
        if "session" not in scope:  # else set by middleware around this one, or by a test
            cookies = scope.get("cookies")
            if cookies is None:
                # Several such headers are one to HTTP/2 (RFC 9113 section 8.2.3).
                values = [value.decode("latin-1") for name, value in scope.get("headers") or () if name == b"cookie"]
                cookies = parse_cookie("; ".join(values)) if values else {}
            key = cookies.get(settings.SESSION_COOKIE_NAME)
            # No session is called so, and databases refuse to look for it, with an error.
            session = _store(settings.SESSION_ENGINE)(None if key and "\0" in key else key)
            scope = {**scope, "cookies": cookies, "session": session}
        return self._inner(scope, receive, send)


@lru_cache(maxsize=8)
def _store(engine: str) -> Any:
    """What makes sessions of an engine; kept, as Django's own middleware keeps it."""
    module: Any = import_module(engine)
    return watched(module.SessionStore)


class SessionLoadingMiddleware:
    """ASGI middleware that loads the session in a thread, if there is one, so that async code can read it."""

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner

    @markcoroutinefunction
    def __call__(self, scope: CallScope, receive: Receive, send: Send) -> Awaitable[None]:
        load_at_once(scope.get("session"))
        if is_loaded(scope.get("session")):
            return self._inner(scope, receive, send)
        return self._with_session(scope, receive, send)

    async def _with_session(self, scope: CallScope, receive: Receive, send: Send) -> None:
        with threads.assigned(scope):
            with threads.unblocked():
                await load_session(scope)
            running = self._inner(scope, receive, send)
            del scope, receive, send
            await running


class AuthMiddleware:
    """ASGI middleware that puts the session's user into the scope, as Django's puts it into a request.

    It needs ``SessionMiddleware`` around it. Where there is no session there is no detour to the database: the user
    is an AnonymousUser. A user that is in the scope already is left alone; the session is loaded all the same.
    """

    def __init__(self, inner: ASGIApp) -> None:
        self._inner = inner
        self._loading = SessionLoadingMiddleware(inner)

    @markcoroutinefunction
    def __call__(self, scope: CallScope, receive: Receive, send: Send) -> Awaitable[None]:
        if "user" in scope:  # set by middleware around this one, or by a test
            return self._loading(scope, receive, send)
        if "session" not in scope:
            raise ValueError("AuthMiddleware finds no session in the scope: put SessionMiddleware around it")
        session = scope["session"]
        load_at_once(session)
        if getattr(session, "session_key", None) is None or (_is_in_memory(session) and not names_a_user(session)):
            from django.contrib.auth.models import AnonymousUser

            return self._inner({**scope, "user": AnonymousUser()}, receive, send)
        return self._with_user(scope, receive, send)

    async def _with_user(self, scope: CallScope, receive: Receive, send: Send) -> None:
        from django.contrib.auth.models import AnonymousUser

        users, session, is_expected = current_users(), scope["session"], False
        try:
            with threads.assigned(scope):
                user: Any = None
                is_heard = users.is_subscribed
                if is_heard or _is_in_memory(session) or await _unblocked(names_a_user, session):
                    # Somebody may be logged in: first listen for the end of that, then look who it is.
                    is_expected = True
                    users.expect()
                    if not is_heard and not users.is_subscribed:
                        await users.wait_until_subscribed()
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


def _is_in_memory(session: Any) -> bool:
    """Whether a session is one of Django's, and reading it blocks nothing."""
    return isinstance(session, SessionBase) and is_loaded(session)


async def _unblocked(function: Callable[[Any], Any], session: Any) -> Any:
    """Call a function in a thread, but not behind what handlers and rules do there."""
    if is_known(session):
        running = threads.call_at_once(function, session)
        if running is not None:
            return await running
    with threads.unblocked():
        return await _in_a_thread(function)(session)


@lru_cache(maxsize=8)
def _in_a_thread(function: Callable[[Any], Any]) -> Callable[[Any], Awaitable[Any]]:
    """What calls a function in a thread; kept, for asgiref looks at a function whenever it wraps it."""
    return sync_to_async(function)
