"""Publisher and subscriber of an event loop to one node of a cluster."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from ..._core.resp import spublish_command
from ..._core.sequences import Sender
from ..._core.slots import Node, slot_of
from ..outages import LayerServer
from .hosts import Host
from .node_publisher import NodePublisher, PublisherRoutes
from .node_subscriber import NodeSubscriber, SubscriberRoutes
from .shard import RedisShard

__all__ = ["NodeShard", "Routes"]


class Routes(PublisherRoutes, SubscriberRoutes, Protocol):
    """The ways between the nodes, as their shards use them."""

    def sender_of(self, slot: int) -> Sender:
        """The sender that numbers what is published in a slot, at whatever node that is."""

    def node_has_changed(self) -> None:
        """A node was lost, or is back."""


class NodeShard(RedisShard):
    """Pair of connections to one node of a cluster.

    Args:
        node: its address.
        host: options for redis-py.
        server, deliver: as of ``RedisShard``.
        routes: between the nodes.
        is_sharded: whether the channels are sharded ones.
    """

    publisher: NodePublisher
    subscriber: NodeSubscriber

    def __init__(
        self,
        node: Node,
        host: Host,
        server: LayerServer,
        deliver: Callable[[bytes, bytes], None],
        routes: Routes,
        *,
        is_sharded: bool,
    ) -> None:
        self.node = node
        self.server = server
        self._routes = routes
        self._is_sharded = is_sharded
        super().__init__(host, server, deliver, routes.has_resubscribed)
        if is_sharded:
            self._publish_command = spublish_command

    def _make_subscriber(self, server: LayerServer, pool: Any, **options: Any) -> NodeSubscriber:
        return NodeSubscriber(server, pool, routes=self._routes, is_sharded=self._is_sharded, **options)

    def _make_publisher(self, server: LayerServer, pool: Any, **options: Any) -> NodePublisher:
        return NodePublisher(server, pool, routes=self._routes, **options)

    def _sender_of(self, channel: bytes) -> Sender:
        # One for each slot: numbers of one sender have to arrive in order, and a slot may be on its way elsewhere.
        return self._routes.sender_of(slot_of(channel))

    def _changed(self) -> None:
        super()._changed()
        self._routes.node_has_changed()

    @property
    def is_idle(self) -> bool:
        """Whether nothing is sent over it, and nothing subscribed to."""
        return self.publisher.is_idle and self.subscriber.is_idle
