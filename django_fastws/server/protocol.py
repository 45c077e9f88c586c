"""WebSocket protocol of the server: daphne's, with what ASGI and RFC 6455 ask for, and bounded buffers."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Callable
from typing import Any, ClassVar

from autobahn.twisted.util import peer2str
from daphne.server import reactor

from .._core.close_codes import INTERNAL_ERROR, CloseStatus
from ..conf import conf
from ..exceptions import MessageTooBig, check_close
from ..transports import Inbox, tcp_below
from ..types import Message
from .compressed_messages import CompressingProtocol
from .opening_handshake import HandshakeProtocol

__all__ = ["WebSocketProtocol"]

_UNKNOWN_TO_AUTOBAHN = 1014  # Bad Gateway, registered after autobahn's list was made
_EARLY_BYTES = 64 * 1024  # that a client may send before its handshake is answered


class WebSocketProtocol(CompressingProtocol):
    """Protocol of one WebSocket connection, between Twisted and an ASGI application.

    The application's messages come through ``handle_reply``; its events wait in ``application_queue``.
    """

    # Options of autobahn's. It takes them from the class before it takes them from the factory.
    echoCloseCodeReason = True  # RFC 6455 section 5.5.1; without it every close is answered with 1000
    failByDrop = False  # a client's mistake is answered with a close frame that says what it was
    closeHandshakeTimeout: float = (
        5  # seconds for a client to answer a close frame, or to take what was sent before it
    )

    #: Code and reason of a close that this end decided on, whatever the client may answer: a restart, or a mistake of
    #: the client's. No ``ConnectionState`` has it: the server serves any ASGI application, also one that this package
    #: never sees, and what it knows reaches each as the disconnect event, from which the state of a WebSocket is set.
    _ending: tuple[int, str] | None = None
    _is_announced = False
    _peer_close_code: int | None = None
    _linger: Any = None

    # The connection

    def connectionMade(self) -> None:
        # As autobahn does, which asks besides who the client is by TLS: of Twisted's alone, and for nobody here.
        self.peer = peer2str(self.transport)
        with contextlib.suppress(AttributeError, OSError):  # a Unix socket
            self.transport.setTcpNoDelay(True)
        self._connectionMade()
        # The HTTP channel, which is over. It would hear of a full transport, and do nothing about it.
        self.transport.unregisterProducer()

    def connectionLost(self, reason: Any) -> None:
        if self._linger is not None:
            self._linger.cancel()
            self._linger = None
        super().connectionLost(reason)
        inbox = getattr(self, "application_queue", None)
        if inbox is not None:  # with this protocol, a cycle, which reference counts do not free
            inbox.detach()

    def processHandshake(self) -> None:
        super().processHandshake()
        if len(self.data) > _EARLY_BYTES and self._is_waiting:
            self._pause(self._INBOX)

    def sendData(self, data: bytes, sync: bool = False, chopsize: int | None = None) -> None:  # noqa: FBT001, FBT002
        """Write to the transport; as autobahn does, without the line for its log."""
        if sync or chopsize or self.send_queue:
            super().sendData(data, sync, chopsize)
        else:
            self.transport.write(data)

    def unregisterProducer(self) -> None:
        """Wake the tasks that wait for the transport to have room: this is part of every end of a connection."""
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

    def open_inbox(self) -> Inbox:
        """Make the inbox, in which the events of the connection wait for the application."""
        return Inbox(conf.receive_buffer_messages, conf.receive_buffer_bytes, self._has_room)

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
        self.write_message(payload, is_binary=is_binary)

    def _handle_close(self, message: Message) -> None:
        code, reason = message.get("code"), message.get("reason") or ""
        code = 1000 if code is None else code
        if self._is_waiting:
            self.deny(403, "Forbidden")
        elif self.state == self.STATE_OPEN:
            check_close(code, reason)
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode() or None)

    _REPLIES: ClassVar[dict[str, Callable[[WebSocketProtocol, Message], None]]] = {
        "websocket.accept": HandshakeProtocol.handle_accept,
        "websocket.send": _handle_send,
        "websocket.close": _handle_close,
        "websocket.http.response.start": HandshakeProtocol.handle_denial_start,
        "websocket.http.response.body": HandshakeProtocol.handle_denial_body,
    }

    def application_ended(self, *, failed: bool) -> None:
        """Close, or deny the handshake: the application has returned, or failed."""
        if self._is_waiting:
            status, text = (500, "Internal Server Error") if failed else (403, "Forbidden: it was not accepted")
            self.deny(status, text)
        elif self.state == self.STATE_OPEN:
            code, reason = INTERNAL_ERROR if failed else (1000, "")
            self.sendCloseFrame(code=code, reasonUtf8=reason.encode() or None)

    # What the client sends

    def onMessage(self, payload: bytes, isBinary: bool) -> None:  # noqa: FBT001
        inbox = self.application_queue
        if self.state != self.STATE_OPEN and inbox.is_full:
            return  # it is being closed, and what matters now is the client's answer behind this
        inbox.add(payload if isBinary else payload.decode(), len(payload))
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
        """Close because of a protocol error of the client's, whose messages nobody receives any more."""
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

    def restart(self, status: CloseStatus, close_timeout: float) -> None:
        """Close because the server stops, or deny the handshake; the application sees the same status.

        Args:
            status: the code and the reason.
            close_timeout: seconds for the client to answer, before it is cut off.
        """
        if self._is_waiting:
            self._ending = status
            self.deny(503, "Service Unavailable: the server is restarting", [(b"retry-after", b"1")])
        elif self.state == self.STATE_OPEN:
            self._ending = status
            self.closeHandshakeTimeout = close_timeout
            self.sendCloseFrame(code=status.code, reasonUtf8=status.reason.encode())
            self._settle(status)

    def _settle(self, status: tuple[int, str]) -> None:
        """Set the close code and reason that everyone sees who asks for them."""
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
        """Put the disconnect event into the inbox; once."""
        if not self._is_announced and hasattr(self, "application_queue"):
            self._is_announced = True
            self.application_queue.put_nowait({"type": "websocket.disconnect", "code": code, "reason": reason})

    # Whether the client is alive

    def check_timeouts(self) -> None:
        """Apply the timeouts of the handshake, of the connection and of pings; daphne calls this now and then."""
        server, now = self.server, time.time()
        if self._is_waiting:
            limits = (server.websocket_connect_timeout, self.openHandshakeTimeout or -1)
            if any(0 <= limit < self.duration() for limit in limits):
                self.deny_unanswered()
        elif self.state == self.STATE_OPEN:
            if 0 <= server.websocket_timeout < self.duration():
                self.sendCloseFrame(code=1000)
            elif server.ping_interval > 0:
                self._check_life(now)
