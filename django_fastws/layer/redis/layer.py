"""Redis channel layer, for the whole process and for each event loop."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer, RedisPubSubLoopLayer

from ..._core.envelope import Envelope
from ..._core.history import History
from ..._core.history_page import HistoryPage, PageQuery
from ..._core.latest import Latest
from ..._core.latest_values import LatestValues
from ..._core.positions import Position
from ..broker import Deliver
from ..decoding_errors import DecodingErrors
from ..outages import outage_of
from .blocking import BlockingPublisher
from .compatibility import check_layer_classes, check_loop_layer, shard_index
from .delivery_queue import DeliveryQueue
from .history_commands import clear_command, decode_page, read_command, split_position
from .hosts import Host, decode_hosts, describe
from .latest_commands import decode_values, read_values_command
from .shard import RedisShard

__all__ = ["LoopLayer", "RedisChannelLayer"]


class RedisChannelLayer(RedisPubSubChannelLayer):  # type: ignore[misc]
    """channels-redis's pub/sub layer, faster, and with a Redis that may go away.

    A drop-in replacement for ``channels_redis.pubsub.RedisPubSubChannelLayer``, also for consumers. It takes the same
    options, and differs in that

    - idle connections stay open (``socket_timeout=None``), and one that Redis is silent on is found and replaced,
    - connecting is bounded (``socket_connect_timeout=5`` seconds),
    - what is published in one turn of the event loop is sent at once, and replies are not waited for one by one,
    - subscribing waits until Redis has confirmed it, so that nothing published afterwards is missed,
    - waiting costs no polling, and a lost connection is made again with all its subscriptions,
    - what is published while Redis is away is held for up to ``FASTWS_PUBLISH_RETRY_SECONDS``.

    Args:
        hosts: as in channels-redis: URLs, ``(host, port)`` pairs, or dicts for redis-py, which override the defaults.
        prefix: of every Redis channel's name.
        symmetric_encryption_keys, serializer_format: as in channels-redis.

    Not guaranteed: what others publish while a process is cut off from Redis does not reach it (at most once).
    """

    #: For each host, unless it says otherwise.
    host_defaults: Mapping[str, Any] = {
        "socket_timeout": None,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "max_connections": 5000,
    }

    def __init__(
        self,
        hosts: Any = None,
        prefix: str = "asgi",
        symmetric_encryption_keys: Any = None,
        serializer_format: str = "msgpack",
        **kwargs: Any,
    ) -> None:
        check_layer_classes()
        super().__init__(
            symmetric_encryption_keys=symmetric_encryption_keys, serializer_format=serializer_format, **kwargs
        )
        self.hosts = [{**self._defaults_for(host), **host} for host in decode_hosts(hosts)]
        self.prefix = prefix
        self._options = kwargs
        self._loop_layers: dict[asyncio.AbstractEventLoop, LoopLayer] = {}
        #: For threads without an event loop.
        self.blocking = BlockingPublisher(self.hosts, prefix, outage_of(self))
        weakref.finalize(self, self.blocking.close)

    def _defaults_for(self, host: Mapping[str, Any]) -> dict[str, Any]:
        defaults = dict(self.host_defaults)
        if str(host.get("address", host.get("path", ""))).startswith(("unix:", "/")):
            # redis-py's connection over a Unix socket does not know these.
            del defaults["socket_keepalive"]
        if "sentinels" in host:
            # redis-py asks them without a limit before its version 8.
            defaults["sentinel_kwargs"] = {"socket_timeout": 2, "socket_connect_timeout": 2}
        return defaults

    def for_loop(self) -> LoopLayer:
        """The layer of the running event loop."""
        loop = asyncio.get_running_loop()
        layer = self._loop_layers.get(loop)
        if layer is None:
            layer = LoopLayer(hosts=self.hosts, prefix=self.prefix, channel_layer=self, **self._options)
            self._loop_layers[loop] = layer
            self._flush_at_close(loop)
        return layer

    def _flush_at_close(self, loop: asyncio.AbstractEventLoop) -> None:
        """Have an event loop close its connections to Redis before it is closed."""
        close = loop.close

        def flush_and_close() -> None:
            loop.close = close  # type: ignore[method-assign]
            layer = self._loop_layers.pop(loop, None)
            if layer is not None:
                loop.run_until_complete(layer.flush())
            loop.close()

        with contextlib.suppress(AttributeError):  # of a loop that cannot be patched
            loop.close = flush_and_close  # type: ignore[method-assign]

    def _get_layer(self) -> LoopLayer:
        return self.for_loop()  # as channels-redis calls it


class LoopLayer(RedisPubSubLoopLayer):  # type: ignore[misc]
    """Channel layer of one event loop: rooms go to broker clients, without a queue for each channel between."""

    def __init__(self, hosts: list[Host], **kwargs: Any) -> None:
        super().__init__(hosts=hosts, **kwargs)
        check_loop_layer(self)
        outage = outage_of(self.channel_layer)
        self._shards = [
            RedisShard(host, outage.server(describe(host)), self._deliver, self._resubscribed) for host in hosts
        ]
        self._queues: dict[bytes, DeliveryQueue] = {}
        self._errors = DecodingErrors()

    def _get_shard(self, channel_or_group_name: str) -> RedisShard:
        shards = self._shards
        return shards[0] if len(shards) == 1 else shards[shard_index(channel_or_group_name, len(shards))]

    def broadcast(self, envelope: Envelope) -> Coroutine[Any, Any, Position | None]:
        """Publish to the envelope's room, when awaited; receivers pass over duplicates, which are sent again.

        Raises:
            WebSocketConnectionError: Redis cannot be reached in time, or refuses.
        """
        name = self._get_group_channel_name(envelope.room)
        shard, serialize = self._get_shard(name), self.channel_layer.serialize
        if envelope.history is not None:
            return shard.store(self.channel_layer.prefix, name, envelope, serialize)
        if envelope.keyed is not None and envelope.keyed.latest is not None:
            return shard.keep(self.channel_layer.prefix, name, envelope, serialize)
        return shard.broadcast(name, envelope, serialize)

    async def read_history(self, group: str, history: History, query: PageQuery) -> HistoryPage:
        """Read a part of a room's history; see ``Broker.aread_history``."""
        name, layer = self._get_group_channel_name(group), self.channel_layer
        shard = self._get_shard(name)
        shard.use_history()
        reply = await shard.send(read_command(layer.prefix, group, history, query, shard.durable))
        return decode_page(reply, query, layer.deserialize, self._errors.log)

    async def clear_history(self, envelope: Envelope, history: History) -> None:
        """Forget a room's events, begin another epoch, and publish an envelope that says so."""
        name, layer = self._get_group_channel_name(envelope.room), self.channel_layer
        shard, data = self._get_shard(name), layer.serialize(envelope.encode())
        shard.use_history()
        await shard.send(clear_command(layer.prefix, name.encode(), envelope.room, history, data, shard.durable))

    async def read_latest(self, group: str, latest: Latest) -> LatestValues:
        """Read the values of a keyed room; see ``Broker.aread_latest``."""
        name, layer = self._get_group_channel_name(group), self.channel_layer
        shard = self._get_shard(name)
        shard.publisher.use_scripts()
        reply = await shard.send(read_values_command(layer.prefix, group, latest))
        return decode_values(reply, layer.deserialize, self._errors.log)

    async def execute(self, key: str, *parts: bytes) -> Any:
        """Send a command to the Redis of a key, and wait for the reply. It may be sent twice.

        Raises:
            WebSocketConnectionError: Redis cannot be reached in time, or refuses.
        """
        return await self._get_shard(key).execute(*parts)

    async def listen(self, group: str, deliver: Deliver, queue: DeliveryQueue | None = None) -> None:
        """Call ``deliver`` with every message of a group; returns once Redis has confirmed the subscription.

        Args:
            queue: of a client that has several groups; None makes one for this group.
        """
        name = self._get_group_channel_name(group)
        channel = name.encode()
        queue = self._queues[channel] = queue or self.delivery_queue(deliver)
        queue.open(channel, group)
        try:
            await self._get_shard(name).subscribe(name)
        except BaseException:
            self._stop(channel)
            if name not in self.groups:
                self._get_shard(name).abandon(name)
            raise

    def delivery_queue(self, deliver: Deliver, restored: Callable[[], None] = lambda: None) -> DeliveryQueue:
        """Make a queue that delivers the messages of any number of groups to one client, in their order.

        Args:
            restored: called when subscriptions that were lost are made again; must not raise.
        """
        return DeliveryQueue(deliver, self.channel_layer.deserialize, restored)

    def _resubscribed(self) -> None:
        for queue in set(self._queues.values()):
            queue.restored()

    def _stop(self, channel: bytes) -> None:
        queue = self._queues.pop(channel, None)
        if queue is not None:
            queue.close(channel)

    async def unlisten(self, group: str) -> None:
        """Stop what ``listen`` began."""
        name = self._get_group_channel_name(group)
        self._stop(name.encode())
        if name not in self.groups:
            await self._get_shard(name).unsubscribe(name)

    def is_subscribed(self, group: str) -> bool:
        """Whether the subscription stands; False while it is made again."""
        name = self._get_group_channel_name(group)
        return bool(self._get_shard(name).subscriber.is_subscribed(name.encode()))

    async def resubscribed(self, group: str) -> None:
        """Wait until a subscription that was lost is made again."""
        name = self._get_group_channel_name(group)
        await self._get_shard(name).subscribe(name)

    async def group_discard(self, group: str, channel: str) -> None:
        name = self._get_group_channel_name(group)
        if name.encode() in self._queues and self.groups.get(name) == {channel}:
            del self.groups[name]  # a listener still needs the subscription
            return
        await super().group_discard(group, channel)

    async def flush(self) -> None:
        self._queues.clear()
        await super().flush()

    async def check(self) -> None:
        """Ask every Redis whether it is there."""
        await asyncio.gather(*(shard.check() for shard in self._shards))

    def _deliver(self, channel: bytes, data: bytes) -> None:
        queue = self._queues.get(channel)
        if queue is not None:
            queue.receive(channel, data)
        if self.channels:
            self._deliver_to_consumers(channel.decode(), data)

    def _deliver_to_consumers(self, name: str, data: bytes) -> None:
        with contextlib.suppress(ValueError):
            data = split_position(data)[1]
        queue = self.channels.get(name)
        if queue is not None:
            queue.put_nowait(data)
            return
        for member in self.groups.get(name, ()):
            if member in self.channels:
                self.channels[member].put_nowait(data)
