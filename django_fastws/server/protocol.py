"""One WebSocket connection: daphne's protocol, with what ASGI and RFC 6455 ask for, and a bound on every buffer."""

from __future__ import annotations

import asyncio
import functools
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, ClassVar
from urllib.parse import unquote, urlsplit

from autobahn.websocket.types import ConnectionDeny
from daphne.server import reactor
from twisted.internet.interfaces import ISSLTransport

from .._core.answers import DenialResponse, checked_accept
from .._core.frames import BINARY, TEXT, frame
from .._core.handshake import offered
from ..conf import conf
from ..exceptions import MessageTooBig, check_close
from ..masking import mask_path
from ..transports import tcp_below
from ..types import Message, Scope
from .access_log import rejection
from .compression import accept_offer, usable_offers
from .inbox import Inbox
from .liveness import LivenessProtocol

__all__ = ["WebSocketProtocol"]

_RESTART = (1012, "service restart")
_UNKNOWN_TO_AUTOBAHN = 1014  # Bad Gateway, registered after autobahn's list was made
_EARLY_BYTES = 64 * 1024  # that a client may send before its handshake is answered
_TEXT_HEADERS = ((b"content-type", b"text/plain; charset=utf-8"), (b"x-content-type-options", b"nosniff"))

HeaderList = list[tuple[bytes, bytes]]


