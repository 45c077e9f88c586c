"""The plain transport: any ASGI server, through nothing but ``receive`` and ``send`` (ASGI WebSocket spec 2.5)."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from typing import Any, Protocol

from .._core.answers import DenialResponse, checked_accept
from .._core.backlog import Backlog
from .._core.handshake import offered
from .._core.headers import HeaderMap
from .._core.messages import Batch, Payload
from ..conf import conf
from ..exceptions import WebSocketConnectionError, WebSocketDisconnect, check_close
from ..masking import mask_path
from ..types import Address, Message, Receive, Scope, Send
from .addresses import address_of, url_of
from .closing import is_close, is_loss, send_close
from .events import as_message, disconnect_status

__all__ = ["Outbound", "ASGITransport"]

logger = logging.getLogger("django_fastws.transports")

_PATIENCE = 5.0  # seconds for a slow client to take its close frame
_CLOSE_SECONDS = 20.0  # for a client to take what was sent before the close
_DENIAL = "websocket.http.response"


class Outbound(Protocol):
    """What only a socket that went out has to tell."""

    attempt: int
    token: int | None

    @property
    def latency(self) -> float: ...


class ASGITransport:
    """Carries the events of one connection between the server and a WebSocket.

    ``receive`` and ``send`` are ASGI callables that may be handed on to middleware and consumers; a transport that
    knows its server mends there what the server gets wrong. The other methods are for the WebSocket and the hub.

    What is sent goes out in the order of the calls, whether one waited for it (``send_payload``) or not (``post``).
    """

    #: The name of the server that the transport knows.
    name = "asgi"
    #: The transport itself if the socket went out, None if it came in.
    outbound: Outbound | None = None

    __slots__ = (
        "_backlog",
        "_base",
        "_busy",
        "_collected",
        "_receive",
        "_send",
        "_slow",
        "_task",
        "_writer",
        "answered",
        "gone",
        "loss",
        "scope",
        "unclosed",
    )

    def __init__(self, scope: Scope, receive: Receive, send: Send, base: ASGITransport | None = None) -> None:
        self.scope = scope
        #: The transport of the server, where middleware stands between it and this one.
        self._base = base
        self._receive = receive
        self._send = send
        self._backlog: Backlog[tuple[Payload | Message, asyncio.Future[None] | None]] = Backlog()
        self._busy = False
        self._slow = False
        self._writer: asyncio.Task[None] | None = None
        self._task: asyncio.Task[Any] | None = None
        #: A denial response of which the application has not sent all yet.
        self._collected: DenialResponse | None = None
        #: Whether the handshake was accepted or denied.
        self.answered: bool = base is not None and base.answered
        #: Close code and reason, once the transport knows that the connection is closed.
        self.gone: tuple[int, str] | None = None
        #: What the server said when it was given something to send, and the connection was closed already.
        self.loss: OSError | None = None
        #: Why the server did not close, though it was told to: it is left to the end of the application.
        self.unclosed: Exception | None = None

    # ASGI

    async def receive(self) -> Message:
        """The next ASGI event."""
        event = await self._receive()
        if event["type"] == "websocket.disconnect":
            code, reason = self._status_of(event)
            self.gone = self.gone or (code, reason)
            return {"type": "websocket.disconnect", "code": code, "reason": reason}
        if event["type"] == "websocket.connect":
            self._task = asyncio.current_task()
        return event

    def _status_of(self, event: Message) -> tuple[int, str]:
        """Close code and reason of the server's disconnect event; what a transport mends of them, it mends here."""
        return disconnect_status(event)

    async def send(self, message: Message) -> None:
        """Send an ASGI event, if all of it can be sent.

        Raises:
            TypeError, ValueError: it cannot; nothing was sent, and another one can be.
            OSError: the connection is closed, on servers that say so.
        """
        if not self.answered:
            await self._answer(message)
            return
        if message["type"] == "websocket.close" and self.gone is None:
            code = message.get("code")
            check_close(1000 if code is None else code, message.get("reason") or "")
        await self._pass(message)

    async def _answer(self, message: Message) -> None:
        """Send the answer of the handshake."""
        kind = message["type"]
        if kind == f"{_DENIAL}.start":
            self._collected = DenialResponse(message)  # sent when all of it has come and is known to be in order
            return
        if kind == f"{_DENIAL}.body" and self._collected is not None:
            if not self._collected.add(message):
                return
            start, message = self._collected.events
            self.answered = True
            await self._pass(start)
        elif kind == "websocket.accept":
            message = checked_accept(message, offered(self.scope.get("subprotocols")))
        self.answered = True
        await self._pass(message)

    async def _pass(self, message: Message) -> None:
        """Hand an event to the server, and remember if it was the last, or comes too late."""
        try:
            await self._transmit(message)
        except OSError as error:
            self.loss = error
            self._remember_loss()
            raise
        kind = message["type"]
        if kind == "websocket.close" and self.gone is None:
            self.gone = (message.get("code") or 1000, message.get("reason") or "")
        elif kind == f"{_DENIAL}.body" and not message.get("more_body"):
            self.gone = self.gone or (1006, "")

    async def _transmit(self, message: Message) -> None:
        """Hand an event to the server; what a transport mends, it mends here."""
        if message["type"] != "websocket.close":
            await self._send(message)
            return
        try:
            await send_close(self._send, message)
        except Exception as error:
            if not is_loss(error) and is_close(message.get("code"), message.get("reason")):
                self.unclosed = error
            raise

    @property
    def is_open(self) -> bool:
        """Whether a message could be sent now, as far as the transport knows."""
        return self.gone is None and (self._base is None or self._base.is_open)

    @property
    def inbox(self) -> asyncio.Queue[Message] | None:
        """The server's queue of events for the application, where it can be seen."""
        if self._base is not None:
            return self._base.inbox
        queue = getattr(self._receive, "__self__", None)
        return queue if isinstance(queue, asyncio.Queue) else None

    def meter(self, around: Callable[[Receive], Receive]) -> None:
        """Put something around the server's ``receive``, for this connection."""
        self._receive = around(self._receive)

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
        """Whether a refusal can have a status and a body of its own, or is the server's plain 403."""
        return _DENIAL in (self.scope.get("extensions") or {})

    async def accept(self, subprotocol: str | None, headers: list[tuple[bytes, bytes]]) -> None:
        """Accept the handshake."""
        await self._guarded({"type": "websocket.accept", "subprotocol": subprotocol, "headers": headers}, "accept")

    async def deny(self, status: int = 403, text: str = "", more: Iterable[tuple[bytes, bytes]] = ()) -> None:
        """Refuse the handshake, with this HTTP status, plain text and more headers where the server can.

        Never raises OSError.
        """
        try:
            if self.can_deny:
                body = text.encode("utf-8", "replace")
                headers = [
                    (b"content-type", b"text/plain; charset=utf-8"),
                    (b"content-length", str(len(body)).encode()),
                    (b"x-content-type-options", b"nosniff"),
                    *more,
                ]
                await self.send({"type": f"{_DENIAL}.start", "status": status, "headers": headers})
                await self.send({"type": f"{_DENIAL}.body", "body": body})
            else:
                await self.send({"type": "websocket.close"})
        except OSError:
            pass  # the client went away, and there is nobody left to refuse
        self.gone = self.gone or (1006, "")

    # An open connection

    def try_receive(self) -> str | bytes | None:
        """A message that has come already, or None."""
        return None

    async def receive_data(self) -> str | bytes:
        """The next message.

        Raises:
            WebSocketDisconnect: the connection is closed.
        """
        event = await self._receive()
        if event["type"] == "websocket.receive":
            text: str | None = event.get("text")
            return bytes(event.get("bytes") or b"") if text is None else text
        status = self._status_of(event)
        self.gone = self.gone or status
        raise WebSocketDisconnect(*self.gone)

    def try_send(self, payload: Payload) -> bool:
        """Send a message if that can be done at once, without waiting; False if it cannot."""
        return False

    async def send_payload(self, payload: Payload, call: str = "send") -> None:
        """Send a message, after all that was sent or posted before; waits until the server has taken it.

        Raises:
            WebSocketConnectionError: the connection is closed.
        """
        if not self.is_open:
            self._remember_loss()
            raise self.closed_error(call)
        if self._is_idle:
            await self._guarded(payload, call)
        else:
            await self._in_turn(payload, len(payload))

    def post(self, batch: Payload | Batch) -> bool | None:
        """Send messages without waiting; True if a task was started for that.

        Never raises; a closed connection drops them.
        """
        if self._slow or not self.is_open:
            return False
        was_idle = self._writer is None
        limit = conf.send_buffer_bytes
        for payload in batch.payloads:
            size, unsent = len(payload), self._unsent()
            fits = self._backlog.fits(size, limit - unsent) and (not unsent or unsent + size <= limit)
            if fits or self._make_room(size, limit - unsent):
                self._backlog.push((payload, None), size, droppable=True)
                self._start_writer()
        return was_idle and self._writer is not None

    def _unsent(self) -> int:
        """How many bytes the server holds for a client that does not take them; 0 where that cannot be told."""
        return 0

    @property
    def dropped(self) -> int:
        """How many messages of broadcasts were dropped because the client was slow."""
        return self._backlog.dropped + (0 if self._base is None else self._base.dropped)

    async def close(self, code: int, reason: str) -> None:
        """Send a close frame, after all that was sent or posted before. Never raises OSError.

        A client that does not take that within 20 seconds is cut off, where the transport can.
        """
        if not self.is_open:
            self._remember_loss()
            return
        message: Message = {"type": "websocket.close", "code": code, "reason": reason}
        try:
            async with asyncio.timeout(_CLOSE_SECONDS):
                if self._is_idle:
                    await self._guarded(message, "close")
                else:
                    await self._in_turn(message, 0)
        except WebSocketConnectionError:
            pass
        except TimeoutError:
            self._remember_loss()
            self.cut()
        except Exception:
            if self.unclosed is None:
                raise
        if self.gone is None:
            self.gone = (code, reason)
        if self.unclosed is not None:
            self._end_application(code)

    def _end_application(self, code: int) -> None:
        """The server takes no close: end the application, so that the server ends the connection."""
        logger.error("The server took no close with %d on %.200r: its application ends", code, self._shown_path)
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
        self.gone = self.gone or (1006, "")
        if self._writer is not None:
            self._writer.cancel()
            self._writer = None
        self._fail_backlog(self.closed_error("send"))

    # The backlog

    @property
    def _is_idle(self) -> bool:
        """Whether nothing is being sent, and nothing waits for it."""
        return not self._busy and self._writer is None

    async def _in_turn(self, item: Payload | Message, size: int) -> None:
        """Wait for all that was sent or posted before, and send."""
        sent = asyncio.get_running_loop().create_future()
        entry = (item, sent)
        self._backlog.push(entry, size)
        self._start_writer()
        try:
            await sent
        except asyncio.CancelledError:
            if isinstance(item, Payload):  # a close is sent all the same
                self._backlog.discard(entry)  # or what is given up would pile up behind a client that does not read
            raise

    async def _room(self) -> None:
        """Wait until the server should be given more, or the connection is closed. Raises nothing."""

    async def _hand_over(self, item: Payload | Message) -> None:
        """Hand a message or an event to the server; returns when it has taken it."""
        await self.send(as_message(item) if isinstance(item, Payload) else item)

    async def _guarded(self, item: Payload | Message, call: str) -> None:
        self._busy = True
        try:
            await self._hand_over(item)
        except Exception as error:
            if not self._is_lost(error):
                raise
            raise self.closed_error(call) from error
        finally:
            self._busy = False
            if self._backlog:
                self._start_writer()

    def _is_lost(self, error: BaseException) -> bool:
        """Whether a server's error says that the connection is closed; if so, that is remembered."""
        if not is_loss(error):
            return False
        self._remember_loss()
        return True

    def _remember_loss(self) -> None:
        if self.gone is None:
            self.gone = self.lost_status()

    def lost_status(self) -> tuple[int, str]:
        """Close code and reason of a connection that turned out to be closed, as far as the server tells."""
        return (1006, "") if self._base is None else self._base.gone or self._base.lost_status()

    def _start_writer(self) -> None:
        if self._writer is None and not self._busy:
            self._writer = asyncio.get_running_loop().create_task(self._write())

    async def _write(self) -> None:
        self._busy = True
        try:
            while self._backlog:
                await self._room()
                if not self._backlog:
                    return
                item, sent = self._backlog.pop()
                is_close = not isinstance(item, Payload)
                if sent is not None and sent.cancelled() and not is_close:
                    continue  # who waited for it gave up, and does not expect it to be sent
                try:
                    await self._hand_over(item)
                except BaseException as problem:
                    error = self._write_failed(problem)
                    if sent is not None and not sent.done():
                        sent.set_exception(error)
                    self._fail_backlog(error)
                    if not isinstance(problem, Exception):
                        raise
                    return
                if sent is not None and not sent.done():
                    sent.set_result(None)
                if is_close:
                    self._fail_backlog(self.closed_error("send"))
                    return
        finally:
            self._busy = False
            self._writer = None

    def _write_failed(self, problem: BaseException) -> WebSocketDisconnect:
        """What those who wait are told of an error of the server's send; one that nobody expects is logged."""
        expected = self._is_lost(problem)
        if not expected and isinstance(problem, Exception):
            logger.error("A server's send failed on %r", self._shown_path, exc_info=problem)
        return self.closed_error("send")

    @property
    def _shown_path(self) -> str:
        """The path, for the log."""
        return mask_path(self.scope.get("path"))

    def _fail_backlog(self, error: WebSocketDisconnect) -> None:
        for _, sent in self._backlog.clear():
            if sent is not None and not sent.done():
                sent.set_exception(error)

    def _make_room(self, size: int, limit: int) -> bool:
        """The buffer is full: apply ``FASTWS_SLOW_CONSUMER``. True if the message may be added."""
        policy = conf.slow_consumer
        if not self._backlog.dropped and not self._slow:
            logger.warning(
                "A slow client on %r has over %d bytes unsent: %s",
                self._shown_path,
                conf.send_buffer_bytes,
                _POLICIES[policy],
            )
        if policy == "drop_oldest" and self._backlog.drop_oldest(size, limit):
            return True
        if policy != "disconnect":
            self._backlog.dropped += 1
            return False
        self._slow = True
        asyncio.get_running_loop().call_later(_PATIENCE, self.cut)
        self._backlog.clear_droppable()
        self._backlog.dropped += 1
        self._close_slow(1013, "too slow")
        return False

    def _close_slow(self, code: int, reason: str) -> None:
        """Close the connection of a client that is too slow, without waiting."""
        self._backlog.push(({"type": "websocket.close", "code": code, "reason": reason}, None), 0)
        self._start_writer()

    def cut(self) -> None:
        """Cut a connection that does not take its close frame; the plain transport has no way to."""
        if self._base is not None:
            self._base.cut()

    def closed_error(self, call: str) -> WebSocketDisconnect:
        """The error for a call on a closed connection."""
        code, reason = self.gone or self.lost_status()
        return WebSocketDisconnect(code, reason, call=call)


_POLICIES = {
    "disconnect": "it is disconnected with 1013",
    "drop_oldest": "the oldest messages are dropped",
    "drop_newest": "the newest messages are dropped",
}
