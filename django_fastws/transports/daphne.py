"""The transport for daphne: mends what daphne 4.1 and 4.2 get wrong, through the protocol object behind ``send``.

Daphne closes with 1011 where another code was asked for, drops close reasons, never sends empty messages, ignores
the headers of an accept and every denial response. All of it can be reached on autobahn's protocol object.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from .._core.attributes import has_all
from .._core.deflate import Deflater
from .._core.messages import Batch, Payload
from .._core.recipients import not_direct
from ..conf import conf
from ..exceptions import WebSocketDisconnect
from ..types import Message, Receive, Scope, Send
from .daphne_handshake import (
    accept_with_headers,
    break_cycles,
    deny,
    feed_early_data,
    forget_handshake,
    is_daphnes,
    mended_scope,
    take_early_data,
)
from .daphne_reading import open_inbox, read_past_autobahn, read_through_autobahn
from .events import disconnect_status
from .framing import FramingTransport, high_water_bytes
from .pings import Pings, Pongs
from .twisted import push, read_directly, tcp_below, unsent_bytes, until_drained

__all__ = ["DaphneTransport"]

# What the transport calls or reads on the protocol object; daphne's or autobahn's next release may change any of it.
NEEDED = (
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
    "triggered",
    "wasClean",
)
# Likewise on Twisted's transport; without one of these, frames go through autobahn, and without a bound.
NEEDED_BELOW = (
    "TLS",
    "_tempDataBuffer",
    "_tempDataLen",
    "abortConnection",
    "dataBuffer",
    "disconnecting",
    "doWrite",
    "offset",
    "pauseProducing",
    "producer",
    "registerProducer",
    "resumeProducing",
    "streamingProducer",
    "unregisterProducer",
    "write",
)
_OPEN = 3  # autobahn's STATE_OPEN

_CLOSE_SECONDS = 10  # for a client to take what was sent before the close, and to answer that, as on uvicorn


def _is_known(tcp: Any) -> bool:
    """Whether a transport of Twisted's has inside what is relied on here."""
    if tcp is None or not has_all(tcp, NEEDED_BELOW) or tcp.TLS:
        return False
    return isinstance(tcp.dataBuffer, bytes) and callable(getattr(getattr(tcp, "socket", None), "send", None))


