"""One-file programs: the routes of one FastWS are run or served without a project, or with the project's settings."""

from __future__ import annotations

import asyncio
import logging
import os
import secrets
import socket
import sys
import threading
from collections.abc import Awaitable, Mapping
from typing import Any

import django
from asgiref.sync import markcoroutinefunction
from django.apps import apps
from django.conf import ENVIRONMENT_VARIABLE, settings
from django.core.exceptions import ImproperlyConfigured

from .conf import check_settings
from .exceptions import WebSocketStateError
from .logs import log_to_stderr
from .routing import Registry
from .types import ASGIApp, Receive, Scope, Send

__all__ = ["run", "serve"]

logger = logging.getLogger("django_fastws.clients")

#: Pages of a program without a project: none.
urlpatterns: list[Any] = []

_LOOPBACK = ["localhost", "127.0.0.1", "[::1]"]
_EVERYWHERE = {"0.0.0.0", "::"}

#: The settings that were made here; None where there is a project, or nothing was configured yet.
_own_settings: dict[str, Any] | None = None
_has_served = False


def run(routes: Registry, given: Mapping[str, Any] | None = None) -> None:
    """Run outbound routes, as ``manage.py runws_clients`` does.

    Args:
        given: settings, where there is no project.
    Raises:
        WebSocketStateError: this is no place to run them.
        ImproperlyConfigured: there is a project, and settings were given; or a setting cannot be what it is.
        SystemExit: a route has failed, or there is nothing to run.
    """
    from .checks import outbound_messages
    from .clients.outbound_process import run_routes

    _check_place("app.run()")
    if not routes.outbound:
        sys.exit("app.run(): there is no outbound route to run. Declare one with @app.ws or @app.get.")
    _configure(given)
    log_to_stderr()
    messages = list(outbound_messages(routes.outbound))
    for message in messages:
        logger.log(message.level, "%s %s", message.msg, message.hint)
    if any(message.is_serious() for message in messages) or run_routes(routes.outbound, keeps_signals=False):
        sys.exit(1)


def serve(routes: Registry, host: str, port: int, given: Mapping[str, Any] | None = None) -> None:
    """Serve inbound routes, as ``manage.py runws_server`` does.

    Args:
        given: settings, where there is no project.
    Raises:
        WebSocketStateError: this is no place to serve them, or it is the second time in this process.
        ImproperlyConfigured: there is a project, and settings were given; the routes cannot be served; or a setting
            cannot be what it is.
        TypeError, ValueError: the host or the port is none.
        SystemExit: it cannot listen, or there is nothing to serve.
    """
    global _has_served
    _check_address(host, port)
    _check_place("app.serve()")
    if _has_served:
        raise WebSocketStateError(
            "app.serve() was called before, and the reactor on which it serves starts only once in a process: "
            "start another process"
        )
    if not (routes.declared or routes.rooms):  # what rooms are served at, the settings say
        sys.exit("app.serve(): there is no WebSocket route to serve. Declare one with @app.websocket or app.room.")
    hosts = hosts_of(host)
    _configure(given, hosts)
    from .checks import problem_of_histories

    if problem := problem_of_histories(routes.rooms):
        raise ImproperlyConfigured(problem)
    # Not before: importing it installs Twisted's reactor.
    from .asgi import build_application
    from .server import CommandLineInterface

    interface = CommandLineInterface()
    options = interface.parser.parse_args([])
    options.host, options.port = host, port
    application = build_application(routes, [] if _own_settings is None else [_with_anonymous])
    if _own_settings is not None and settings.ALLOWED_HOSTS is hosts:
        application = _BoundHosts(application, hosts)
    _has_served = True
    interface.start(options, application)


# What can be wrong


def _check_place(call: str) -> None:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        pass
    else:
        raise WebSocketStateError(
            f"cannot call {call} here: an event loop runs already, and it runs one of its own. Call it at the end of "
            "the file, under `if __name__ == '__main__'`, in no async function"
        )
    if threading.current_thread() is not threading.main_thread():
        raise WebSocketStateError(
            f"cannot call {call} in the thread {threading.current_thread().name!r}: only the main thread gets "
            "signals. Call it there, and start the other work in a thread"
        )


