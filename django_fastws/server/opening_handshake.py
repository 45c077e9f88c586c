"""Opening handshake in the server's own protocol: the scope of the request, accepting it, answering a denial.

It serves any ASGI application. What the transport mends besides is in ``transports/daphne_handshake.py``.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import time
from binascii import b2a_base64
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote, urlsplit

from autobahn.websocket.types import ConnectionDeny
from twisted.internet.interfaces import ISSLTransport

from .._core.answers import DenialResponse, checked_accept
from .._core.handshake import offered
from .._core.request_head import RequestHead
from ..limits import Denial, record_denial
from ..masking import mask_path
from ..transports import tcp_below, unsent_bytes
from ..types import Message, Scope
from .access_log import denial_details
from .compression import accept_offer, usable_offers
from .liveness import LivenessProtocol

__all__ = ["HandshakeProtocol"]

logger = logging.getLogger("django_fastws.server")

_MAGIC = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"  # RFC 6455 section 1.3
_TEXT_HEADERS = ((b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff"))

HeaderList = list[tuple[bytes, bytes]]


class _Answer:
    """Where the answer to a handshake goes, in the place of a Deferred of autobahn's."""

    __slots__ = ("_protocol",)

    def __init__(self, protocol: HandshakeProtocol) -> None:
        self._protocol = protocol

    def callback(self, accepted: Any) -> None:
        """Accept, with a subprotocol and headers, or a subprotocol alone."""
        self._protocol.succeedHandshake(accepted)

    def errback(self, denied: ConnectionDeny) -> None:
        """Deny, with a status and a reason."""
        self._protocol.failHandshake(denied.reason, denied.code)


