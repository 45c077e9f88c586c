"""Redis channel layer, for the whole process and for each event loop."""

from __future__ import annotations

import asyncio
import contextlib
import weakref
from collections.abc import Callable, Mapping
from typing import Any

from channels_redis.pubsub import RedisPubSubChannelLayer

from ..outages import outage_of
from .blocking import BlockingPublisher
from .blocking_cluster import ClusterBlockingPublisher
from .cluster_hosts import ClusterHosts, check_cluster
from .cluster_layer import ClusterLoopLayer
from .compatibility import check_layer_classes
from .hosts import decode_hosts
from .loop_layer import LoopLayer
from .presence_encoding import PresenceCards

__all__ = ["RedisChannelLayer"]


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
        cluster: in place of ``hosts``, the URL of a node of a Redis Cluster, or a list of such URLs; the others are
            found through it. As with ``hosts``, a dict for redis-py has further options.
        sharded_pubsub: whether a cluster's messages go over sharded channels, to the node alone that has the room.
            None does so where the servers have them, as Redis from 7.0 on. It must be the same in every process.

    Raises:
        ValueError: ``hosts`` or ``cluster`` are wrong; it says what to do.

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
        *,
        cluster: Any = None,
        sharded_pubsub: bool | None = None,
        **kwargs: Any,
    ) -> None:
        check_layer_classes()
        check_cluster({"cluster": cluster, "sharded_pubsub": sharded_pubsub, "hosts": hosts, "prefix": prefix})
        super().__init__(
            symmetric_encryption_keys=symmetric_encryption_keys, serializer_format=serializer_format, **kwargs
        )
        #: For threads without an event loop.
        self.blocking: BlockingPublisher
        self._cluster: ClusterHosts | None = None
        if cluster is None:
            self.hosts = [{**self._defaults_for(host), **host} for host in decode_hosts(hosts)]
            self.blocking = BlockingPublisher(self.hosts, prefix, outage_of(self))
        else:
            self._cluster = ClusterHosts(cluster, self.host_defaults, is_sharded=sharded_pubsub)
            self.hosts = self._cluster.layer_hosts
            self.blocking = ClusterBlockingPublisher(self._cluster, prefix, outage_of(self))
        self.prefix = prefix
        self._options = kwargs
        self._secrets = tuple(symmetric_encryption_keys or ())
        self._loop_layers: dict[asyncio.AbstractEventLoop, LoopLayer] = {}
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

    def presence_cards(self, failed: Callable[[Exception], None]) -> PresenceCards:
        """How the cards of those who are present are encoded.

        Args:
            failed: called with what is raised for a card that cannot be decoded.
        """
        return PresenceCards(self.serialize, self.deserialize, failed, self._secrets)

    def for_loop(self) -> LoopLayer:
        """The layer of the running event loop."""
        loop = asyncio.get_running_loop()
        layer = self._loop_layers.get(loop)
        if layer is None:
            options = {"prefix": self.prefix, "channel_layer": self, **self._options}
            if self._cluster is None:
                layer = LoopLayer(hosts=self.hosts, **options)
            else:
                layer = ClusterLoopLayer(self._cluster, **options)
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
