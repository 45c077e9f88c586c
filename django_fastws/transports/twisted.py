"""Twisted's transports: which holds the socket, what it has not sent, and waiting until it has (backpressure).

A transport has room for one producer. Registering another would throw out the one before, and the task behind
that would wait for ever: so there is one producer, which all tasks share that wait for one transport.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = [
    "SharedProducer",
    "read_directly",
    "push",
    "release_senders",
    "request_has_room",
    "tcp_below",
    "transport_has_room",
    "unsent_bytes",
    "until_drained",
]


def tcp_below(transport: Any) -> Any:
    """The transport that holds the socket: the given one, or with TLS, the one below it; None if there is none."""
    for _ in range(3):
        if "_tempDataLen" in getattr(transport, "__dict__", ()):
            return transport
        transport = getattr(transport, "transport", None)
    return None


def unsent_bytes(tcp: Any) -> int:
    """Number of bytes that a Twisted transport holds and the client has not taken."""
    return int(len(tcp.dataBuffer) - tcp.offset + tcp._tempDataLen)


def read_directly(transport: Any) -> None:
    """Have the loop call the reactor for what comes, of a transport that is being read from, until that is paused.

    Twisted calls it in a context for its log, which takes longer than reading a message.
    """
    tcp = tcp_below(transport)
    reactor = getattr(tcp, "reactor", None)
    read, loop = getattr(reactor, "_readOrWrite", None), getattr(reactor, "_asyncioEventloop", None)
    if read is not None and loop is not None and tcp in getattr(reactor, "_readers", ()):
        loop.add_reader(tcp.fileno(), read, tcp, True)


def push(tcp: Any) -> None:
    """Let the socket take what a Twisted transport holds, as far as it does.

    Twisted's TLS leaves that to the next turn of the reactor. Until then, what the client would take at once looks
    as if it did not.
    """
    while not tcp.disconnecting and (unsent := unsent_bytes(tcp)):
        if tcp.doWrite() is not None or unsent_bytes(tcp) >= unsent:
            return  # the socket is full; or broken, which the reactor finds out


class SharedProducer:
    """Producer that produces nothing; it wakes all its waiting tasks when the transport is empty, or closed.

    It serves as a pull producer, which Twisted asks once while it is registered, and as a push producer.
    """

    def __init__(self) -> None:
        self._waiting: set[asyncio.Future[None]] = set()
        self._is_registering = False
        self._former: tuple[Any, bool] = (None, False)

    async def wait(self) -> None:
        """Wait to be woken. Cancelling one task leaves the others waiting."""
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.add(woken)
        try:
            await woken
        finally:
            self._waiting.discard(woken)

    @property
    def is_waited_for(self) -> bool:
        """Whether any task waits that was not woken."""
        return any(not woken.done() for woken in self._waiting)

    def replace(self, tcp: Any) -> None:
        """Register as a transport's pull producer, in place of the one that it has."""
        self._former = (tcp.producer, bool(tcp.streamingProducer))
        tcp.unregisterProducer()
        self._is_registering = True
        tcp.registerProducer(self, False)
        self._is_registering = False

    def restore(self, tcp: Any) -> None:
        """Give the transport back the producer that it had."""
        tcp.unregisterProducer()
        former, is_streaming = self._former
        if former is not None:
            tcp.registerProducer(former, is_streaming)

    # Twisted's interface

    def pauseProducing(self) -> None:
        """Nothing is being produced."""

    def resumeProducing(self) -> None:
        """The transport has sent all that it held."""
        if not self._is_registering:
            self.stopProducing()

    def stopProducing(self) -> None:
        """The transport is closed."""
        for woken in self._waiting:
            if not woken.done():
                woken.set_result(None)


async def until_drained(tcp: Any) -> None:
    """Wait until a Twisted transport has sent all that it holds, or is closed; any number of tasks may wait.

    The transport must hold something: Twisted wakes nobody otherwise.
    """
    producer = tcp.producer
    if not isinstance(producer, SharedProducer):
        producer = SharedProducer()
        producer.replace(tcp)
        if tcp.producer is not producer:
            return  # it was closed already
    try:
        await producer.wait()
    finally:
        if tcp.producer is producer and not producer.is_waited_for:
            producer.restore(tcp)


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
    """Wake the tasks that wait for a request that is answered: nothing more is sent for it."""
    producer = request.producer
    if isinstance(producer, SharedProducer):
        _unregister(request)
        producer.stopProducing()


def _unregister(request: Any) -> None:
    if getattr(request, "channel", None) is not None:
        request.unregisterProducer()
    request.producer = None