class WebSocketProtocol(LivenessProtocol):
    """Carries one connection between Twisted and an ASGI application.

    The application's messages come through ``handle_reply``; its events wait in ``application_queue``.
    """

    # Of autobahn's.
    websocket_extensions: list[Any]

    # Options of autobahn's. It takes them from the class before it takes them from the factory.
    echoCloseCodeReason = True  # RFC 6455 section 5.5.1; without it every close is answered with 1000
    failByDrop = False  # a client's mistake is answered with a close frame that says what it was
    closeHandshakeTimeout: float = (
        5  # seconds for a client to answer a close frame, or to take what was sent before it
    )

    client_addr: list[Any] | None = None
    path = b""

    _denial: DenialResponse | None = None
    _answer: tuple[int, HeaderList, bytes] | None = None
    #: Code and reason of a close that this end decided on, whatever the client may answer.
    _ending: tuple[int, str] | None = None
    _is_announced = False
    _peer_close_code: int | None = None
    _linger: Any = None

    # The connection

    def connectionMade(self) -> None:
        super().connectionMade()
        # The HTTP channel, which is over. It would hear of a full transport, and do nothing about it.
        self.transport.unregisterProducer()

    def connectionLost(self, reason: Any) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        super().connectionLost(reason)

    def dataReceived(self, data: bytes) -> None:
        self._dataReceived(data)  # without autobahn's line for the log, which is made whether it is logged or not
        if len(self.data) > _EARLY_BYTES and self._is_waiting:
            self._pause(self._INBOX)

    def processHandshake(self) -> None:
        # What comes between the request and its answer are frames of a client that does not wait. autobahn would look
        # for another request in them.
        if not self._is_waiting:
            super().processHandshake()

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:  # noqa: FBT001, FBT002
        """Write to the transport; as autobahn does, without the line for its log."""
        if sync or chopsize or self.send_queue:
            super().sendData(data, sync, chopsize)
        else:
            self.transport.write(data)

    def unregisterProducer(self) -> None:
        """Part of every end of a connection: whoever waits for the transport to have room waits in vain."""
        tcp = tcp_below(self.transport)
        producer = getattr(tcp, "producer", None)
        super().unregisterProducer()
        if producer is not None:
            producer.stopProducing()

    def dropConnection(self, abort: bool = False) -> None:  # noqa: FBT001, FBT002
        """Close the TCP connection; after a closing handshake in order, so that no byte of it is lost by a reset."""
        super().dropConnection(abort and not self.wasClean)
        if self.transport.connected and self._linger is None:
            # A client that does not take the last bytes would keep the connection for ever.
            self._linger = reactor.callLater(self.closeHandshakeTimeout, self._abort)

    def _abort(self) -> None:
        self._linger = None
        self.transport.abortConnection()

    # The handshake

    def onConnect(self, request: Any) -> Any:
        protocols = request.headers.get("sec-websocket-protocol", "")
        if not protocols.isascii():
            raise ConnectionDeny(400, "Sec-WebSocket-Protocol must be ASCII")
        return super().onConnect(request)

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

    def open_inbox(self) -> Inbox:
        """Where the events of the connection wait for the application."""
        return Inbox(conf.receive_buffer_messages, conf.receive_buffer_bytes, self._has_room)

    @property
    def _is_waiting(self) -> bool:
        """Whether the handshake waits for the application's answer."""
        return self.state == self.STATE_CONNECTING and hasattr(self, "handshake_deferred")

    def succeedHandshake(self, res: Any) -> None:
        offers = usable_offers(self.websocket_extensions) if self.server.per_message_deflate else []
        self.websocket_extensions = offers
        if offers:
            self.perMessageCompressionAccept = functools.partial(accept_offer, offers[0][1])
        super().succeedHandshake(res)
        self._go_on(self._INBOX)

    def refuse(self, status: int, text: str = "", headers: HeaderList | None = None) -> None:
        """Answer a handshake that waits with an HTTP status and a line of text."""
        self._deny(status, [*_TEXT_HEADERS, *(headers or ())], text.encode())

    def _deny(self, status: int, headers: HeaderList, body: bytes) -> None:
        self._answer = (status, headers, body)
        self.serverReject()

    def note_answer(self, status: int, headers: HeaderList, body: bytes) -> None:
        """Remember, for the log, what the handshake is about to be refused with."""
        self._answer = (status, headers, body)

    def serverReject(self) -> None:
        """Refuse the handshake with the answer that was found, and log why."""
        handshake = self.handshake_deferred
        del self.handshake_deferred
        handshake.errback(ConnectionDeny(code=403, reason="Access denied"))
        self.server.protocol_disconnected(self)
        self.server.log_action("websocket", "rejected", {**self._details, **rejection(self._answer)})

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
            self.refuse(503, "Service Unavailable: the application did not answer the handshake in time")
        else:
            super().onOpenHandshakeTimeout()

    # What the application sends

    def handle_reply(self, message: Message) -> None:
        """Take one message of the application.

        Raises:
            ValueError, TypeError: it is malformed, or comes at a time when it may not. Nothing was sent.
            MessageTooBig: nothing was sent.
        """
        kind = message.get("type")
        handler = self._REPLIES.get(str(kind))
        if handler is None:
            raise ValueError(f"a WebSocket application cannot send {kind!r}")
        handler(self, message)

    def _handle_accept(self, message: Message) -> None:
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

    def _handle_send(self, message: Message) -> None:
        if self.state == self.STATE_CONNECTING:
            raise ValueError("websocket.send: the handshake was not accepted yet; send websocket.accept first")
        text, data = message.get("text"), message.get("bytes")
        if (text is None) == (data is None):
            raise ValueError("websocket.send takes either text or bytes")
        is_binary = text is None
        payload = bytes(data) if text is None else text.encode()  # type: ignore[arg-type]
        limit = conf.max_message_bytes
        if len(payload) > limit:
            raise MessageTooBig(len(payload), limit)
        if self.state != self.STATE_OPEN:
            return  # daphne drops what is sent to a closed connection, and consumers rely on that
        if self._perMessageCompress is None:
            self.sendData(frame(BINARY if is_binary else TEXT, payload))
        else:
            self.sendMessage(payload, is_binary)

    def _handle_close(self, message: Message) -> None:
        code, reason = message.get("code"), message.get("reason") or ""
        code = 1000 if code is None else code
        if self._is_waiting:
            self.refuse(403, "Forbidden")
        elif self.state == self.STATE_OPEN:
            check_close(code, reason)
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode() or None)

    def _handle_denial_start(self, message: Message) -> None:
        if self.state == self.STATE_OPEN:
            raise ValueError("websocket.http.response.start: the handshake was accepted before")
        self._denial = DenialResponse(message)

    def _handle_denial_body(self, message: Message) -> None:
        if self._denial is None:
            raise ValueError("websocket.http.response.body: send websocket.http.response.start first")
        if self._denial.add(message) and self._is_waiting:
            self._deny(*self._denial.parts)

    _REPLIES: ClassVar[dict[str, Callable[[WebSocketProtocol, Message], None]]] = {
        "websocket.accept": _handle_accept,
        "websocket.send": _handle_send,
        "websocket.close": _handle_close,
        "websocket.http.response.start": _handle_denial_start,
        "websocket.http.response.body": _handle_denial_body,
    }

    def sendMessage(self, payload: bytes, isBinary: bool = False, **options: Any) -> None:  # noqa: FBT001, FBT002
        """Send a message, compressed where that was agreed on."""
        # autobahn applies the limit for what comes in to what goes out, and drops the connection over it.
        limit, self.maxMessagePayloadSize = self.maxMessagePayloadSize, 0
        try:
            super().sendMessage(payload, isBinary, **options)
        finally:
            self.maxMessagePayloadSize = limit

    def application_ended(self, *, failed: bool) -> None:
        """The application has returned, or failed: nobody is left to serve this connection."""
        if self._is_waiting:
            status, text = (500, "Internal Server Error") if failed else (403, "Forbidden: it was not accepted")
            self.refuse(status, text)
        elif self.state == self.STATE_OPEN:
            code, reason = (1011, b"internal error") if failed else (1000, None)
            self.sendCloseFrame(code=code, reasonUtf8=reason)

    # What the client sends

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001
        inbox = self.application_queue
        if self.state != self.STATE_OPEN and inbox.is_full:
            return  # it is being closed, and what matters now is the client's answer behind this
        message: Message = {"type": "websocket.receive"}
        if isBinary:
            message["bytes"] = payload
        else:
            message["text"] = payload.decode()
        inbox.add(message, len(payload))
        if inbox.is_full and self.state == self.STATE_OPEN:
            self._pause(self._INBOX)

    def _has_room(self) -> None:
        # Not at once: the application is receiving just now.
        asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if self.state != self.STATE_OPEN or not self.application_queue.is_full:
            self._go_on(self._INBOX)

    # The end

    def _fail_connection(self, *args: Any, **options: Any) -> None:
        """Close over a mistake of the client's, whose messages nobody receives any more."""
        super()._fail_connection(*args, **options)
        if self._ending is None and self.localCloseCode is not None:
            self._ending = (self.localCloseCode, (self.localCloseReason or b"").decode())
            self._settle(self._ending)
            self._announce(*self._ending)

    def sendCloseFrame(
        self,
        code: int | None = None,
        reasonUtf8: bytes | None = None,
        isReply: bool = False,  # noqa: FBT001, FBT002
    ) -> None:
        """Send a close frame, after all that was sent before."""
        if isReply and self._peer_close_code is not None:
            code = self._peer_close_code
        super().sendCloseFrame(code, reasonUtf8, isReply)
        if self._pauses:
            # So that the client's answer is read; its pings are not answered any more. Not at once: this may be in
            # the middle of a frame.
            self._has_room()
            asyncio.get_running_loop().call_soon(self._go_on, self._PONGS)

    def onCloseFrame(self, code: int | None, reasonRaw: bytes | None) -> Any:
        if code == _UNKNOWN_TO_AUTOBAHN:
            self._peer_close_code = code
            done = super().onCloseFrame(1000, reasonRaw)
            self.remoteCloseCode = code
        else:
            done = super().onCloseFrame(code, reasonRaw)
        if self._ending is not None:
            self._settle(self._ending)
        return done

    def restart(self, patience: float) -> None:
        """Close because the server stops, or refuse the handshake; the application sees 1012.

        Args:
            patience: seconds for the client to answer, before it is cut off.
        """
        if self._is_waiting:
            self._ending = _RESTART
            self.refuse(503, "Service Unavailable: the server is restarting", [(b"retry-after", b"1")])
        elif self.state == self.STATE_OPEN:
            self._ending = _RESTART
            self.closeHandshakeTimeout = patience
            code, reason = _RESTART
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode())
            self._settle(_RESTART)

    def _settle(self, status: tuple[int, str]) -> None:
        """Have everyone who asks how the connection ended told so."""
        self.wasClean = True
        self.remoteCloseCode, self.remoteCloseReason = status

    def onClose(self, wasClean: bool, code: int | None, reason: str | None) -> None:  # noqa: FBT001
        if not hasattr(self, "server"):
            return  # the handshake was malformed, and came to nobody's notice
        self.server.protocol_disconnected(self)
        if self._ending is not None:
            self._settle(self._ending)
            code, reason = self._ending
        elif not wasClean:
            code, reason = 1006, ""
        self._announce(1005 if code is None else code, reason or "")
        self.server.log_action("websocket", "disconnected", self._details)

    def _announce(self, code: int, reason: str) -> None:
        """Tell the application that there is no more to receive; once."""
        if not self._is_announced and hasattr(self, "application_queue"):
            self._is_announced = True
            self.application_queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    @property
    def _details(self) -> dict[str, Any]:
        client = "{}:{}".format(*self.client_addr) if self.client_addr else None
        return {"path": self.request.path, "client": client}

    # Whether the client is alive

    def check_timeouts(self) -> None:
        """Look for what has lasted too long; daphne calls this now and then."""
        server, now = self.server, time.time()
        if self._is_waiting:
            if 0 <= server.websocket_connect_timeout < self.duration():
                self.refuse(503, "Service Unavailable: the application did not answer the handshake in time")
        elif self.state == self.STATE_OPEN:
            if 0 <= server.websocket_timeout < self.duration():
                self.sendCloseFrame(code=1000)
            elif server.ping_interval > 0:
                self._check_life(now)


def _as_autobahn_sends(value: bytes) -> str:
    """A header's value as a str that autobahn's encoding, which is UTF-8, makes the same bytes of, if any does."""
    try:
        return value.decode()
    except UnicodeDecodeError:
        return value.decode("latin-1")
