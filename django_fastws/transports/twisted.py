"""Twisted producer shared by every task that waits for one transport to have sent what it holds.

A transport has room for one producer. Whoever registered another would throw out the one before, and the task behind
that would wait for ever.
"""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["SharedProducer", "unsent_bytes", "until_drained"]


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


def unsent_bytes(tcp: Any) -> int:
    """How many bytes a Twisted transport holds that the client has not taken."""
    return int(len(tcp.dataBuffer) - tcp.offset + tcp._tempDataLen)


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
