"""A group on a layer with Redis, and what was done for it."""

from __future__ import annotations

import asyncio
from typing import Any

from django_fastws.layer import get_broker
from tests.site.client import LIMIT, token
from tests.support.envelopes import holding, value_of


class Group:
    """A group that is subscribed to, and what arrives for it."""

    def __init__(self) -> None:
        self.name = token()
        self.client = get_broker().client(self._deliver)
        self.got: list[Any] = []
        self._came = asyncio.Event()

    def _deliver(self, envelope: Any) -> None:
        self.got.append(value_of(envelope))
        self._came.set()

    async def send(self, n: Any) -> None:
        await get_broker().apublish(holding(self.name, n))

    async def hears(self, n: Any) -> None:
        """Wait until something came."""
        async with asyncio.timeout(LIMIT):
            while n not in self.got:
                self._came.clear()
                await self._came.wait()

    async def expect(self, n: list[Any]) -> None:
        await self.hears(n[-1])
        assert self.got == n