def _check_address(host: Any, port: Any) -> None:
    if not isinstance(host, str) or not isinstance(port, int) or isinstance(port, bool):
        raise TypeError(f"app.serve(host={host!r}, port={port!r}): host is a str such as '127.0.0.1', port an int")
    if not host or not 0 <= port <= 65_535:
        raise ValueError(
            f"app.serve(host={host!r}, port={port!r}): write host='0.0.0.0' for every address of the machine, and a "
            "port from 0 (any that is free) to 65535"
        )


# Settings


def _configure(given: Mapping[str, Any] | None, hosts: list[str] | None = None) -> None:
    """Configure Django, unless it is, and set it up.

    Args:
        hosts: under which clients reach the server; None where there is none.
    """
    global _own_settings
    if _own_settings is not None:  # run() before serve(), or twice
        if given:
            raise ImproperlyConfigured("settings= was too late: this process has its settings. Give them once.")
        if hosts is not None and "ALLOWED_HOSTS" not in _own_settings:
            settings.ALLOWED_HOSTS = hosts
        return
    if settings.configured or os.environ.get(ENVIRONMENT_VARIABLE):
        if given:
            raise ImproperlyConfigured(
                f"settings= is for a file without a project, and there is one ({ENVIRONMENT_VARIABLE}, or "
                "settings.configure()): set it there."
            )
    else:
        settings.configure(**{**_defaults(hosts or []), **(given or {})})
        _own_settings = dict(given or {})
    if not apps.ready:
        django.setup()
    check_settings()


def _defaults(hosts: list[str]) -> dict[str, Any]:
    """The settings of a program without a project: safe, and no more than sockets need."""
    return {
        "ALLOWED_HOSTS": hosts,
        "CHANNEL_LAYERS": {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}},
        "DATABASES": {},
        # There are no users without a database: these are for AnonymousUser.
        "INSTALLED_APPS": ["django.contrib.contenttypes", "django.contrib.auth", "django_fastws"],
        "ROOT_URLCONF": __name__,
        "SECRET_KEY": secrets.token_urlsafe(50),
        "USE_TZ": True,
    }


# Hosts and users


def hosts_of(host: str) -> list[str]:
    """The names under which clients reach a server that is bound to a host, for ``ALLOWED_HOSTS``."""
    if host in _EVERYWHERE:
        name = socket.gethostname().lower()
        return [*_LOOPBACK, name, f"{name}.local"]
    shown = f"[{host}]" if ":" in host and not host.startswith("[") else host.lower()
    is_loopback = shown in _LOOPBACK or shown.startswith("127.")
    return list(dict.fromkeys([*_LOOPBACK, shown])) if is_loopback else [shown]


class _BoundHosts:
    """ASGI middleware that allows the address to which a client has connected: one of those that are bound.

    No page of another site can have a browser name it in the Host header, as it can with a name of its own.

    Args:
        hosts: the list that ``ALLOWED_HOSTS`` is.
    """

    def __init__(self, inner: ASGIApp, hosts: list[str]) -> None:
        self._inner = inner
        self._hosts = hosts

    @markcoroutinefunction
    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        server: Any = scope.get("server")
        if server is not None:
            address = str(server[0]).removeprefix("::ffff:")
            shown = f"[{address}]" if ":" in address else address
            if shown not in self._hosts:
                self._hosts.append(shown)
        return self._inner(scope, receive, send)


def _with_anonymous(inner: ASGIApp) -> ASGIApp:
    """Middleware that says that nobody is logged in, where there are no sessions that could say who is."""
    if apps.is_installed("django.contrib.sessions") or not apps.is_installed("django.contrib.auth"):
        return inner
    from django.contrib.auth.models import AnonymousUser

    def anonymous(scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        scope.setdefault("user", AnonymousUser())
        return inner(scope, receive, send)

    return markcoroutinefunction(anonymous)
