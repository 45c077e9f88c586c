"""Router of WebSockets: matches a path to its route (else 404), ``reverse_ws``, and Django's URL patterns."""

from __future__ import annotations

import logging
import re
from collections.abc import Awaitable
from functools import lru_cache
from typing import Any, cast
from urllib.parse import quote

from asgiref.sync import markcoroutinefunction
from django.core.exceptions import ImproperlyConfigured
from django.urls import NoReverseMatch, URLPattern, URLResolver, get_script_prefix
from django.urls.resolvers import RegexPattern, RoutePattern
from django.utils.http import escape_leading_slashes

from .. import metrics
from .._core.paths import Readings, parse
from ..log_fields import connection_fields
from ..masking import mask_path
from ..threads import with_thread
from ..transports import find_transport
from ..types import CallScope, Receive, Send
from .activation import path_of
from .routes import Registry, Route, registry

__all__ = ["WebSocketRouter", "reverse_ws", "websocket_urlpatterns"]

logger = logging.getLogger("django_fastws.routing")

_NAME = "route"  # within the resolver of one route


def websocket_urlpatterns() -> list[Any]:
    """Every WebSocket route as a Django URL pattern, for a Channels ``URLRouter``.

    Returns:
        Instances of ``URLPattern`` in the order of declaration. Their callbacks are ASGI applications, which neither
        Django's types have for a pattern nor Channels' in public: hence Any.
    Raises:
        ImproperlyConfigured: two handlers share a path or a given name, a path has a parameter that its handler does
            not take, or a module with routes could not be loaded. The text names the places.
    """
    return _url_patterns(registry)


def _url_patterns(served: Registry) -> list[URLPattern]:
    problems = start_up_problems(served)
    if problems:
        raise ImproperlyConfigured("\n".join(problems))
    return [_url_pattern(route, route.name) for route in served]


def start_up_problems(served: Registry = registry) -> list[str]:
    """Problems that keep the routes from being served, in words."""
    problems = [f"{problem.module}: {problem.error}" for problem in served.problems]
    for group in served.duplicates():
        places = " and ".join(f"{route.place} on {route.path!r}" for route in group)
        problems.append(f"Several handlers on one path: {places}")
    for named in served.duplicate_names():
        places = " and ".join(route.place for route in named)
        problems.append(f"Several routes are named {named[0].name!r}: {places}")
    problems += [
        f"{route.place} does not take {name!r}, which its path {route.path!r} has"
        for route in served
        for name in route.missing_parameters
    ]
    return problems


def servable(routes: list[Route], first: list[Route]) -> list[Route]:
    """The routes that can be served beside each other, in their order.

    Args:
        first: those that are served before any other that has the same path or name.
    """
    places = {id(route): place for place, route in enumerate(first)}
    shapes: set[str] = set()
    names: set[str] = set()
    chosen: set[int] = set()
    for route in sorted(routes, key=lambda route: places.get(id(route), len(places))):
        if route.missing_parameters or route.shape in shapes or (route.is_named and route.name in names):
            continue
        chosen.add(id(route))
        shapes.add(route.shape)
        if route.is_named:
            names.add(route.name)
    return [route for route in routes if id(route) in chosen]


def reverse_ws(viewname: Any, /, *args: Any, **kwargs: Any) -> str:
    """The path of a route, as Django's ``reverse()`` gives it.

    >>> reverse_ws("chat", room="lobby")  # doctest: +SKIP
    '/ws/chat/lobby'

    Args:
        viewname: the route's name, or its handler.
        args, kwargs: the path's parameters. They are quoted as a URL needs it.
    Returns:
        A path, with Django's script prefix before it.
    Raises:
        NoReverseMatch: there is no such route, it does not fit the parameters, or several routes share a name that
            was not given to them and fit.
    """
    if isinstance(viewname, str):
        routes = [route for route in registry if route.name == viewname]
        routes = [route for route in routes if route.is_named] or routes
    else:
        routes = [route for route in registry if route.handler is viewname]
    found: dict[str, Route] = {}
    problem: NoReverseMatch | None = None
    for route in routes:
        try:
            found[_reverse(route, args, kwargs)] = route
        except NoReverseMatch as error:
            problem = error
    if len(found) > 1 and isinstance(viewname, str) and not routes[0].is_named:
        places = " and ".join(route.place for route in found.values())
        raise NoReverseMatch(
            f"Several routes share the name {viewname!r}: {places}. Give each a name=, or pass the handler."
        )
    if found:
        return next(iter(found))
    if problem is not None:
        raise NoReverseMatch(f"{_called(viewname)} does not fit {args or kwargs}: {problem}")
    names = ", ".join(sorted({route.name for route in registry})) or "none"
    raise NoReverseMatch(f"No WebSocket route is {_called(viewname)}; there are: {names}")


