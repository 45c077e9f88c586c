"""ServerEnd: the server's end of one connection of an outbound route, in the memory of the test."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Callable, Sequence
from typing import Any

from websockets.asyncio.client import ClientConnection
from websockets.frames import Frame, Opcode
from websockets.http11 import Request
from websockets.protocol import State
from websockets.server import ServerProtocol
from websockets.typing import Subprotocol

from .._core.headers import HeaderMap, encode_headers
from ..clients.connecting import Connector
from ..exceptions import WebSocketDisconnect
from ..routing import OutboundRoute
from .mailbox import Mailbox

__all__ = ["LocalConnector", "ServerEnd"]

_library_logger = logging.getLogger("django_fastws.clients.library")


class ServerEnd(asyncio.Protocol):
    """Server's end of one connection: answers the handshake, keeps messages, and closes when the other end does.

    Args:
        subprotocol: what is agreed on, of those that are offered; None takes the first of them.
        denial: an HTTP status that answers the handshake; None accepts it.
        on_open: called when the handshake is accepted.

    Attributes:
        messages: those that were received and not taken yet.
        headers: of the request of the handshake.
        path: of that request, with the query string.
        subprotocol: what was agreed on.
        status: close code and reason; None while it is open.
    """

    def __init__(self, subprotocol: str | None, denial: int | None, on_open: Callable[[], None]) -> None:
        self.messages: Mailbox[str | bytes] = Mailbox()
        self.headers = HeaderMap()
        self.path = ""
        self.subprotocol: str | None = None
        self.status: tuple[int, str] | None = None
        self._wanted = subprotocol
        self._denial = denial
        self._on_open = on_open
        self._fragments: list[bytes] = []
        self._is_text = False
        self._transport: Any = None
        self._protocol = ServerProtocol(
            select_subprotocol=lambda protocol, offered: self._select(offered), max_size=None, logger=_library_logger
        )

    # For the test

    @property
    def is_open(self) -> bool:
        """Whether messages can be sent."""
        return self._protocol.state is State.OPEN and self.status is None

    def send(self, data: str | bytes) -> None:
        """Send a message."""
        if isinstance(data, str):
            self._protocol.send_text(data.encode())
        else:
            self._protocol.send_binary(data)
        self._flush()

    def close(self, code: int, reason: str) -> None:
        """Close; 1006 cuts the connection."""
        if self.status is not None:
            return
        if code == 1006:
            self._end(1006, "")
            self._transport.abort()
            return
        self._protocol.send_close(code, reason)
        self._end(code, reason)
        self._flush()

    def abort(self) -> None:
        """Let go of whatever is left."""
        if self._transport is not None:
            self._transport.abort()

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """For asyncio."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """For asyncio."""
        self._protocol.receive_data(data)
        for event in self._protocol.events_received():
            if isinstance(event, Request):
                self._answer(event)
            elif isinstance(event, Frame):
                self._received(event)
        self._flush()

    def eof_received(self) -> None:
        """For asyncio."""
        self._protocol.receive_eof()
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """For asyncio."""
        self._protocol.receive_eof()
        self._end(1006, "")

    def _answer(self, request: Request) -> None:
        self.headers, self.path = HeaderMap(encode_headers(request.headers.raw_items())), request.path
        response = self._protocol.accept(request)
        if self._denial is not None:
            response = self._protocol.reject(self._denial, "denied by the test\n")
        self._protocol.send_response(response)
        if response.status_code == 101:
            self.subprotocol = response.headers.get("Sec-WebSocket-Protocol")
            self._on_open()

    def _select(self, offered: Sequence[Subprotocol]) -> Subprotocol | None:
        if self._wanted is None:
            return offered[0] if offered else None
        return Subprotocol(self._wanted) if self._wanted in offered else None

    def _received(self, frame: Frame) -> None:
        if frame.opcode is Opcode.CLOSE:
            received = self._protocol.close_rcvd
            if received is not None:
                self._end(received.code, received.reason)
        elif frame.opcode in (Opcode.TEXT, Opcode.BINARY, Opcode.CONT):
            if frame.opcode is not Opcode.CONT:
                self._is_text = frame.opcode is Opcode.TEXT
            self._fragments.append(bytes(frame.data))
            if frame.fin:
                data = b"".join(self._fragments)
                self._fragments.clear()
                self.messages.put(data.decode() if self._is_text else data)

    def _end(self, code: int, reason: str) -> None:
        if self.status is None:
            self.status = code, reason
            self.messages.end(lambda: WebSocketDisconnect(code, reason, call="receive"))

    def _flush(self) -> None:
        for data in self._protocol.data_to_send():
            if data:
                self._transport.write(data)
            else:
                self._transport.close()


class LocalConnector(Connector):
    """Connector that opens the connections of a route within the process.

    Args:
        route: whose connections they are.
        accept: makes the server's end of each.

    Attributes:
        url: that of the latest attempt, with its secrets.
    """

    def __init__(self, route: OutboundRoute, accept: Callable[[], ServerEnd]) -> None:
        super().__init__(route)
        self.url = ""
        self._accept = accept

    async def open(self, url: str, options: dict[str, Any]) -> ClientConnection:
        """Open a connection over a pair of sockets, without TLS, a proxy or redirects, by websockets."""
        self.url = url
        here, there = socket.socketpair()
        end = self._accept()
        try:
            await asyncio.get_running_loop().create_connection(lambda: end, sock=there)
            self._choice.must_skip_picows = True
            options = {**options, "proxy": None, "sock": here}
            options.pop("ssl", None)
            _, _, rest = url.partition(":")
            return await super().open(f"ws:{rest}", options)
        except BaseException:
            end.abort()
            here.close()
            raise
