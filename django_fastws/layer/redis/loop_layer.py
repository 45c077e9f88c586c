"""Redis channel layer of one event loop: its connections, its groups, and where each of them is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Coroutine, Sequence
from typing import Any

from channels_redis.pubsub import RedisPubSubLoopLayer

from ..._core.envelope import Envelope
from ..._core.history import History
from ..._core.history_page import HistoryPage, PageQuery
from ..._core.latest import Latest
from ..._core.latest_values import LatestValues
from ..._core.positions import Position
from ..._core.resp import command
from ...exceptions import WebSocketConnectionError
from ..broker import Deliver
from ..decoding_errors import DecodingErrors
from ..outages import outage_of
from .compatibility import check_loop_layer, shard_index
from .delivery_queue import DeliveryQueue
from .history_commands import clear_command, decode_page, forget_command, read_command, split_position
from .hosts import Host, describe
from .latest_commands import decode_values, read_values_command
from .presence_scripts import PRESENCE_MARK
from .shard import RedisShard

__all__ = ["LoopLayer"]


class LoopLayer(RedisPubSubLoopLayer):  # type: ignore[misc]
    """Channel layer of one event loop: rooms go to broker clients, without a queue for each channel between."""

    def __init__(self, hosts: list[Host], **kwargs: Any) -> None:
        super().__init__(hosts=hosts, **kwargs)
        check_loop_layer(self)
        outage = outage_of(self.channel_layer)
        self._shards: list[Any] = [
            RedisShard(host, outage.server(describe(host)), self._deliver, self._resubscribed) for host in hosts
        ]
        self._queues: dict[bytes, DeliveryQueue] = {}
        self._errors = DecodingErrors()
        self._cards = self.channel_layer.presence_cards(self._errors.log)

    def _get_shard(self, channel_or_group_name: str) -> RedisShard:
        shards = self._shards
        shard: RedisShard = shards[0] if len(shards) == 1 else shards[shard_index(channel_or_group_name, len(shards))]
        return shard

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

    @property
    def numsub(self) -> bytes:
        """Command by which a Redis says how many are subscribed to a channel."""
        return b"NUMSUB"

    async def forget_history(self, group: str) -> None:
        """Forget that a room has ever had a history; see ``Broker.aforget_history``."""
        name = self._get_group_channel_name(group)
        await self._get_shard(name).send(forget_command(self.channel_layer.prefix, group))

    async def count_subscribers(self, group: str) -> int:
        """How many connections are subscribed to a group; see ``Broker.acount_subscribers``."""
        name = self._get_group_channel_name(group).encode()
        reply = await self._get_shard(name.decode()).send(command(b"PUBSUB", self.numsub, name))
        return int(reply[1])

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
        return await self._shard_of_key(key).execute(*parts)

    def _shard_of_key(self, key: str) -> RedisShard:
        """The Redis of a value: its own key has the hash tag ``{KEY}``."""
        return self._get_shard(key)

    async def ready(self) -> None:
        """Find out what the names of channels depend on.

        Raises:
            WebSocketConnectionError: Redis cannot be reached in time.
        """

    async def exchange(self, commands: Sequence[tuple[str, bytes]]) -> list[Any]:
        """Send encoded commands at once, each to the Redis of its name. They may be sent twice.

        Args:
            commands: each with its name: the channel of a group, or the hash tag of the command's key.
        Returns:
            The replies, in order; instead of one that failed, the ``WebSocketConnectionError``.
        """
        sent: list[asyncio.Future[Any]] = []
        try:
            for name, data in commands:
                publisher = self._get_shard(name).publisher
                publisher.use_scripts()
                if publisher.may_be_full:
                    try:
                        await publisher.wait_for_space()
                    except WebSocketConnectionError as error:
                        sent.append(asyncio.get_running_loop().create_future())
                        sent[-1].set_exception(error)
                        continue
                sent.append(publisher.send(data))
            return await asyncio.gather(*sent, return_exceptions=True)
        except BaseException:
            for future in sent:
                future.cancel()
            raise

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
        return DeliveryQueue(deliver, self.channel_layer.deserialize, self._cards, restored)

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
        if data.startswith(PRESENCE_MARK):
            return  # that is between processes
        with contextlib.suppress(ValueError):
            data = split_position(data)[1]
        queue = self.channels.get(name)
        if queue is not None:
            queue.put_nowait(data)
            return
        for member in self.groups.get(name, ()):
            if member in self.channels:
                self.channels[member].put_nowait(data)
