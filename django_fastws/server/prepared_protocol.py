"""Initial state of a WebSocket protocol: what autobahn sets for each connection stands once, on a class.

autobahn copies thirty options to each connection, sets forty attributes beside them, and formats all of that for its
log. Here an attribute is set on a connection when it changes: so it has less than thirty, as many as Python keeps
without a dictionary of their own.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from functools import cached_property
from typing import Any

from autobahn.websocket.protocol import TrafficStats
from autobahn.websocket.utf8validator import Utf8Validator

from .._core.request_head import RequestHead
from .protocol import WebSocketProtocol

__all__ = ["prepared"]

_PLAIN = (type(None), bool, int, float, str, bytes)
#: Those of which each connection has its own, and those that nobody reads.
_OWN = frozenset({"send_queue", "trafficStats", "utf8validator"})
_UNREAD = frozenset(
    {"_results", "_transport_details", "_valid_events", "is_closed", "is_open", "openHandshakeTimeoutCall"}
)
#: What is set on each connection until it is open and idle; less than thirty.
_SET = (
    *("factory", "connected", "transport", "server", "_is_asked", "head", "data", "socket_opened", "last_ping"),
    *("client_addr", "request", "handshake_deferred", "path", "application_queue", "closeHandshakeTimeout", "state"),
    *(
        "websocket_extensions",
        "websocket_protocol_in_use",
        "processData",
        "dataReceived",
        "_stalled_at",
        "echoCloseCodeReason",
    ),
)


class _Unwatched:
    """Place of a Deferred that nobody waits for; autobahn fires it with the protocol, which would be kept by it."""

    def callback(self, result: Any) -> None:
        """Nobody is told."""

    errback = callback


class _Traffic:
    """What autobahn counts of a connection, of which the pings need one."""

    __slots__ = tuple(vars(TrafficStats()))

    def __init__(self) -> None:
        for name in self.__slots__:
            setattr(self, name, 0)


class _OfHead:
    """Attribute that a handshake needs, read from its head; whoever sets another value has that."""

    def __init__(self, read: Callable[[RequestHead], Any]) -> None:
        self._read = read
        self._name = ""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if instance is None:
            return self
        if instance.head is None:
            raise AttributeError(self._name)
        return self._read(instance.head)


class _PreparedProtocol(WebSocketProtocol):
    """WebSocket protocol whose initial state is that of its class."""

    # As a handshake that ``begin()`` has begun with leaves them: others set their own.
    websocket_version = 13
    websocket_protocol_in_use: Any = None
    inside_message, current_frame = False, None
    http_request_uri = _OfHead(lambda head: head.target)
    _raw_query_string = _OfHead(lambda head: head.target.partition("?")[2].encode())
    _wskey = _OfHead(lambda head: head.key.decode())
    websocket_protocols = _OfHead(lambda head: head.subprotocols)
    websocket_extensions = _OfHead(lambda head: [])

    is_open = is_closed = _Unwatched()
    _transport_details = None
    _results = _valid_events = None
    send_queue: Any = ()
    openHandshakeTimeoutCall = None

    trafficStats = cached_property(lambda self: _Traffic())
    utf8validator = cached_property(lambda self: Utf8Validator())

    def __init__(self) -> None:
        """Nothing is set before there is something to set."""

    @property
    def peer(self) -> str:
        """The other end, for autobahn's log."""
        return str(self.transport.getPeer())

    def connectionMade(self) -> None:
        self.factory.countConnections += 1
        self.transport.unregisterProducer()  # the HTTP channel, which is over

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:  # noqa: FBT001, FBT002
        """Write to the transport; in pieces only with a queue of its own."""
        if (sync or chopsize) and not self.send_queue:
            self.send_queue = deque()
        super().sendData(data, sync, chopsize)

    def _onOpen(self) -> None:
        self.onOpen()


def prepared(factory: Any) -> type[WebSocketProtocol]:
    """The class of a server's WebSocket protocols, with the options of its factory.

    It is found out what autobahn sets, by having it do so once. If that is not what is known here, the class is the
    plain one.
    """
    probe: Any = WebSocketProtocol()
    probe.factory, probe.openHandshakeTimeout, count = factory, 0, factory.countConnections
    probe._connectionMade()
    factory.countConnections = count
    found: dict[str, Any] = {}
    for name, value in vars(probe).items():
        if name in probe.CONFIG_ATTRS:
            option = getattr(factory, name)
            found[name] = staticmethod(option) if callable(option) else option
        elif isinstance(value, _PLAIN):
            found[name] = value
        elif name not in _OWN | _UNREAD | {"factory"}:
            return WebSocketProtocol
    for name in _OWN | _UNREAD:
        found.pop(name, None)
    made = type("WebSocketProtocol", (_PreparedProtocol,), found)
    first = made()
    for name in _SET:  # Python leaves room for few attributes that the first instances of a class did not have
        setattr(first, name, None)
    return made
