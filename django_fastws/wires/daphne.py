"""The wire for daphne: mends what daphne 4.1 and 4.2 get wrong, through the protocol object behind ``send``.

Daphne closes with 1011 where another code was asked for, drops close reasons, never sends empty messages, ignores
the headers of an accept and every denial response. All of it can be reached on autobahn's protocol object.
"""

from __future__ import annotations

import asyncio
import functools
import logging
import secrets
import time
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from .._core.messages import Payload
from ..conf import conf
from ..types import Message, Receive, Scope, Send
from .asgi import Wire, disconnect_status

__all__ = ["DaphneWire"]

logger = logging.getLogger("django_fastws.wires")

# What the wire calls or reads on the protocol object; daphne's or autobahn's next release may change any of it.
_NEEDED = (
    "STATE_CLOSED",
    "STATE_CONNECTING",
    "STATE_OPEN",
    "handle_reply",
    "onPong",
    "remoteCloseCode",
    "remoteCloseReason",
    "sendClose",
    "sendCloseFrame",
    "sendData",
    "sendHttpErrorResponse",
    "sendMessage",
    "sendPing",
    "sendPong",
    "serverReject",
    "state",
    "wasClean",
)


_GLANCE = 0.5  # seconds between two looks at whether a connection that owes a pong is still there


