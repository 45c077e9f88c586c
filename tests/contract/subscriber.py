"""A client of a broker, for the suite, and what was delivered to it."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from django_fastws import WebSocketConnectionError
from django_fastws._core.envelope import BROADCAST, Envelope
from django_fastws.layer import Broker, BrokerClient
from tests.site.client import LIMIT

__all__ = ["Subscriber", "hello", "keep_on", "outcome"]


async def outcome(call: Awaitable[Any]) -> bool:
    """Whether it went well; it may say that the layer is out of reach, and nothing else."""
    try:
        await call
    except WebSocketConnectionError:
        return False
    return True


async def keep_on(doing: Callable[[], Awaitable[Any]]) -> Any:
    """Do something until it goes well."""
    async with asyncio.timeout(LIMIT):
        while True:
            try:
                return await doing()
            except WebSocketConnectionError:
                await asyncio.sleep(0.02)


class Subscriber:
    """A client with its groups, which are subscribed to as long as it is entered, and what came.

    Args:
        last: what it is held at, when that was delivered.

    Attributes:
        got: envelopes.
        restored: how often it was told that something may have been missed.
    """

    def __init__(self, broker: Broker, *groups: str, last: str | None = None) -> None:
        self.last = last
        self.got: list[Envelope] = []
        self.restored = 0
        self._groups = groups
        self.client: BrokerClient = broker.client(self._deliver)
        self.client.restored = self._restore

    def _deliver(self, envelope: Envelope) -> None:
        self.got.append(envelope)
        if envelope.data == self.last:
            self.client.hold()

    def _restore(self) -> None:
        self.restored += 1

    @property
    def texts(self) -> list[Any]:
        return [envelope.data for envelope in self.got]

    async def __aenter__(self) -> Subscriber:
        for group in self._groups:
            await self.client.subscribe(group)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        for group in self._groups:
            await self.client.unsubscribe(group)
        await self.client.close()

    async def take(self, count: int) -> list[Envelope]:
        """Wait until so many came; there must not be more."""
        await self.wait_for(lambda: len(self.got) >= count)
        assert len(self.got) == count
        return self.got

    async def expect(self, *texts: str) -> None:
        """Wait until these came, and nothing else."""
        await self.take(len(texts))
        assert self.texts == list(texts)

    async def hears(self, text: str) -> None:
        """Wait until this came."""
        await self.wait_for(lambda: text in self.texts)

    async def reaches(self, publish: Callable[[], Awaitable[Any]], text: str) -> None:
        """Publish a text again and again, until it came: the layer is back, though nobody may say so."""
        async with asyncio.timeout(LIMIT):
            while text not in self.texts:
                await outcome(publish())
                await asyncio.sleep(0.05)

    async def wait_for(self, is_so: Any) -> None:
        async with asyncio.timeout(LIMIT):
            while not is_so():  # noqa: ASYNC110
                await asyncio.sleep(0.001)


def hello(group: str, text: str, **more: Any) -> Envelope:
    return Envelope(BROADCAST, group, text, **more)
