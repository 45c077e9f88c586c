"""Broker over Redis' publish and subscribe, by our ``RedisChannelLayer``."""

from __future__ import annotations

from collections.abc import Coroutine
from typing import Any

from ..._core.envelope import Envelope
from ..._core.history import History
from ..._core.history_page import HistoryPage, PageQuery
from ..._core.latest import Latest
from ..._core.latest_values import LatestValues
from ..._core.positions import Position
from ..broker import Broker, BrokerClient, Deliver
from ..errors import translated
from ..outages import LayerStatus, outage_of
from .history_commands import milliseconds
from .hosts import Host
from .layer import LoopLayer, RedisChannelLayer

__all__ = ["RedisBroker", "RedisBrokerClient"]


_CLAIM = b"""
local found = redis.call('GET', KEYS[1])
if not found or found == ARGV[3] then
    redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
    return false
end
return found
"""


class RedisBroker(Broker):
    """Broker over the connections that a ``RedisChannelLayer`` has for each event loop, and for threads.

    While Redis cannot be reached, publishing waits for up to ``FASTWS_PUBLISH_RETRY_SECONDS``.
    """

    def __init__(self, layer: RedisChannelLayer) -> None:
        self._layer = layer

    has_history = True

    def apublish(self, envelope: Envelope) -> Coroutine[Any, Any, Position | None]:
        return self._layer.for_loop().broadcast(envelope)  # not awaited here: one coroutine less for each broadcast

    def publish(self, envelope: Envelope) -> Position | None:
        return self._layer.blocking.publish(envelope, self._layer.serialize)

    async def aread_history(self, group: str, history: History, query: PageQuery) -> HistoryPage:
        return await self._layer.for_loop().read_history(group, history, query)

    def read_history(
        self, group: str, history: History, query: PageQuery, *, seconds: float | None = None
    ) -> HistoryPage:
        return self._layer.blocking.read_history(group, history, query, self._layer.deserialize, seconds)

    async def aread_latest(self, group: str, latest: Latest) -> LatestValues:
        return await self._layer.for_loop().read_latest(group, latest)

    async def aclear_history(self, envelope: Envelope, history: History) -> None:
        await self._layer.for_loop().clear_history(envelope, history)

    def clear_history(self, envelope: Envelope, history: History) -> None:
        self._layer.blocking.clear_history(envelope, history, self._layer.serialize)

    async def claim(self, key: str, value: bytes, seconds: float, over: bytes = b"") -> bytes | None:
        found = await self._execute(key, b"EVAL", _CLAIM, b"1", self._key(key), value, milliseconds(seconds), over)
        return None if found is None or found == value else bytes(found)  # sent twice, it finds itself

    async def store(self, key: str, value: bytes, seconds: float) -> None:
        await self._execute(key, b"SET", self._key(key), value, b"PX", milliseconds(seconds))

    def _key(self, key: str) -> bytes:
        return f"{self._layer.prefix}:value:{{{key}}}".encode()

    async def _execute(self, key: str, *parts: bytes) -> Any:
        return await self._layer.for_loop().execute(key, *parts)

    async def check(self, seconds: float = 2.0) -> None:
        async with translated("check the channel layer", seconds):
            await self._layer.for_loop().check()

    @property
    def status(self) -> LayerStatus:
        return outage_of(self._layer).status

    @property
    def redis_hosts(self) -> list[Host]:
        return self._layer.hosts

    @property
    def redis_prefix(self) -> str:
        return self._layer.prefix

    def client(self, deliver: Deliver) -> RedisBrokerClient:
        return RedisBrokerClient(deliver, self._layer.for_loop())


class RedisBrokerClient(BrokerClient):
    """Subscriptions of one event loop over the connections of that loop, delivered through one bounded queue."""

    def __init__(self, deliver: Deliver, layer: LoopLayer) -> None:
        super().__init__(deliver)
        self._layer = layer
        self._queue = layer.delivery_queue(deliver, lambda: self.restored())

    async def subscribe(self, group: str) -> None:
        await self._layer.listen(group, self.deliver, self._queue)

    async def unsubscribe(self, group: str) -> None:
        await self._layer.unlisten(group)

    def is_subscribed(self, group: str) -> bool:
        return self._layer.is_subscribed(group)

    async def resubscribed(self, group: str) -> None:
        await self._layer.resubscribed(group)

    def hold(self) -> None:
        self._queue.hold()

    def resume(self) -> None:
        self._queue.resume()