class DaphneWire(Wire):
    """Carries one connection of daphne's."""

    name = "daphne"

    __slots__ = ("_denial", "_pings", "_protocol")

    def __init__(self, scope: Scope, receive: Receive, send: Send, protocol: Any) -> None:
        scope = dict(scope)
        scope.setdefault("scheme", "ws")
        path = str(getattr(protocol, "http_request_uri", "")).partition("?")[0]
        if path.startswith((scope.get("raw_path") or b"").decode("latin-1") + ";"):
            # autobahn cuts a path at a semicolon in its last segment, which RFC 3986 section 3.3 does not ask for.
            scope.update(path=unquote(path), raw_path=path.encode("latin-1"))
        scope.setdefault("extensions", {"websocket.http.response": {}})
        super().__init__(scope, receive, send)
        self._protocol = protocol
        # Or a client that closes would be answered with 1000, whatever its code (RFC 6455 section 5.5.1).
        protocol.echoCloseCodeReason = True
        self._denial: Message | None = None
        self._pings: dict[bytes, asyncio.Future[float]] = {}

    @classmethod
    def find(cls, scope: Scope, receive: Receive, send: Send) -> DaphneWire | None:
        """The wire behind daphne's ``send``, or None if this is not the daphne that the wire knows."""
        if not isinstance(send, functools.partial) or len(send.args) != 1:
            return None
        if getattr(send.func, "__name__", "") != "handle_reply":
            return None
        protocol = send.args[0]
        if not all(hasattr(protocol, name) for name in _NEEDED):
            return None
        return cls(scope, receive, send, protocol)

    @property
    def is_open(self) -> bool:
        return bool(self._protocol.state == self._protocol.STATE_OPEN)

    def ended(self) -> tuple[int, str] | None:
        protocol = self._protocol
        # The disconnect event is daphne's last word: once it is the next one, all else was received.
        waiting = getattr(getattr(protocol, "application_queue", None), "_queue", None)
        if protocol.state != protocol.STATE_CLOSED or not waiting or waiting[0]["type"] != "websocket.disconnect":
            return None
        return self.gone or self.lost_status()

    async def receive(self) -> Message:
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            code, _ = disconnect_status(event)
            reason = "" if code == 1006 else self._protocol.remoteCloseReason or ""
            event = {"type": "websocket.disconnect", "code": code, "reason": reason}
            self.gone = self.gone or (code, reason)
        return event

    async def _transmit(self, message: Message) -> None:
        protocol = self._protocol
        kind = message["type"]
        if kind == "websocket.http.response.start":
            self._denial = message
        elif kind == "websocket.http.response.body":
            self._deny(message)
        elif protocol.state == protocol.STATE_CONNECTING:
            if kind != "websocket.accept" or not self._accept(message):
                await self._send(message)
        elif protocol.state != protocol.STATE_OPEN:
            return  # a closed connection: daphne drops what is sent to it, and consumers rely on that
        elif kind == "websocket.send":
            text, data = message.get("text"), message.get("bytes")
            if (text is None) == (data is None):
                raise ValueError("websocket.send takes either text or bytes")
            if text is not None:
                protocol.sendMessage(text.encode(), False)
            else:
                protocol.sendMessage(data, True)
        elif kind == "websocket.close":
            code = message.get("code")
            reason = (message.get("reason") or "").encode()
            protocol.sendCloseFrame(code=1000 if code is None else code, reasonUtf8=reason or None)
        else:
            await self._send(message)

    async def send_payload(self, payload: Payload, call: str = "send") -> None:
        if not self._send_frame(payload):
            self.gone = self.gone or self.lost_status()
            raise self.closed_error(call)

    def post(self, payload: Payload) -> None:
        if self._slow:
            return
        limit = conf.send_buffer_bytes
        unsent = self._unsent()
        if unsent and unsent + len(payload) > limit:
            self._too_slow(limit)
        else:
            self._send_frame(payload)

    def _unsent(self) -> int:
        """How many bytes Twisted holds for a client that does not take them; 0 where that cannot be told."""
        try:
            transport = self._protocol.transport
            return int(len(transport.dataBuffer) - transport.offset + transport._tempDataLen)
        except (AttributeError, TypeError):
            return 0

    def _too_slow(self, limit: int) -> None:
        policy = conf.slow_consumer
        if not self._backlog.dropped:
            logger.warning("A slow client on %r has over %d bytes unsent: %s", self.scope.get("path"), limit, policy)
        self._backlog.dropped += 1
        if policy == "disconnect":
            # What was handed to Twisted cannot be taken back, so the other two policies drop the newest messages.
            self._slow = True
            self._protocol.sendCloseFrame(code=1013, reasonUtf8=b"too slow")

    def _send_frame(self, payload: Payload) -> bool:
        if not self.is_open:
            return False
        # Not sendMessage(), which cuts the connection over the size that daphne allows for messages that come in.
        self._protocol.sendData(payload.frame)
        return True

    async def ping(self) -> float:
        protocol = self._protocol
        if not self.is_open:
            raise self.closed_error("ping")
        if not self._pings:
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
            self._pings.pop(payload, None)

    async def pong(self) -> None:
        if not self.is_open:
            raise self.closed_error("pong")
        self._protocol.sendPong()

    def release(self) -> None:
        super().release()
        for pong in self._pings.values():
            if not pong.done():
                pong.set_exception(self.closed_error("ping"))
        self._pings.clear()
        self._protocol.__dict__.pop("onPong", None)

    def _pong_came(self, original: Callable[[Any, bytes], None], payload: bytes) -> None:
        pong = self._pings.get(bytes(payload))
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

    def _deny(self, message: Message) -> None:
        """Answer the handshake with the status, headers and body of a denial response."""
        protocol = self._protocol
        start = self._denial or {}
        start["body"] = start.get("body", b"") + (message.get("body") or b"")
        if message.get("more_body") or not hasattr(protocol, "handshake_deferred"):
            return
        status = int(start.get("status", 403))
        phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
        headers = list(start.get("headers") or ())
        if not any(name.lower() == b"content-length" for name, _ in headers):
            headers.append((b"content-length", str(len(start["body"])).encode()))
        headers.append((b"connection", b"close"))
        head = b"".join(b"%s: %s\r\n" % (name, value) for name, value in headers)
        answer = b"HTTP/1.1 %d %s\r\n%s\r\n%s" % (status, phrase.encode(), head, start["body"])
        # serverReject() ends the handshake in daphne's and autobahn's own way, and only the bytes differ.
        protocol.sendHttpErrorResponse = lambda *args, **kwargs: protocol.sendData(answer)
        protocol.serverReject()
