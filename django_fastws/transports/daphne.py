"""The transport for daphne: mends what daphne 4.1 and 4.2 get wrong, through the protocol object behind ``send``.

Daphne closes with 1011 where another code was asked for, drops close reasons, never sends empty messages, ignores
the headers of an accept and every denial response. All of it can be reached on autobahn's protocol object.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from .._core.handshake import offered
from .._core.messages import Batch, Payload
from ..exceptions import WebSocketDisconnect
from ..types import Message, Receive, Scope, Send
from .early import take_early_data
from .events import disconnect_status
from .framing import FramingTransport, room_bytes
from .pongs import Pongs
from .twisted import unsent_bytes, until_drained

__all__ = ["DaphneTransport", "served_scope"]

# What the transport calls or reads on the protocol object; daphne's or autobahn's next release may change any of it.
_NEEDED = (
    "STATE_CLOSED",
    "STATE_CONNECTING",
    "STATE_OPEN",
    "_perMessageCompress",
    "data",
    "onPing",
    "onPong",
    "remoteCloseCode",
    "remoteCloseReason",
    "request",
    "sendCloseFrame",
    "sendData",
    "sendHttpErrorResponse",
    "sendMessage",
    "sendPing",
    "sendPong",
    "send_queue",
    "server",
    "serverReject",
    "state",
    "transport",
    "wasClean",
)
# Likewise on Twisted's transport; without one of these, frames go through autobahn, and without a bound.
_NEEDED_BELOW = (
    "TLS",
    "_tempDataBuffer",
    "_tempDataLen",
    "abortConnection",
    "dataBuffer",
    "offset",
    "pauseProducing",
    "producer",
    "registerProducer",
    "resumeProducing",
    "streamingProducer",
    "unregisterProducer",
    "write",
)
# What they read until the connection is open, and never again.
_HANDSHAKE = frozenset(
    {
        "_raw_query_string",
        "_wskey",
        "application_deferred",
        "clean_headers",
        "http_headers",
        "http_request_data",
        "http_request_host",
        "http_request_params",
        "http_request_path",
        "http_request_uri",
        "http_response_data",
        "http_status_line",
        "is_open",
        "protocol_to_accept",
        "websocket_extensions",
        "websocket_origin",
        "websocket_protocols",
    }
)
_OPEN = 3  # autobahn's STATE_OPEN

_GLANCE = 0.5  # seconds between two looks at whether a connection that owes a pong is still there
_CLOSE_SECONDS = 10  # for a client to take what was sent before the close, and to answer that, as on uvicorn


def _tcp_below(transport: Any) -> Any:
    """Twisted's transport that holds the socket, or None if it is not one that is known here.

    That is the transport itself, or with TLS, the one below it; which passes on the attributes of that.
    """
    for _ in range(3):
        if "socket" in getattr(transport, "__dict__", ()):
            return transport if _is_known(transport) else None
        transport = getattr(transport, "transport", None)
    return None


def _is_known(tcp: Any) -> bool:
    """Whether a transport of Twisted's has inside what is relied on here."""
    if not all(hasattr(tcp, name) for name in _NEEDED_BELOW) or tcp.TLS:
        return False
    return isinstance(tcp.dataBuffer, bytes) and callable(getattr(tcp.socket, "send", None))


class _Request:
    """What daphne's log needs of a request when the connection ends."""

    __slots__ = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


def served_scope(scope: Scope, send: Send) -> Scope:
    """The scope of an HTTP request without what any client could say: under which path the application is served."""
    if not _is_daphnes(send):
        return scope
    root_path = _root_path(send.args[0], scope)  # type: ignore[attr-defined]
    return scope if root_path == scope.get("root_path") else {**scope, "root_path": root_path}


def _is_daphnes(send: Send) -> bool:
    is_partial = isinstance(send, functools.partial) and len(send.args) == 1
    return is_partial and getattr(send.func, "__name__", "") == "handle_reply"  # type: ignore[attr-defined]


def _root_path(protocol: Any, scope: Scope) -> str:
    """What ``--root-path`` says. daphne lets a Daphne-Root-Path header of any client say another."""
    told: Any = getattr(getattr(protocol, "server", None), "root_path", None)
    return told if isinstance(told, str) else scope.get("root_path") or ""


