"""ASGI transport: any ASGI server, through nothing but ``receive`` and ``send`` (ASGI WebSocket spec 2.5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from .._core.answers import DenialResponse, checked_accept
from .._core.connection_state import ConnectionState
from .._core.handshake import offered
from .._core.headers import HeaderMap
from .._core.messages import Batch, Payload
from ..exceptions import WebSocketConnectionError, WebSocketDisconnect, check_close
from ..log_fields import connection_fields, keep_state
from ..types import Address, Message, Receive, Scope, Send
from .addresses import address_of, url_of
from .events import DENIAL, as_message, denial_events
from .inbox import Inbox
from .outbox import Outbox, StoredListener
from .receiving import ReceivingTransport
from .refused_close_codes import is_close, is_loss, send_close

__all__ = ["ASGITransport"]

logger = logging.getLogger("django_fastws.transports")

_CLOSE_SECONDS = 20.0  # for a client to take what was sent before the close


class ASGITransport(ReceivingTransport):
    """Transport of a socket that came in, between its ASGI server and its WebSocket.

    ``receive`` and ``send`` are ASGI callables that may be handed on to middleware and consumers; a transport that
    knows its server mends there what the server gets wrong. The other methods are for the WebSocket and the hub.

    What is sent goes out in the order of the calls, whether one waited for it (``send_payload``) or not (``post``).

    Attributes:
        name: of the server that the transport knows.
        scope: the ASGI scope.
        state: of the connection.
        is_sending: whether a message is being sent, or waits for that: what is sent now has to wait in the outbox.
    """

    name = "asgi"

    __slots__ = (
        "_base",
        "_denial",
        "_outbox",
        "_send",
        "is_sending",
        "scope",
        "stored_listener",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, base: ASGITransport | None = None) -> None:
        self.scope = scope
        super().__init__(receive)
        self._base = base  # the server's, where middleware stands between it and this one
        self._send = send
        self.state: ConnectionState = ConnectionState(is_answered=base is not None and base.state.is_answered)
        keep_state(scope, self.state, None if base is None else base.state)
        self.is_sending = False
        self.stored_listener: StoredListener | None = None
        self._outbox: Outbox | None = None
        self._denial: DenialResponse | None = None  # of which the application has not sent all yet

    async def send(self, message: Message) -> None:
        """Send an ASGI event, if all of it can be sent.

        Raises:
            TypeError, ValueError: it cannot; nothing was sent, and another one can be.
            OSError: the connection is closed, on servers that say so.
        """
        if not self.state.is_answered:
            await self._answer(message)
            return
        if message["type"] == "websocket.close" and not self.state.is_over:
            check_close(1000 if (code := message.get("code")) is None else code, message.get("reason") or "")
        await self._pass(message)

    async def _answer(self, message: Message) -> None:
        """Send the answer of the handshake."""
        kind = message["type"]
        if kind == f"{DENIAL}.start":
            self._denial = DenialResponse(message)  # sent when all of it has come and is known to be in order
            return
        if kind == f"{DENIAL}.body" and self._denial is not None:
            if not self._denial.add(message):
                return
            start, message = self._denial.events
            self.state.is_answered = self.state.is_denied = True
            await self._pass(start)
        elif kind == "websocket.accept":
            message = checked_accept(message, offered(self.scope.get("subprotocols")))
            self.state.is_accepted = True
        self.state.is_answered, self.state.is_denied = True, not self.state.is_accepted
        await self._pass(message)

    async def _pass(self, message: Message) -> None:
        """Hand an event to the server, and remember if it was the last, or comes too late."""
        try:
            await self._transmit(message)
        except OSError as error:
            self.state.send_error = error
            self._remember_loss()
            raise
        kind = message["type"]
        if kind == "websocket.close":
            self.state.end_here(message.get("code") or 1000, message.get("reason") or "")
        elif kind == f"{DENIAL}.body" and not message.get("more_body"):
            self.state.end(1006, "")

    async def _transmit(self, message: Message) -> None:
        """Hand an event to the server; what a transport mends, it mends here."""
        if message["type"] != "websocket.close":
            await self._send(message)
            return
        try:
            await send_close(self._send, message)
        except Exception as error:
            if not is_loss(error) and is_close(message.get("code"), message.get("reason")):
                self.state.close_error = error
            raise

    @property
    def is_open(self) -> bool:
        """Whether a message could be sent now, as far as the transport knows."""
        return not self.state.is_over and (self._base is None or self._base.is_open)

    @property
    def inbox(self) -> Inbox | asyncio.Queue[Message] | None:
        return super().inbox if self._base is None else self._base.inbox

    def ended(self) -> tuple[int, str] | None:
        """Close code and reason, once the peer is gone and all that it sent was received; None before or if unknown.

        So a handler that looks at the state without receiving learns of the end, and one that receives misses
        nothing.
        """
        return self._base.ended() if self._base is not None else None

    # About the connection

    @property
    def headers(self) -> HeaderMap:
        """The headers that the peer sent with the handshake."""
        return HeaderMap(self.scope.get("headers") or ())

    @property
    def url(self) -> str:
        """The URL that was asked for, as far as it is known."""
        return url_of(self.scope, self.headers.get("host"))

    @property
    def remote_address(self) -> Address | None:
        """The address of the other end; None where the server has none to tell."""
        return address_of(self.scope.get("client"))

    @property
    def local_address(self) -> Address | None:
        """The address of this end."""
        return address_of(self.scope.get("server"))

    # The handshake

    @property
    def can_deny(self) -> bool:
        """Whether a denial can have a status and a body of its own, or is the server's plain 403."""
        return DENIAL in (self.scope.get("extensions") or {})

    async def accept(self, subprotocol: str | None, headers: list[tuple[bytes, bytes]]) -> None:
        """Accept the handshake."""
        await self._send_now({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}, "accept")

    async def deny(self, status: int = 403, text: str = "", more: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Deny the handshake, with this HTTP status, plain text and more headers where the server can.

        Never raises OSError.
        """
        try:
            if self.can_deny:
                for event in denial_events(status, text, more):
                    await self.send(event)
            else:
                await self.send({"type": "websocket.close"})
        except OSError:
            pass  # the client went away, and there is nobody left to deny
        self.state.end(1006, "")

    # An open connection

    def try_send(self, payload: Payload | Batch) -> bool:
        """Send messages if that can be done at once, without waiting; False if it cannot."""
        return False

    async def send_payload(self, payload: Payload, call: str = "send") -> None:
        """Send a message, after all that was sent or posted before; waits until the server has taken it.

        Raises:
            WebSocketConnectionError: the connection is closed.
        """
        if not self.is_open:
            self._remember_loss()
            raise self.closed_error(call)
        if self.is_sending:
            await self.outbox.send(payload, len(payload))
        else:
            await self._send_now(payload, call)

    def post(self, batch: Payload | Batch) -> bool | None:
        """Send messages without waiting; True if a task was started for that.

        Never raises; a closed connection drops them.
        """
        outbox = self._outbox or self.outbox
        if outbox.is_slow or not self.is_open:
            return False
        return outbox.post(batch)

    def unsent(self) -> int:
        """Number of bytes that the server holds for a client that does not take them; 0 where nobody tells."""
        return 0

    @property
    def buffered(self) -> int:
        """Number of bytes that wait in this process for the client to take them, as far as that can be told."""
        return self.unsent() + (0 if self._outbox is None else self._outbox.size)

    @property
    def dropped(self) -> int:
        """Number of messages of broadcasts that were dropped because the client was slow."""
        return sum(queue.dropped for queue in (self._outbox, self._base) if queue is not None)

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame, after all that was sent or posted before. Never raises OSError.

        A client that does not take that within 20 seconds is cut off, where the transport can.
        """
        if not self.is_open:
            self._remember_loss()
            return
        if self.state.close_code is not None:  # whoever closes first says with which status
            code, reason = self.state.close_code, self.state.close_reason
        message: Message = {"type": "websocket.close", "code": code, "reason": reason}
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                if self.is_sending:
                    await self.outbox.send(message, 0)
                else:
                    await self._send_now(message, "close")
        except WebSocketConnectionError:
            pass
        except TimeoutError:
            self._remember_loss()
            self.abort()
        except Exception:
            if self.state.close_error is None:
                raise
        self.state.end(code, reason)
        if self.state.close_error is not None:
            # The server takes no close: it ends the connection with the application.
            fields = connection_fields(self.scope, code=code)
            line = "The server took no close with %d on %.200r: its application ends"
            logger.error(line, code, fields["path"], extra=fields)
            if self._task is not None and self._task is not asyncio.current_task():
                self._task.cancel()

    async def ping(self) -> float:
        """Ping the peer; returns the round trip in seconds."""
        if self._base is not None:
            return await self._base.ping()
        raise NotImplementedError("ping(): this server gives no way to ping; it pings by itself, as its options say")

    async def pong(self) -> None:
        """Send an unsolicited pong (RFC 6455 section 5.5.3)."""
        if self._base is None:
            raise NotImplementedError("pong(): this server gives no way to send a pong")
        await self._base.pong()

    def release(self) -> None:
        """The handler has ended: let go of what still waits to be sent."""
        self.state.end(1006, "")
        if self._outbox is not None:
            self._outbox.release(self.closed_error("send"))

    def abort(self) -> None:
        """Cut off a connection that does not take its close frame; the plain transport has no way to."""
        if self._base is not None:
            self._base.abort()

    def terminate(self, code: int, reason: str) -> None:
        """Cut the connection off, with this code and reason as its close status."""
        self.state.end_here(code, reason)
        self.abort()

    # The outbox, and what it needs

    @property
    def outbox(self) -> Outbox:
        """The queue of what waits to be sent, made when it is first needed."""
        outbox = self._outbox
        if outbox is None:
            outbox = self._outbox = Outbox(self)
        return outbox

    async def _send_now(self, item: Payload | Message, call: str) -> None:
        """Send what has not to wait; what is sent meanwhile waits in the outbox."""
        self.is_sending = True
        try:
            await self.hand_over(item)
        except Exception as error:
            if not self._is_lost(error):
                raise
            raise self.closed_error(call) from error
        finally:
            self.is_sending = False
            if self._outbox is not None and self._outbox.has_work:
                self._outbox.start()

    async def wait_for_room(self) -> None:
        """Wait until the server should be given more, or the connection is closed. Raises nothing."""

    async def hand_over(self, item: Payload | Message) -> None:
        """Hand a message or an event to the server; returns when it has taken it."""
        await self.send(as_message(item) if isinstance(item, Payload) else item)

    def close_slow(self, code: int, reason: str) -> None:
        """Close the connection of a client that is too slow, without waiting."""
        self.outbox.push(({"type": "websocket.close", "code": code, "reason": reason}, None), 0)
        self.outbox.start()

    def send_failed(self, problem: BaseException) -> WebSocketDisconnect:
        """Error for callers who wait, after one of the server's ``send``; one that nobody expects is logged."""
        if not self._is_lost(problem) and isinstance(problem, Exception):
            fields = connection_fields(self.scope)
            logger.error("A server's send failed on %r", fields["path"], exc_info=problem, extra=fields)
        return self.closed_error("send")

    # How the connection was lost

    def _is_lost(self, error: BaseException) -> bool:
        """Whether a server's error says that the connection is closed; if so, that is remembered."""
        if not is_loss(error):
            return False
        self._remember_loss()
        return True

    def _remember_loss(self) -> None:
        if not self.state.is_over:
            self.state.end(*self.lost_status())

    def lost_status(self) -> tuple[int, str]:
        """Close code and reason of a connection that turned out to be closed, as far as the server tells."""
        return (1006, "") if self._base is None else self._base.state.status or self._base.lost_status()

    def closed_error(self, call: str) -> WebSocketDisconnect:
        """The error for a call on a closed connection."""
        return WebSocketDisconnect(*(self.state.status or self.lost_status()), call=call)
