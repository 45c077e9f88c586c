"""Nodes of a Redis Cluster: as a layer's options name the first of them, and how each is connected to."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit, urlunsplit

from ..._core.slots import Node
from .compatibility import parse_address
from .hosts import Host, decode_hosts

__all__ = ["ClusterHosts", "check_cluster"]

_SCHEMES = ("redis", "rediss")


class ClusterHosts:
    """Hosts of a cluster: those that are asked first, and whatever others it announces.

    Args:
        cluster: the URL of a node, or a dict for redis-py with its ``address`` or its ``host`` and ``port``; or a
            list of these. What they say besides, such as a password, holds for every node; the first one's counts.
        defaults: of further options for redis-py.
        is_sharded: whether messages go over sharded channels; None finds out whether the servers have them.

    Attributes:
        seeds: addresses of the nodes that are asked first.
        is_sharded: as given, or as found out.
    Raises:
        ValueError: this names no node of a cluster.
    """

    def __init__(self, cluster: Any, defaults: Mapping[str, Any], *, is_sharded: bool | None = None) -> None:
        hosts = _decode(cluster)
        self._options: Host = {**defaults, **hosts[0]}
        self.seeds = [_address(host) for host in hosts]
        self.is_sharded = is_sharded
        self._found: list[Node] = []

    def found(self, nodes: Iterable[Node]) -> None:
        """A node has said which nodes there are."""
        self._found = list(nodes)

    def to_ask(self, first: Iterable[Node]) -> list[Node]:
        """The nodes that may be asked who has what, each once.

        Args:
            first: those to begin with.
        """
        return list(dict.fromkeys([*first, *self._found, *self.seeds]))

    def host(self, node: Node) -> Host:
        """Options for redis-py of one node."""
        options = dict(self._options)
        if "address" in options:
            options["address"] = _replace_host(str(options["address"]), node)
        else:
            options["host"], options["port"] = node
        return options

    @property
    def layer_hosts(self) -> list[Host]:
        """What the layer says its Redis is, for what is no message: the cluster, as one."""
        return [{"cluster": self}]


def check_cluster(config: Mapping[str, Any]) -> None:
    """Check the options of a layer that concern a cluster.

    Raises:
        ValueError: they are wrong; it says what to do.
    """
    if config.get("cluster") is None:
        if config.get("sharded_pubsub") is not None:
            raise ValueError("sharded_pubsub is for a cluster, and hosts are none: leave it out, or name a cluster")
        return
    if config.get("hosts"):
        raise ValueError(
            "a Redis channel layer has either hosts, which share the rooms between them, or a cluster: leave one out"
        )
    if not isinstance(config.get("sharded_pubsub"), (bool, type(None))):
        raise ValueError("sharded_pubsub of a Redis channel layer is True, False or None")
    prefix = str(config.get("prefix", ""))
    if "{" in prefix or "}" in prefix:
        raise ValueError(f"the prefix {prefix!r} has a brace, by which a cluster finds a room's keys: leave it out")
    _decode(config["cluster"])


def _decode(cluster: Any) -> list[Host]:
    hosts = decode_hosts(list(cluster) if isinstance(cluster, (list, tuple)) else [cluster])
    if not cluster:
        raise ValueError("cluster of a Redis channel layer names no node: give it the URL of one")
    for host in hosts:
        _check(host)
    return hosts


def _check(host: Host) -> None:
    if "master_name" in host or "sentinels" in host:
        raise ValueError("a cluster has no Sentinels: name its nodes, or put the master_name into hosts")
    if not isinstance(host.get("address", ""), str):
        raise ValueError(f"cluster of a Redis channel layer is a URL or a list of URLs, not {host['address']!r}")
    url = urlsplit(host.get("address", "redis://"))
    if url.scheme not in _SCHEMES or "path" in host:
        raise ValueError(
            "a node of a cluster has a URL such as redis://10.0.0.1:6379, or rediss:// with TLS, "
            f"not {_without_password(host)!r}"
        )
    try:
        url.port  # noqa: B018 (it raises)
    except ValueError as error:
        raise ValueError(f"no port of a node in {_without_password(host)!r}: {error}") from None
    databases = {url.path.strip("/"), *parse_qs(url.query).get("db", []), str(host.get("db") or "")}
    if databases - {"", "0"}:
        raise ValueError(
            "a cluster has no database but 0: leave the number out of the URL, and keep sites apart by their prefix"
        )


def _without_password(host: Host) -> str:
    address = str(host.get("address", host.get("path", "")))
    url = urlsplit(address)
    return urlunsplit(url._replace(netloc=url.netloc.rpartition("@")[2]))


def _address(host: Host) -> Node:
    if "address" in host:
        host = parse_address(str(host["address"]))
    return Node(str(host.get("host", "localhost")), int(host.get("port", 6379)))


def _replace_host(address: str, node: Node) -> str:
    """The URL of another node, with all that the first one's says besides its address."""
    url = urlsplit(address)
    user, at, _ = url.netloc.rpartition("@")
    return urlunsplit(url._replace(netloc=f"{user}{at}{node}"))
