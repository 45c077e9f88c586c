"""Clients of redis-py for a layer's Redis, be it one or a cluster, for what is no message."""

from __future__ import annotations

from typing import Any

import redis.asyncio.cluster
import redis.asyncio.connection

from ..outages import Outage
from .blocking_cluster import BlockingCluster
from .cluster_hosts import ClusterHosts
from .compatibility import options_of
from .hosts import Host, create_client, evicting_policy

__all__ = ["ClusterClient", "client_of", "evicting_policy_of"]

_ASK_SECONDS = 4.0  # the longest that a cluster may take to say who its nodes are


class ClusterClient(redis.asyncio.cluster.RedisCluster):
    """Client of a cluster that is closed as that of a single Redis is."""

    async def aclose(self, close_connection_pool: bool | None = None) -> None:  # noqa: FBT001
        """Close all connections."""
        await super().aclose()


def client_of(host: Host) -> Any:
    """An asyncio client of redis-py for what ``Broker.redis_hosts`` names.

    Returns:
        A client, whose pool is the caller's to close. That of a cluster sends a command to the node that has its key.
    """
    cluster = host.get("cluster")
    return _cluster_client(cluster) if isinstance(cluster, ClusterHosts) else create_client(host)


def _cluster_client(cluster: ClusterHosts) -> ClusterClient:
    options = dict(cluster.host(cluster.seeds[0]))
    if "address" in options:
        options.update(options_of(options.pop("address")))
    for name in ("host", "port", "db"):
        options.pop(name, None)
    nodes = [redis.asyncio.cluster.ClusterNode(*node, **options) for node in cluster.seeds]
    if issubclass(options.pop("connection_class", object), redis.asyncio.connection.SSLConnection):
        options["ssl"] = True
    # A lease whose node is there is kept, whatever has become of the other nodes.
    return ClusterClient(startup_nodes=nodes, require_full_coverage=False, **options)


def evicting_policy_of(host: Host) -> str | None:
    """The ``maxmemory-policy`` by which a Redis, or one of the nodes of a cluster, evicts keys when memory is full.

    Returns:
        Its name; None if nothing is evicted, there is no limit, or nobody says within a few seconds.
    """
    hosts = host.get("cluster")
    if not isinstance(hosts, ClusterHosts):
        return evicting_policy(host)
    cluster = BlockingCluster(hosts, Outage(object))
    cluster.ask(_ASK_SECONDS)
    policies = (evicting_policy(hosts.host(node)) for node in cluster.nodes)
    return next((policy for policy in policies if policy is not None), None)
