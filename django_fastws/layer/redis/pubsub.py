"""Broker over Redis' publish and subscribe, by our ``RedisChannelLayer``."""

from __future__ import annotations

import time
from collections.abc import Coroutine, Sequence
from typing import Any

from ..._core.envelope import Envelope
from ..._core.history import History
from ..._core.history_page import HistoryPage, PageQuery
from ..._core.latest import Latest
from ..._core.latest_values import LatestValues
from ..._core.positions import Position
from ..broker import Broker, BrokerClient, Deliver, Published
from ..decoding_errors import DecodingErrors
from ..errors import doing, translated
from ..outages import LayerStatus, outage_of
from .history_commands import milliseconds
from .hosts import Host
from .layer import RedisChannelLayer
from .loop_layer import LoopLayer
from .presence_commands import PresenceCommands
from .redis_presence import RedisPresence

__all__ = ["RedisBroker", "RedisBrokerClient"]


_READ_HISTORY, _CLEAR_HISTORY = "read the history", "clear the history"
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
        blocking = layer.blocking
        commands = PresenceCommands(layer.prefix, blocking.channel_of, layer.presence_cards(DecodingErrors().log))
        self._presence = RedisPresence(
            commands,
            lambda step: layer.for_loop().exchange(step),
            blocking.exchange,
            lambda: layer.for_loop().ready(),
            blocking.ready,
        )

    has_history = True

    def apublish(self, envelope: Envelope) -> Coroutine[Any, Any, Position | None]:
        envelope.published = time.time()
        return self._layer.for_loop().broadcast(envelope)  # not awaited here: one coroutine less for each broadcast

    def publish(self, envelope: Envelope) -> Position | None:
        envelope.published = time.time()
        return self._layer.blocking.publish(envelope, self._layer.serialize)

    def publish_all(self, envelopes: Sequence[Envelope]) -> list[Published]:
        now = time.time()
        for envelope in envelopes:
            envelope.published = now
        if (found := self._layer.blocking.publish_all(envelopes, self._layer.serialize)) is not None:
            return found
        return super().publish_all(envelopes)

    async def aread_history(self, group: str, history: History, query: PageQuery) -> HistoryPage:
        with doing(_READ_HISTORY):
            return await self._layer.for_loop().read_history(group, history, query)

    def read_history(
        self, group: str, history: History, query: PageQuery, *, seconds: float | None = None
    ) -> HistoryPage:
        with doing(_READ_HISTORY):
            return self._layer.blocking.read_history(group, history, query, self._layer.deserialize, seconds)

    async def aread_latest(self, group: str, latest: Latest) -> LatestValues:
        with doing("read the values of a keyed room"):
            return await self._layer.for_loop().read_latest(group, latest)

    async def aclear_history(self, envelope: Envelope, history: History) -> None:
        with doing(_CLEAR_HISTORY):
            await self._layer.for_loop().clear_history(envelope, history)

    def clear_history(self, envelope: Envelope, history: History) -> None:
        with doing(_CLEAR_HISTORY):
            self._layer.blocking.clear_history(envelope, history, self._layer.serialize)

    async def aforget_history(self, group: str) -> None:
        await self._layer.for_loop().forget_history(group)

    async def acount_subscribers(self, group: str) -> int:
        return await self._layer.for_loop().count_subscribers(group)

    @property
    def presence(self) -> RedisPresence:
        return self._presence

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
