"""Routes, inbound and outbound, and the registry of all of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from .._core.outbound_urls import mask_url
from .._core.paths import Path
from ..exceptions import RouteError
from ..limits import Admission
from .signatures import Signature, label_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

__all__ = ["OutboundRoute", "Problem", "Registry", "Route", "registry"]

AnyRoute = TypeVar("AnyRoute", "Route", "Route | OutboundRoute")


@dataclass(frozen=True, eq=False)
class Route:
    """Inbound route: one path and its handler.

    Attributes:
        path: with the prefix of its FastWS, as it was written: ``/ws/chat/{room}``.
        pattern: the path, taken apart.
        handler: the function or the consumer class.
        application: the handler as an ASGI application.
        signature: what the handler takes; None for a consumer.
        name: what ``reverse_ws`` finds it by: the given name, else the handler's.
        is_named: the name was given, and must be unique.
        tags: those of the FastWS and its own.
        place: where it was declared: module, name, file and line.
        admission: its limits and rules.
    """

    path: str
    pattern: Path
    handler: Any
    application: Any
    signature: Signature | None
    name: str
    is_named: bool
    tags: tuple[str, ...]
    place: str
    admission: Admission
    direction: str = field(default="in", init=False)

    def __post_init__(self) -> None:
        self.application.route = self.path

    @property
    def converters(self) -> dict[str, str]:
        """The path converters that annotations pick, by parameter."""
        parameters = self.signature.parameters if self.signature is not None else {}
        return {name: parameter.path_converter for name, parameter in parameters.items()}

    @property
    def django_route(self) -> str:
        """The path in the syntax of ``django.urls.path()``."""
        return self.pattern.django_route(self.converters)

    @property
    def shape(self) -> str:
        """The path without its parameters' names: no two routes may have the same."""
        return self.pattern.shape(self.converters)

    @property
    def missing_parameters(self) -> list[str]:
        """Parameters of the path that the handler does not take."""
        if self.signature is None or self.signature.takes_any:
            return []
        return [param.name for param in self.pattern.params if param.name not in self.signature.parameters]

    @property
    def handler_name(self) -> str:
        """The handler, as ``module.name``."""
        return label_of(self.handler)


@dataclass(frozen=True, eq=False)
class OutboundRoute:
    """Outbound route: one WebSocket that goes out, or one HTTP request.

    Attributes:
        url: a str, or a callable, sync or async, that is asked at every attempt.
        handler: the async function that gets the WebSocket or the response.
        name: what ``--route`` finds it by: the given name, else the handler's.
        is_named: the name was given, and must be unique.
        tags: those of the FastWS and its own.
        place: where it was declared.
        method: of the HTTP request; None for a WebSocket.
        reconnect, max_retries, retry_on_error, restart_on_end, retry_on_status, lease: as ``FastWS.ws`` takes them.
        options: the rest, for the library that makes the connection.
    """

    url: Any
    handler: Any
    name: str
    is_named: bool
    tags: tuple[str, ...]
    place: str
    method: str | None = None
    reconnect: bool = False
    max_retries: int = 0
    retry_on_error: bool = False
    restart_on_end: bool = False
    retry_on_status: frozenset[int] | None = None
    lease: bool = False
    options: Mapping[str, Any] = field(default_factory=dict)
    direction: str = field(default="out", init=False)

    @property
    def handler_name(self) -> str:
        """The handler, as ``module.name``."""
        return label_of(self.handler)

    @property
    def key(self) -> str:
        """Unique key of the route: in a lease, in a shard."""
        return self.name if self.is_named else self.handler_name

    @property
    def scope(self) -> dict[str, Any]:
        """Scope for ``FASTWS_DB_SETUP``, since an outbound route has no ASGI scope."""
        return {"type": "outbound", "route": self.key, "tags": self.tags, "method": self.method}

    @property
    def shown_url(self) -> str:
        """The URL for a log or a table: what may be secret is masked, a callable is named."""
        return mask_url(self.url) if isinstance(self.url, str) else f"<{label_of(self.url)}>"


class Problem(NamedTuple):
    """A module whose routes could not be collected.

    Attributes:
        module: its name.
        error: why.
    """

    module: str
    error: RouteError


class Registry:
    """Registry of the routes of every FastWS, in import order; or of some of them.

    Args:
        apps: those it has from the beginning.
    """

    def __init__(self, apps: Iterable[Any] = ()) -> None:
        self.apps: list[Any] = list(apps)
        #: What makes routes of something else that is declared, such as live rooms.
        self.sources: list[Callable[[], list[Route]]] = []
        #: What makes live rooms of the package's own, where live sockets are served: clients join them by their
        #: names, before any other, and nothing describes them.
        self.hidden_rooms: list[Callable[[], Any]] = []
        self.problems: list[Problem] = []
        #: Grows with every change, so that what was made of the routes is made anew.
        self.version = 0
        #: Called with every change.
        self.on_change: list[Callable[[], None]] = []

    def part(self, app: Any) -> Registry:
        """The routes of one FastWS; with those of other sources if it declares live rooms."""
        part = Registry([app])
        if app.rooms:
            part.sources = self.sources
        return part

    def changed(self) -> None:
        """Tell that a FastWS or a route was added."""
        self.version += 1
        for told in self.on_change:
            told()

    @property
    def routes(self) -> list[Route]:
        """Every route, in the order of declaration within each FastWS; behind them those of other sources."""
        return self.declared + [route for source in self.sources for route in source()]

    @property
    def declared(self) -> list[Route]:
        """The routes of raw sockets: without those of other sources."""
        return [route for app in self.apps for route in app.routes]

    @property
    def rooms(self) -> list[Any]:
        """Every live room, in the order of declaration within each FastWS."""
        return [room for app in self.apps for room in app.rooms]

    @property
    def outbound(self) -> list[OutboundRoute]:
        """Every outbound route, in the order of declaration within each FastWS."""
        return [route for app in self.apps for route in app.outbound]

    def __iter__(self) -> Iterator[Route]:
        return iter(self.routes)

    def duplicates(self) -> list[list[Route]]:
        """Routes that match the same URLs, in groups."""
        return _groups(self.routes, lambda route: route.shape)

    def duplicate_names(self) -> list[list[Route | OutboundRoute]]:
        """Routes that were given the same name, in groups."""
        both: list[Route | OutboundRoute] = [*self.routes, *self.outbound]
        return _groups([route for route in both if route.is_named], lambda route: route.name)


def _groups(routes: list[AnyRoute], key: Callable[[AnyRoute], str]) -> list[list[AnyRoute]]:
    found: dict[str, list[AnyRoute]] = {}
    for route in routes:
        found.setdefault(key(route), []).append(route)
    return [group for group in found.values() if len(group) > 1]


#: Of every FastWS there is. Its ``version`` tells of changes in any other, too.
registry = Registry()
