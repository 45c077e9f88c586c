"""Back-pressure on senders: waiting until a client has taken what it was sent, on Twisted's transports."""

from __future__ import annotations

from typing import Any

from ..transports import SharedProducer, unsent_bytes, until_drained

__all__ = ["release_senders", "request_has_room", "tcp_below", "transport_has_room", "unsent_bytes"]


def tcp_below(transport: Any) -> Any:
    """The transport that holds the socket: the given one, or with TLS, the one below it; None if there is none."""
    for _ in range(3):
        if "_tempDataLen" in getattr(transport, "__dict__", ()):
            return transport
        transport = getattr(transport, "transport", None)
    return None


async def transport_has_room(transport: Any, limit: int) -> None:
    """Wait until a WebSocket's transport holds no more than so many unsent bytes, or is closed.

    Any number of tasks may wait for one transport.
    """
    tcp = tcp_below(transport)
    while tcp is not None and tcp.connected and unsent_bytes(tcp) > limit:
        await until_drained(tcp)


async def request_has_room(request: Any, limit: int) -> None:
    """Wait until the transport of an HTTP request holds no more than so many unsent bytes, or is closed.

    Any number of tasks may wait for one request.
    """
    while (channel := getattr(request, "channel", None)) is not None:
        tcp = tcp_below(getattr(channel, "transport", None))
        # Twisted tells of nothing below the size at which it begins to pause producers.
        if tcp is None or not tcp.connected or unsent_bytes(tcp) <= max(limit, tcp.bufferSize):
            return
        producer = request.producer
        if producer is None:
            producer = SharedProducer()
            request.registerProducer(producer, True)
        elif not isinstance(producer, SharedProducer):
            return  # somebody else's, who sees to the pace
        try:
            await producer.wait()
        finally:
            if request.producer is producer and not producer.is_waited_for:
                _unregister(request)


def release_senders(request: Any) -> None:
    """Wake whoever waits for a request that is answered: nothing more is sent for it."""
    producer = request.producer
    if isinstance(producer, SharedProducer):
        _unregister(request)
        producer.stopProducing()


def _unregister(request: Any) -> None:
    if getattr(request, "channel", None) is not None:
        request.unregisterProducer()
    request.producer = None