class DaphneTransport(FramingTransport):
    """Carries one connection of daphne's."""

    name = "daphne"

    __slots__ = (
        "_denial_start",
        "_early",
        "_pings",
        "_pongs",
        "_protocol",
        "_reads_itself",
        "_socket_send",
        "_tcp",
        "direct",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, protocol: Any) -> None:
        tcp = tcp_below(protocol.transport)
        is_tls = tcp is not protocol.transport
        if not _is_known(tcp):
            tcp = None
        super().__init__(mended_scope(protocol, scope, is_tls=is_tls), receive, send)
        self._protocol = protocol
        self._tcp = tcp
        #: Where nothing stands between the frames and the socket, or TLS that sends at once.
        self._socket_send: Callable[[bytes], int] | None = None
        if tcp is not None:
            self._socket_send = getattr(protocol.transport, "send_at_once", None) if is_tls else tcp.socket.send
        #: ``_socket_send`` as long as Twisted holds nothing and the connection is open: whatever may change that
        #: is written by ``tcp.write()``, a close frame, too, which is watched meanwhile.
        self.direct: Callable[[bytes], int] = not_direct
        self._early = b""
        if tcp is not None:
            self._early = take_early_data(tcp.producer)
            break_cycles(protocol, tcp.producer)
            # The HTTP channel, which is over; it would stop the reading when the client does not take what is sent.
            protocol.transport.unregisterProducer()
        # Or a client that closes would be answered with 1000, whatever its code (RFC 6455 section 5.5.1).
        protocol.echoCloseCodeReason = True
        # Or a slow client would be cut off after one second, before it has what was sent before the close.
        protocol.closeHandshakeTimeout = _CLOSE_SECONDS
        self._pongs: Pongs | None = None
        #: Whether it is the protocol of runws_server, which reads messages and answers pings as it should by itself.
        self._reads_itself = hasattr(protocol, "is_paused")
        if not self._reads_itself:
            self._inbox = self._bare_inbox = open_inbox(protocol, receive)
            if self._inbox is not None:
                self._receive = self._inbox.get
            if tcp is not None:
                protocol.onPing = self._ping_came
        self._denial_start: Message | None = None
        self._pings: Pings | None = None

    @classmethod
    def find(cls, scope: Scope, receive: Receive, send: Send) -> DaphneTransport | None:
        """The transport behind daphne's ``send``, or None if this is not the daphne that the transport knows."""
        if not is_daphnes(send):
            return None
        protocol = send.args[0]  # type: ignore[attr-defined]
        if not has_all(protocol, NEEDED) or protocol.STATE_OPEN != _OPEN:
            return None
        return cls(scope, receive, send, protocol)

    @property
    def is_open(self) -> bool:
        return not self.state.is_over and bool(self._protocol.state == _OPEN)

    def ended(self) -> tuple[int, str] | None:
        protocol = self._protocol
        # The disconnect event is daphne's last word: once it is the next one, all else was received.
        if protocol.state != protocol.STATE_CLOSED or self._next_type() != "websocket.disconnect":
            return None
        return self.state.status or self.lost_status()

    def _next_type(self) -> str:
        """Type of the event that daphne holds for the application next; "" for a message."""
        if self._inbox is not None:
            event = self._inbox.next_event()
        else:
            waiting = getattr(getattr(self._protocol, "application_queue", None), "_queue", None)
            event = waiting[0] if waiting else None
        return "" if event is None else str(event.get("type"))

    def _status_of(self, event: Message) -> tuple[int, str]:
        code, _ = disconnect_status(event)
        return code, "" if code == 1006 else self._protocol.remoteCloseReason or ""

    async def _transmit(self, message: Message) -> None:
        protocol = self._protocol
        kind = message["type"]
        if kind == "websocket.http.response.start":
            self._denial_start = message
        elif kind == "websocket.http.response.body":
            deny(protocol, self._denial_start, message)
        elif protocol.state == protocol.STATE_CONNECTING:
            await self._answer_handshake(message)
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

    async def _answer_handshake(self, message: Message) -> None:
        """Hand an accept, or a close that denies, to daphne; mend what it drops of it."""
        protocol = self._protocol
        is_accept = message["type"] == "websocket.accept"
        if is_accept and self._early:
            early, self._early = self._early, b""
            feed_early_data(protocol, early)
        if not is_accept or not accept_with_headers(protocol, message):
            await self._send(message)
        if protocol.state == _OPEN:
            self._settle_compression()
            if self._inbox is not None and not self._reads_itself:
                read_past_autobahn(protocol, self._inbox)
                read_directly(protocol.transport)
            forget_handshake(protocol)

    # Writing

    @property
    def _is_writable(self) -> bool:
        return True

    def post(self, batch: Payload | Batch) -> bool | None:
        # The same as that of FramingTransport, for the case that often is. What it costs is to reach for so many
        # objects, so it does that once, and then the members of a room are written to directly.
        tcp, protocol = self._tcp, self._protocol
        if (
            not self.is_sending
            and self._socket_send is not None
            and protocol.state == _OPEN
            and not tcp._tempDataBuffer
            and not tcp.dataBuffer
            and not protocol.send_queue
            and self._is_compressed is False
        ):
            self._write_to_socket(batch.frame)
            if not tcp._tempDataBuffer and not protocol.triggered:  # nor is anything about to be queued
                self.direct = self._socket_send
                tcp.write = self._write_indirectly
            return False
        if (
            self._socket_send is None
            and tcp is not None
            and self.unsent() + len(batch.frame) > conf.send_buffer_bytes
        ):
            push(tcp)  # or who reads all the time would be called slow
        return super().post(batch)

    def write_rest(self, rest: bytes) -> None:
        self._protocol.transport.write(rest)

    def _write_indirectly(self, data: bytes) -> None:
        """What is written by Twisted, by whomever, is sent before anything else is."""
        self._end_direct()
        self._tcp.write(data)

    def _end_direct(self) -> None:
        if self.direct is not not_direct:
            self.direct = not_direct
            del self._tcp.write

    def _write_now(self, frames: bytes) -> bool:
        protocol, tcp = self._protocol, self._tcp
        if protocol.state != _OPEN:
            return False
        if tcp is None or protocol.send_queue:  # autobahn's own, in which it keeps what it sends in pieces
            protocol.sendData(frames)
        elif tcp.dataBuffer or tcp._tempDataBuffer:
            unsent = self.unsent()
            if unsent and unsent + len(frames) > high_water_bytes():
                return False
            protocol.sendData(frames)
        elif self._socket_send is None:  # TLS of Twisted's
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
            self._protocol.transport.write(frames[sent:])

    def _find_deflater(self) -> Deflater | None:
        compression = self._protocol._perMessageCompress  # on runws_server alone, whose own it is
        return None if compression is None else getattr(compression, "deflater", None)

    def _write_close(self, frame: bytes) -> None:
        self._protocol.sendCloseFrame(code=int.from_bytes(frame[2:4], "big"), reasonUtf8=frame[4:] or None)

    def unsent(self) -> int:
        tcp = self._tcp
        return 0 if tcp is None else unsent_bytes(tcp)

    @property
    def _is_full(self) -> bool:
        return self.unsent() > high_water_bytes()

    async def _flushed(self) -> None:
        tcp = self._tcp
        if tcp is None or not self.unsent():
            return
        await until_drained(tcp)  # for ever, if autobahn ends the connection: it takes every producer off that

    def abort(self) -> None:
        self._end_direct()
        if self._tcp is not None:
            self._tcp.abortConnection()
        else:
            self._protocol.transport.loseConnection()

    async def ping(self) -> float:
        if not self.is_open:
            raise self.closed_error("ping")
        if self._pings is None:
            protocol = self._protocol
            self._pings = Pings(protocol, "onPong", protocol.sendPing, lambda: bool(protocol.state == _OPEN))
        return await self._pings.ping(functools.partial(self.closed_error, "ping"))

    async def pong(self) -> None:
        if not self.is_open:
            raise self.closed_error("pong")
        self._protocol.sendPong()

    def release(self) -> None:
        super().release()
        self._end_direct()
        if self._pings is not None:
            self._pings.close(self.closed_error("ping"))
            self._pings = None
        if self._pongs is not None:
            self._pongs.close()
            self._pongs = None
        self._protocol.__dict__.pop("onPing", None)
        read_through_autobahn(self._protocol)

    def _ping_came(self, payload: bytes) -> None:
        """Answer a ping, if the client takes the answers; autobahn answers whether it does or not."""
        protocol = self._protocol
        if protocol.state != _OPEN:
            return
        if self._pongs is None:
            tcp = protocol.transport
            self._pongs = Pongs(protocol, self._tcp, tcp.pauseProducing, tcp.resumeProducing)
        self._pongs.answer(payload)

    def lost_status(self) -> tuple[int, str]:
        protocol = self._protocol
        if not protocol.wasClean:
            return (1006, "")
        code = protocol.remoteCloseCode
        return (1005 if code is None else code), protocol.remoteCloseReason or ""