def _cut_path(protocol: Any, scope: Scope) -> str | None:
    """The path as the client has asked for it, if autobahn has cut something off; else None."""
    path = str(getattr(protocol, "http_request_uri", "")).partition("?")[0]
    # At a semicolon in its last segment, which RFC 3986 section 3.3 does not ask for.
    is_cut_behind = path.startswith((scope.get("raw_path") or b"").decode("latin-1") + ";")
    # Of //x/ws/admin it takes x for a host. A proxy that denies /ws/admin would let that pass.
    is_cut_before = path.startswith("//")
    return path if is_cut_behind or is_cut_before else None


class DaphneTransport(FramingTransport):
    """Carries one connection of daphne's."""

    name = "daphne"

    __slots__ = ("_denial_start", "_early", "_pings", "_pongs", "_protocol", "_socket_send", "_tcp")

    def __init__(self, scope: Scope, receive: Receive, send: Send, protocol: Any) -> None:
        tcp = _tcp_below(protocol.transport)
        is_tls = tcp is not protocol.transport
        scope = dict(scope)
        # What ISSLTransport asks for; a wrapper of another kind, as for the PROXY protocol, makes nothing secure.
        is_secure = is_tls and hasattr(protocol.transport, "getPeerCertificate")
        scope.setdefault("scheme", "wss" if is_secure else "ws")
        scope["root_path"] = _root_path(protocol, scope)
        # daphne decodes a percent sign there, and autobahn then finds that no such subprotocol was offered.
        scope["subprotocols"] = offered(vars(protocol).get("websocket_protocols", scope.get("subprotocols")))
        if (path := _cut_path(protocol, scope)) is not None:
            scope.update(path=unquote(path), raw_path=path.encode("latin-1"))
        scope.setdefault("extensions", {"websocket.http.response": {}})
        super().__init__(scope, receive, send)
        self._protocol = protocol
        self._tcp = tcp
        #: Where nothing stands between the frames and the socket.
        self._socket_send: Callable[[bytes], int] | None = None if is_tls or tcp is None else tcp.socket.send
        self._early = b""
        if tcp is not None:
            self._early = take_early_data(tcp.producer)
            # The HTTP channel, which is over; it would stop the reading when the client does not take what is sent.
            protocol.transport.unregisterProducer()
        # Or a client that closes would be answered with 1000, whatever its code (RFC 6455 section 5.5.1).
        protocol.echoCloseCodeReason = True
        # Or a slow client would be cut off after one second, before it has what was sent before the close.
        protocol.closeHandshakeTimeout = _CLOSE_SECONDS
        self._pongs: Pongs | None = None
        if tcp is not None and not hasattr(protocol, "is_paused"):  # that of runws_server sees to it itself
            protocol.onPing = self._ping_came
        self._denial_start: Message | None = None
        self._pings: dict[bytes, asyncio.Future[float]] | None = None

    @classmethod
    def find(cls, scope: Scope, receive: Receive, send: Send) -> DaphneTransport | None:
        """The transport behind daphne's ``send``, or None if this is not the daphne that the transport knows."""
        if not _is_daphnes(send):
            return None
        protocol = send.args[0]  # type: ignore[attr-defined]
        if not all(hasattr(protocol, name) for name in _NEEDED) or protocol.STATE_OPEN != _OPEN:
            return None
        return cls(scope, receive, send, protocol)

    @property
    def is_open(self) -> bool:
        return not self.state.is_over and bool(self._protocol.state == _OPEN)

    def ended(self) -> tuple[int, str] | None:
        protocol = self._protocol
        # The disconnect event is daphne's last word: once it is the next one, all else was received.
        waiting = getattr(getattr(protocol, "application_queue", None), "_queue", None)
        if protocol.state != protocol.STATE_CLOSED or not waiting or waiting[0]["type"] != "websocket.disconnect":
            return None
        return self.state.status or self.lost_status()

    def _status_of(self, event: Message) -> tuple[int, str]:
        code, _ = disconnect_status(event)
        return code, "" if code == 1006 else self._protocol.remoteCloseReason or ""

    async def _transmit(self, message: Message) -> None:
        protocol = self._protocol
        kind = message["type"]
        if kind == "websocket.http.response.start":
            self._denial_start = message
        elif kind == "websocket.http.response.body":
            self._deny(message)
        elif protocol.state == protocol.STATE_CONNECTING:
            if kind == "websocket.accept":
                self._bring_early()
            if kind != "websocket.accept" or not self._accept(message):
                await self._send(message)
            if protocol.state == _OPEN:
                self._forget_handshake()
        elif protocol.state != _OPEN:
            if kind == "websocket.accept":
                self.state.is_answered = False  # too late: daphne does not wait for ever
            return  # a closed connection: daphne drops what is sent to it, and consumers rely on that
        elif kind == "websocket.send":
            text: Any = message.get("text")
            data: Any = message.get("bytes")
            if (text is None) == (data is None):
                raise ValueError("websocket.send takes either text or bytes")
            with contextlib.suppress(WebSocketDisconnect):
                await self.send_payload(Payload(data if text is None else text))
        elif kind == "websocket.close":
            code = message.get("code")
            reason = (message.get("reason") or "").encode()
            protocol.sendCloseFrame(code=1000 if code is None else code, reasonUtf8=reason or None)
        else:
            await self._send(message)

    # Writing

    @property
    def _is_writable(self) -> bool:
        return True

    def post(self, batch: Payload | Batch) -> bool | None:
        # The same as that of FramingTransport, for the case that nearly always is. This is called for every member of
        # a room, and what it costs is to reach for so many objects, so it reaches for no more than it must.
        tcp, protocol = self._tcp, self._protocol
        if (
            not self.is_sending
            and self._socket_send is not None
            and protocol.state == _OPEN
            and not tcp._tempDataBuffer
            and not tcp.dataBuffer
            and not protocol.send_queue
        ):
            self._write_to_socket(batch.frame)
            return False
        return super().post(batch)

    def _write_now(self, frames: bytes) -> bool:
        protocol, tcp = self._protocol, self._tcp
        if protocol.state != _OPEN:
            return False
        if tcp is None or protocol.send_queue:  # autobahn's own, in which it keeps what it sends in pieces
            protocol.sendData(frames)
        elif tcp.dataBuffer or tcp._tempDataBuffer:
            unsent = self.unsent()
            if unsent and unsent + len(frames) > room_bytes():
                return False
            protocol.sendData(frames)
        elif self._socket_send is None:  # TLS
            protocol.sendData(frames)
        else:
            self._write_to_socket(frames)
        return True

    def _write_to_socket(self, frames: bytes) -> None:
        """Write where nothing is queued, past Twisted, which would ask the reactor whether the socket is ready."""
        try:
            sent = self._socket_send(frames)  # type: ignore[misc]
        except OSError:  # it is full; or broken, which Twisted finds out
            sent = 0
        if sent != len(frames):
            self._tcp.write(frames[sent:])

    def _has_compression(self) -> bool:
        return self._protocol._perMessageCompress is not None

    async def _send_compressed(self, payload: Payload) -> None:
        self._protocol.sendMessage(payload.raw, payload.binary)

    def _write_close(self, frame: bytes) -> None:
        self._protocol.sendCloseFrame(code=int.from_bytes(frame[2:4], "big"), reasonUtf8=frame[4:] or None)

    def unsent(self) -> int:
        tcp = self._tcp
        return 0 if tcp is None else unsent_bytes(tcp)

    @property
    def _is_full(self) -> bool:
        return self.unsent() > room_bytes()

    async def _flushed(self) -> None:
        tcp = self._tcp
        if tcp is None or not self.unsent():
            return
        await until_drained(tcp)  # for ever, if autobahn ends the connection: it takes every producer off that

    def abort(self) -> None:
        if self._tcp is not None:
            self._tcp.abortConnection()
        else:
            self._protocol.transport.loseConnection()

    async def ping(self) -> float:
        protocol = self._protocol
        if not self.is_open:
            raise self.closed_error("ping")
        if self._pings is None:
            self._pings = {}
            protocol.onPong = functools.partial(self._pong_came, type(protocol).onPong)
        payload = secrets.token_bytes(8)
        pong: asyncio.Future[float] = asyncio.get_running_loop().create_future()
        self._pings[payload] = pong
        sent = time.perf_counter()
        protocol.sendPing(payload)
        try:
            while not pong.done():
                await asyncio.wait([pong], timeout=_GLANCE)
                if not pong.done() and not self.is_open:
                    raise self.closed_error("ping")
            return pong.result() - sent
        finally:
            if self._pings is not None:
                self._pings.pop(payload, None)

    async def pong(self) -> None:
        if not self.is_open:
            raise self.closed_error("pong")
        self._protocol.sendPong()

    def release(self) -> None:
        super().release()
        for pong in (self._pings or {}).values():
            if not pong.done():
                pong.set_exception(self.closed_error("ping"))
        self._pings = None
        if self._pongs is not None:
            self._pongs.close()
            self._pongs = None
        for name in ("onPing", "onPong"):
            self._protocol.__dict__.pop(name, None)

    def _ping_came(self, payload: bytes) -> None:
        """Answer a ping, if the client takes the answers; autobahn answers whether it does or not."""
        protocol = self._protocol
        if protocol.state != _OPEN:
            return
        if self._pongs is None:
            tcp = protocol.transport
            self._pongs = Pongs(protocol, self._tcp, tcp.pauseProducing, tcp.resumeProducing)
        self._pongs.answer(payload)

    def _pong_came(self, original: Callable[[Any, bytes], None], payload: bytes) -> None:
        pong = (self._pings or {}).get(bytes(payload))
        if pong is not None and not pong.done():
            pong.set_result(time.perf_counter())
        original(self._protocol, payload)

    def lost_status(self) -> tuple[int, str]:
        protocol = self._protocol
        if not protocol.wasClean:
            return (1006, "")
        code = protocol.remoteCloseCode
        return (1005 if code is None else code), protocol.remoteCloseReason or ""

    def _accept(self, message: Message) -> bool:
        """Accept with headers, which daphne would drop; False leaves the accept to daphne."""
        protocol = self._protocol
        headers: dict[str, list[str]] = {}
        for name, value in message.get("headers") or ():
            headers.setdefault(name.decode("latin-1"), []).append(value.decode("latin-1"))
        handshake = getattr(protocol, "handshake_deferred", None)
        if not headers or handshake is None:
            return False
        del protocol.handshake_deferred
        handshake.callback((message.get("subprotocol"), headers))
        return True

    def _bring_early(self) -> None:
        """Give autobahn the frames that came with the handshake, which it reads when it is told of the accept.

        Not before: it would look for the head of another request in them.
        """
        early, self._early = self._early, b""
        if early:
            self._protocol.data = early + self._protocol.data
            self._protocol.transport.resumeProducing()

    def _forget_handshake(self) -> None:
        """Let go of what daphne and autobahn keep of the handshake: 5 kB for as long as the connection is open."""
        protocol = self._protocol
        kept = {name: value for name, value in vars(protocol).items() if name not in _HANDSHAKE}
        if hasattr(protocol.request, "path"):
            kept["request"] = _Request(protocol.request.path)
        protocol.__dict__ = kept  # a new dictionary, because one that has shrunk takes as much memory as before

    def _deny(self, message: Message) -> None:
        """Answer the handshake with the status, headers and body of a denial response."""
        protocol = self._protocol
        if self._denial_start is None:
            raise ValueError("websocket.http.response.body: send websocket.http.response.start first")
        if not hasattr(protocol, "handshake_deferred"):
            return
        status, body = self._denial_start["status"], message["body"]
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        headers = [*self._denial_start["headers"], (b"connection", b"close")]
        head = b"".join(b"%s: %s\r\n" % (name, value) for name, value in headers)
        answer = b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, phrase.encode(), head, body)
        if hasattr(protocol, "note_answer"):  # of our own server, for its log
            protocol.note_answer(status, headers, body)
        # serverReject() ends the handshake in daphne's and autobahn's own way, and only the bytes differ.
        protocol.sendHttpErrorResponse = lambda *args, **kwargs: protocol.sendData(answer)
        protocol.serverReject()
