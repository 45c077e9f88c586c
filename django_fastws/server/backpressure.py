"""Waiting until a client has taken what it was sent, on Twisted's transports."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["request_has_room", "tcp_below", "transport_has_room", "unsent_bytes"]


def tcp_below(transport: Any) -> Any:
    """The transport that holds the socket: the given one, or with TLS, the one below it; None if there is none."""
    for _ in range(3):
        if "_tempDataLen" in getattr(transport, "__dict__", ()):
            return transport
        transport = getattr(transport, "transport", None)
    return None


def unsent_bytes(tcp: Any) -> int:
    """How many bytes a transport holds that the client has not taken."""
    return int(len(tcp.dataBuffer) - tcp.offset + tcp._tempDataLen)


async def transport_has_room(transport: Any, limit: int) -> None:
    """Wait until a WebSocket's transport holds no more than so many unsent bytes, or is closed."""
    tcp = tcp_below(transport)
    while tcp is not None and tcp.connected and unsent_bytes(tcp) > limit:
        waiting = _Waiting(is_pull=True)
        tcp.unregisterProducer()
        tcp.registerProducer(waiting, False)
        try:
            await waiting.over
        finally:
            if tcp.producer is waiting:
                tcp.unregisterProducer()


async def request_has_room(request: Any, limit: int) -> None:
    """Wait until the transport of an HTTP request holds no more than so many unsent bytes, or is closed."""
    while request.channel is not None and request.producer is None:
        tcp = tcp_below(getattr(request.channel, "transport", None))
        # Twisted tells of nothing below the size at which it begins to pause producers.
        if tcp is None or not tcp.connected or unsent_bytes(tcp) <= max(limit, tcp.bufferSize):
            return
        waiting = _Waiting()
        request.registerProducer(waiting, True)
        try:
            await waiting.over
        finally:
            if request.channel is not None:
                request.unregisterProducer()
            request.producer = None


class _Waiting:
    """A Twisted producer that has nothing, but is told when a transport has sent all that it held."""

    def __init__(self, *, is_pull: bool = False) -> None:
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._is_registering = is_pull  # a pull producer is asked once while it is registered

    def pauseProducing(self) -> None:
        """Part of Twisted's interface."""

    def resumeProducing(self) -> None:
        if self._is_registering:
            self._is_registering = False
        else:
            self.stopProducing()

    def stopProducing(self) -> None:
        if not self.over.done():
            self.over.set_result(None)