def _called(viewname: Any) -> str:
    return repr(viewname if isinstance(viewname, str) else getattr(viewname, "__qualname__", viewname))


def _reverse(route: Route, args: Any, kwargs: Any) -> str:
    url = str(_resolver(route).reverse(_NAME, *args, **kwargs)).lstrip("/")
    # Django leaves semicolons as they are, and clients and servers that use urlparse() cut the path there.
    prefix = quote(get_script_prefix(), safe="/~:@!$&'()*+,;=")
    return escape_leading_slashes(prefix + url.replace(";", "%3B"))


@lru_cache(maxsize=1024)
def _resolver(route: Route) -> URLResolver:
    return URLResolver(RegexPattern(r"^/"), (_url_pattern(route, _NAME),))


def _url_pattern(route: Route, name: str) -> URLPattern:
    # An endpoint sees to its thread itself, a consumer class does not.
    application: Any = route.application if route.signature is not None else with_thread(route.application)
    return URLPattern(_BoundedPattern(route.django_route.lstrip("/"), name), application, name=name)


class _BoundedPattern(RoutePattern):
    """Pattern of a path, which tries no more ways to read it than take a moment."""

    def __init__(self, route: str, name: str) -> None:
        super().__init__(route, name=name, is_endpoint=True)
        regexes = {param: re.compile(converter.regex) for param, converter in self.converters.items()}
        self._readings = Readings(parse(route), regexes)

    def match(self, path: Any) -> Any:
        return None if self._readings.are_too_many(path) else super().match(path)


async def _not_found(scope: CallScope, receive: Receive, send: Send) -> None:
    """Deny a path that no route has: with 404 where the server can, else with the server's plain 403."""
    transport = find_transport(scope, receive, send)
    event = await transport.receive()
    if event["type"] == "websocket.connect":
        fields = connection_fields(scope, code=404, reason="not_found")
        logger.info("No WebSocket route for %r", mask_path(scope.get("path")), extra=fields)
        metrics.denials.add(1, "not_found")
        await transport.deny(404, "Not Found")


class WebSocketRouter:
    """The ASGI application of routes; a route that is added later is served, too.

    Args:
        served: whose routes; by default those of every FastWS.
    """

    def __init__(self, served: Registry = registry) -> None:
        self._served = served
        self._version = -1
        self._patterns: list[URLPattern] = []
        self._routes: list[Route] = []
        self._told: set[str] = set()
        self.load()

    def load(self) -> None:
        """Make the router of the routes that there are.

        Raises:
            ImproperlyConfigured: as ``websocket_urlpatterns()``.
        """
        version = registry.version
        self._patterns = _url_patterns(self._served)
        self._routes = list(self._served)
        self._version = version

    def _load_late(self) -> None:
        """Serve routes that were declared while others are served already, but for those that cannot be.

        A module that repeats a path must not take the place of what clients are connected to, nor end it.
        """
        version, routes = registry.version, list(self._served)
        problems = start_up_problems(self._served)
        if problems:
            routes = servable(routes, first=self._routes)
            told = [problem for problem in problems if problem not in self._told]
            self._told.update(told)
            for problem in told:
                logger.error(
                    "Not every WebSocket route is served; those that were served before still are. %s", problem
                )
        self._patterns = [_url_pattern(route, route.name) for route in routes]
        self._routes = routes
        self._version = version

    @markcoroutinefunction
    def __call__(self, scope: CallScope, receive: Receive, send: Send) -> Awaitable[None]:
        """Call the application of the route, with what Channels' ``URLRouter`` puts into the scope.

        It returns what that returns, and so keeps no frame alive for as long as the connection is open.
        """
        if self._version != registry.version:
            self._load_late()
        # One slash, as Django: with //admin for /admin, a client would pass a proxy that denies that.
        path = path_of(scope).removeprefix("/")
        for url_pattern in self._patterns:
            match = url_pattern.pattern.match(path)
            if match:
                rest, args, kwargs = match
                outer = scope.get("url_route") or {}
                found = {
                    "args": (*outer.get("args", ()), *args),
                    "kwargs": {**outer.get("kwargs", {}), **kwargs},
                }
                application: Any = url_pattern.callback
                inner = {**scope, "path_remaining": rest, "url_route": found}
                return cast("Awaitable[None]", application(inner, receive, send))
        return _not_found(scope, receive, send)
