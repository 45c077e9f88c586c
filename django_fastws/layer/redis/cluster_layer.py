"""Redis channel layer of one event loop on a Redis Cluster: each room is at the node that has its slot."""

from __future__ import annotations

from collections.abc import Coroutine, Sequence
from typing import Any

from ..._core.envelope import Envelope
from ..._core.history import History
from ..._core.history_page import HistoryPage, PageQuery
from ..._core.latest import Latest
from ..._core.latest_values import LatestValues
from ..._core.positions import Position
from ..broker import Deliver
from ..outages import outage_of
from .cluster_hosts import ClusterHosts
from .cluster_nodes import ClusterNodes
from .delivery_queue import DeliveryQueue
from .loop_layer import LoopLayer
from .node_shard import NodeShard
from .scripts import SHARDED_END

__all__ = ["ClusterLoopLayer", "group_channel"]


def group_channel(prefix: str, group: str, *, is_sharded: bool) -> str:
    """The channel of a group, in the slot of the group's keys.

    >>> group_channel("asgi", "chat", is_sharded=True), group_channel("asgi", "chat", is_sharded=False)
    ('asgi__group__{chat}', 'asgi__group__{chat}:')
    """
    return f"{prefix}__group__{{{group}{SHARDED_END}{'' if is_sharded else ':'}"


class ClusterLoopLayer(LoopLayer):
    """Channel layer of one event loop on a cluster. Its first call waits until it is known which node has what.

    Args:
        cluster: the nodes that are asked for that.
    """

    def __init__(self, cluster: ClusterHosts, **kwargs: Any) -> None:
        super().__init__(hosts=[], **kwargs)
        self._cluster = cluster
        self._nodes = ClusterNodes(cluster, outage_of(self.channel_layer), self._deliver, self._resubscribed)
        self._shards = self._nodes.shards

    def _get_shard(self, channel_or_group_name: str) -> NodeShard:
        return self._nodes.owner(channel_or_group_name.encode())

    @property
    def numsub(self) -> bytes:
        return b"SHARDNUMSUB" if self._cluster.is_sharded else b"NUMSUB"

    def _get_group_channel_name(self, group: str) -> str:
        return group_channel(self.prefix, group, is_sharded=bool(self._cluster.is_sharded))

    def _shard_of_key(self, key: str) -> NodeShard:
        return self._nodes.owner(f"{{{key}}}".encode())

    # What waits for the nodes the first time

    def broadcast(self, envelope: Envelope) -> Coroutine[Any, Any, Position | None]:
        return super().broadcast(envelope) if self._nodes.is_ready else self._broadcast_first(envelope)

    async def _broadcast_first(self, envelope: Envelope) -> Position | None:
        await self._nodes.ready()
        return await super().broadcast(envelope)

    async def read_history(self, group: str, history: History, query: PageQuery) -> HistoryPage:
        await self._nodes.ready()
        return await super().read_history(group, history, query)

    async def clear_history(self, envelope: Envelope, history: History) -> None:
        await self._nodes.ready()
        await super().clear_history(envelope, history)

    async def forget_history(self, group: str) -> None:
        await self._nodes.ready()
        await super().forget_history(group)

    async def count_subscribers(self, group: str) -> int:
        await self._nodes.ready()
        # All subscribe at the node that has the slot, also where channels are not sharded.
        return await super().count_subscribers(group)

    async def read_latest(self, group: str, latest: Latest) -> LatestValues:
        await self._nodes.ready()
        return await super().read_latest(group, latest)

    async def execute(self, key: str, *parts: bytes) -> Any:
        await self._nodes.ready()
        return await super().execute(key, *parts)

    async def ready(self) -> None:
        await self._nodes.ready()

    async def exchange(self, commands: Sequence[tuple[str, bytes]]) -> list[Any]:
        await self._nodes.ready()
        return await super().exchange(commands)

    async def listen(self, group: str, deliver: Deliver, queue: DeliveryQueue | None = None) -> None:
        await self._nodes.ready()
        await super().listen(group, deliver, queue)

    async def unlisten(self, group: str) -> None:
        if self._nodes.is_ready:
            await super().unlisten(group)

    def is_subscribed(self, group: str) -> bool:
        return self._nodes.is_ready and super().is_subscribed(group)

    async def resubscribed(self, group: str) -> None:
        await self._nodes.ready()
        await super().resubscribed(group)

    # For consumers

    async def send(self, channel: str, message: Any) -> None:
        await self._nodes.ready()
        await super().send(channel, message)

    async def new_channel(self, prefix: str = "specific.") -> str:
        await self._nodes.ready()
        return str(await super().new_channel(prefix))

    async def receive(self, channel: str) -> Any:
        await self._nodes.ready()
        return await super().receive(channel)

    async def group_add(self, group: str, channel: str) -> None:
        await self._nodes.ready()
        await super().group_add(group, channel)

    async def group_discard(self, group: str, channel: str) -> None:
        await self._nodes.ready()
        await super().group_discard(group, channel)

    async def group_send(self, group: str, message: Any) -> None:
        await self._nodes.ready()
        await super().group_send(group, message)

    async def flush(self) -> None:
        await self._nodes.close()
        await super().flush()

    async def check(self) -> None:
        await self._nodes.check()