class _AskedFor:
    """What was asked for, as the log has it."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


class HandshakeProtocol(LivenessProtocol):
    """Protocol of the opening handshake: the application accepts it, or denies it with an HTTP status."""

    # Of autobahn's.
    websocket_extensions: list[Any]

    client_addr: list[Any] | None = None
    path = b""

    #: Whether the application is asked about the handshake: then it says, and counts, why it is denied.
    _is_asked = False
    #: What ``begin()`` has begun with, until the connection is open.
    head: RequestHead | None = None
    _denial: DenialResponse | None = None
    _answer: tuple[int, HeaderList, bytes] | None = None

    # The request

    def processHandshake(self) -> None:
        # What comes between the request and its answer are frames of a client that does not wait. autobahn would look
        # for another request in them.
        if not self._is_waiting:
            super().processHandshake()

    def onConnect(self, request: Any) -> Any:
        protocols = request.headers.get("sec-websocket-protocol", "")
        if not protocols.isascii():
            raise ConnectionDeny(400, "Sec-WebSocket-Protocol must be ASCII")
        self._is_asked = True
        return super().onConnect(request)

    def begin(self, head: RequestHead, early: bytes) -> None:
        """Begin with a request whose head was read, and is in order, as ``onConnect()`` does with one of autobahn's.

        Args:
            early: what came with it, of a client that does not wait for the answer.
        """
        factory, transport = self.factory, self.transport
        server = self.server = factory.server_class
        server.protocol_connected(self)
        self._is_asked = True
        self.head, self.data = head, early
        if head.extensions and server.per_message_deflate:
            self.websocket_extensions = self._parseExtensionsHeader(head.extensions)
        self.socket_opened = self.last_ping = time.time()
        peer, host, server_addr = transport.getPeer(), transport.getHost(), None
        if hasattr(peer, "port"):
            self.client_addr, server_addr = [str(peer.host), peer.port], [str(host.host), host.port]
        self.request = _AskedFor("")
        self.handshake_deferred = _Answer(self)
        scope: Scope = {
            "type": "websocket",
            "root_path": server.root_path,
            "query_string": self._raw_query_string,
            "client": self.client_addr,
            "server": server_addr,
        }
        factory.received_headers = head.headers
        try:
            inbox = server.create_application(self, scope)
        except Exception:
            logger.exception("The application could not be started")
            self.failHandshake("Internal server error", 500)
        else:
            self.path = scope["raw_path"]
            self.applicationCreateWorked(inbox)
        finally:
            factory.received_headers = ()

    def complete_scope(self, scope: Scope) -> None:
        """Add to the scope what ASGI has and daphne leaves out."""
        path = self.http_request_uri.partition("?")[0]
        if not path.startswith("/"):
            path = urlsplit(path).path
        # autobahn cuts a path at a semicolon in its last segment, which RFC 3986 section 3.3 does not ask for.
        scope.update(path=unquote(path), raw_path=path.encode("ascii"))
        query = self._raw_query_string.decode("ascii")
        self.request.path = mask_path(f"{path}?{query}" if query else path)  # for the log alone, from here on
        scope["http_version"] = "1.1"
        scope["scheme"] = "wss" if self._is_secure else "ws"
        scope["headers"] = self.factory.received_headers
        scope["subprotocols"] = offered(self.websocket_protocols)
        scope["extensions"] = {"websocket.http.response": {}}

    @property
    def _is_secure(self) -> bool:
        return bool(ISSLTransport.providedBy(self.transport))  # not for any wrapper: the PROXY protocol is one, too

    @property
    def _details(self) -> dict[str, Any]:
        client = "{}:{}".format(*self.client_addr) if self.client_addr else None
        return {"path": self.request.path, "client": client}

    # The answer

    @property
    def _is_waiting(self) -> bool:
        """Whether the handshake waits for the application's answer."""
        return self.state == self.STATE_CONNECTING and hasattr(self, "handshake_deferred")

    def succeedHandshake(self, res: Any) -> None:
        offers = usable_offers(self.websocket_extensions) if self.server.per_message_deflate else []
        if offers or self.websocket_extensions:
            self.websocket_extensions = offers
        if offers:
            self.perMessageCompressionAccept = functools.partial(accept_offer, offers[0][1])
        if offers or self.autoPingInterval or self.head is None:
            super().succeedHandshake(res)
        else:
            self._open(*(res if type(res) is tuple else (res, {})))
        self._go_on(self._INBOX)

    def _open(self, subprotocol: str | None, headers: dict[str, list[str]]) -> None:
        """Accept the handshake, without extensions; as autobahn does it."""
        key = b2a_base64(hashlib.sha1(self._wskey.encode() + _MAGIC).digest(), newline=False).decode()
        server = self.factory.server
        lines = ["HTTP/1.1 101 Switching Protocols", *([f"Server: {server}"] if server else ())]
        lines += ["Upgrade: WebSocket", "Connection: Upgrade"]
        for name, values in headers.items():
            lines += [f"{name}: {value}" for value in values]
        if subprotocol is not None:
            lines.append(f"Sec-WebSocket-Protocol: {subprotocol}")
        lines.append(f"Sec-WebSocket-Accept: {key}\r\n\r\n")
        if subprotocol is not None:
            self.websocket_protocol_in_use = subprotocol
        self._write_answer("\r\n".join(lines).encode())
        self.state = self.STATE_OPEN
        self._onOpen()
        if self.data:
            self.consumeData()

    def _write_answer(self, answer: bytes) -> None:
        """Write to the socket, past Twisted, which would ask the reactor whether that is ready."""
        tcp = self.transport
        if tcp_below(tcp) is not tcp or unsent_bytes(tcp):
            self.sendData(answer)
            return
        try:
            sent = tcp.socket.send(answer)
        except OSError:  # it is full; or broken, which Twisted finds out
            sent = 0
        if sent != len(answer):
            self.sendData(answer[sent:])

    def deny(self, status: int, text: str = "", headers: HeaderList | None = None) -> None:
        """Answer a handshake that waits with an HTTP status and a line of text."""
        self._deny_with(status, [*_TEXT_HEADERS, *(headers or ())], text.encode())

    def deny_unanswered(self) -> None:
        """Answer a handshake that the application has not answered in time."""
        self.deny(503, "Service Unavailable: the application did not answer the handshake in time")

    def _deny_with(self, status: int, headers: HeaderList, body: bytes) -> None:
        self._answer = (status, headers, body)
        self.serverReject()

    def note_answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Remember, for the log, what the handshake is about to be denied with."""
        self._answer = (status, headers, body)

    def serverReject(self) -> None:
        """Deny the handshake with the answer that was found, and log why."""
        handshake = self.handshake_deferred
        del self.handshake_deferred
        handshake.errback(ConnectionDeny(code=403, reason="Access denied"))
        self.server.protocol_disconnected(self)
        self.server.log_action("websocket", "rejected", {**self._details, **denial_details(self._answer)})

    def failHandshake(self, reason: str, code: int = 400, responseHeaders: Any = None) -> None:
        """Deny a handshake, and drop the connection; the application never hears of one that is malformed."""
        if not self._is_asked:
            client = self.transport.getPeer()
            scope: Scope = {
                "path": getattr(self, "http_request_uri", ""),
                "client": [getattr(client, "host", "a Unix socket")],
            }
            record_denial(Denial("malformed", code, str(reason)), scope)
        super().failHandshake(reason, code, responseHeaders)

    def sendHttpErrorResponse(self, code: int, reason: str, responseHeaders: Any = None) -> None:
        """Answer a handshake with an error: of the application, of the server, or what autobahn found."""
        if self._answer is None:
            headers: HeaderList = [(name.encode(), str(value).encode()) for name, value in responseHeaders or ()]
            self._answer = (int(code), [*_TEXT_HEADERS, *headers], str(reason).encode("utf-8", "replace"))
        status, headers, body = self._answer
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        lines = [b"HTTP/1.1 %d %s" % (status, phrase.encode())]
        lines += [b"%s: %s" % pair for pair in headers if pair[0] not in (b"content-length", b"connection")]
        lines += [b"content-length: %d" % len(body), b"connection: close", b"", body]
        self.sendData(b"\r\n".join(lines))

    def onOpenHandshakeTimeout(self) -> None:
        if self._is_waiting:
            self.openHandshakeTimeoutCall = None
            self.deny_unanswered()
        else:
            super().onOpenHandshakeTimeout()

    def handle_accept(self, message: Message) -> None:
        """Take ``websocket.accept``."""
        if self.state == self.STATE_OPEN:
            raise ValueError("websocket.accept: the handshake was accepted before")
        if not self._is_waiting:
            return  # gone meanwhile
        checked = checked_accept(message, offered(self.websocket_protocols))
        headers: dict[str, list[str]] = {}
        for name, value in checked["headers"]:
            headers.setdefault(name.decode("ascii"), []).append(_as_autobahn_sends(value))
        handshake = self.handshake_deferred
        del self.handshake_deferred
        handshake.callback((checked["subprotocol"], headers))

    def handle_denial_start(self, message: Message) -> None:
        """Take ``websocket.http.response.start``."""
        if self.state == self.STATE_OPEN:
            raise ValueError("websocket.http.response.start: the handshake was accepted before")
        self._denial = DenialResponse(message)

    def handle_denial_body(self, message: Message) -> None:
        """Take ``websocket.http.response.body``."""
        if self._denial is None:
            raise ValueError("websocket.http.response.body: send websocket.http.response.start first")
        if self._denial.add(message) and self._is_waiting:
            self._deny_with(*self._denial.parts)


def _as_autobahn_sends(value: bytes) -> str:
    """A header's value as a str that autobahn's encoding, which is UTF-8, makes the same bytes of, if any does."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
