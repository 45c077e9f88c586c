"""OutboundWebSocket: a WebSocket that this process has opened to a server."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from .._core.connection_state import ClientState
from .._core.messages import WebSocketMessage, size_of
from .._core.outbound_urls import mask_url
from ..exceptions import WebSocketDisconnect
from ..transports import OutboundTransport
from ..types import UserT
from .base import WebSocket

__all__ = ["OutboundWebSocket"]

_CONNECTED = ClientState.CONNECTED
_new = object.__new__


class OutboundWebSocket(WebSocket[UserT]):
    """WebSocket that went out: it is open before anybody holds it, and is in no room."""

    __slots__ = ("_inbox", "_messages")

    _transport: OutboundTransport

    def __init__(self, transport: OutboundTransport, *, tags: Iterable[str] = ()) -> None:
        super().__init__(transport, transport.traffic, tags=tags)
        self._inbox = transport.inbox
        self._messages = self._inbox.messages

    async def __anext__(self) -> WebSocketMessage:
        state = self._state
        if state.client_state is not _CONNECTED or state.is_receiving:
            return await super().__anext__()  # raises what fits
        data: str | bytes | None
        if messages := self._messages:
            data = messages.popleft()
            inbox = self._inbox
            if inbox.is_paused and len(messages) <= inbox.fewest:
                inbox.resume()
        else:
            data = self._transport.try_receive()
        if data is None:
            # As the base class does it, without a coroutine more for each message that is waited for.
            state.is_receiving = True
            try:
                data = await self._transport.receive_data()
            except WebSocketDisconnect as end:
                self._ended(end)
                raise StopAsyncIteration from None
            finally:
                state.is_receiving = False
        traffic = self._traffic
        traffic.messages_received += 1
        traffic.bytes_received += size_of(data) if isinstance(data, str) and not data.isascii() else len(data)
        message = _new(WebSocketMessage)  # without the call of its __init__
        message.data = data
        return message

    @property
    def attempt(self) -> int:
        return self._transport.attempt

    @property
    def latency(self) -> float:
        return self._transport.latency

    @property
    def fencing_token(self) -> int | None:
        return self._transport.token

    def __repr__(self) -> str:
        return f"<WebSocket {mask_url(self.url)!r} {self._state.client_state.name}>"

    async def accept(self, *args: Any, **options: Any) -> None:
        self._state.accept()  # raises: it is open, or was
