"""Blocking publisher to a Redis Cluster, from threads that have no event loop."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from ..._core.envelope import EncodedEnvelope, Envelope
from ..._core.forks import reset_in_child
from ..._core.resp import ErrorReply, command, publish_command, spublish_command
from ..._core.sequences import Sender
from ..._core.slots import Node, Redirect, nodes_of, parse_redirect, slot_of
from ...exceptions import WebSocketConnectionError
from ..broker import Published
from ..errors import cluster_down, not_answering
from ..outages import LayerServer, Outage
from .blocking import BlockingPublisher
from .blocking_connection import BlockingConnection
from .cluster_answers import QUESTIONS, decode_answers
from .cluster_hosts import ClusterHosts
from .cluster_layer import group_channel
from .hosts import create_blocking_pool
from .script_loads import announcement

__all__ = ["BlockingCluster", "ClusterBlockingPublisher", "ClusterConnection"]

_ASK_SECONDS = 2.0  # the longest that one node may take to say who has which slot
_ASK_PAUSE_SECONDS = 0.25  # between two rounds of asking
_AGAIN_SECONDS = 0.02  # after which what was to be tried again is
_ASKING = command(b"ASKING")


class BlockingCluster:
    """Which node has which slot, as the threads of a process know it. Any thread may use it.

    Args:
        hosts: how nodes are connected to.
        outage: of the layer.
    """

    def __init__(self, hosts: ClusterHosts, outage: Outage) -> None:
        self.hosts = hosts
        self._outage = outage
        #: The cluster, as long as no node of it is known.
        self.server = outage.server(", ".join(map(str, hosts.seeds)))
        self._servers: dict[Node, LayerServer] = {}
        self._pools: dict[Node, Any] = {}
        self.reset()
        reset_in_child(self)

    def reset(self) -> None:
        """Begin anew in a forked child."""
        self._lock = threading.Lock()
        self._owners: list[Node | None] = []
        self._suspected: set[Node] = set()
        self._pools.clear()
        self._asked_at = 0.0

    @property
    def nodes(self) -> list[Node]:
        """Every node that has a slot, as far as that is known."""
        return nodes_of(self._owners)

    def owner(self, slot: int) -> Node | None:
        """The node that has a slot; None while that is not known."""
        return self._owners[slot] if self._owners else None

    def moved(self, slot: int, node: Node) -> None:
        """A node says that another one has a slot."""
        if self._owners:
            self._owners[slot] = node

    def suspect(self, node: Node) -> None:
        """A node cannot be reached, or does not serve: others may have its slots."""
        self._suspected.add(node)

    def connection(self, node: Node) -> BlockingConnection:
        """A new connection to a node."""
        with self._lock:
            if node not in self._pools:
                self._pools[node] = create_blocking_pool(self.hosts.host(node))
                self._servers[node] = self._outage.server(str(node))
            return BlockingConnection(self._pools[node], self._servers[node])

    @property
    def needs_asking(self) -> bool:
        """Whether it has to be found out who has what."""
        return not self._owners or bool(self._suspected)

    def ask(self, seconds: float) -> Exception | None:
        """Ask one node after another who has which slot, until one says so.

        Args:
            seconds: the longest that this may take.
        Returns:
            What kept them from it; None if it is known now, or others have just asked.
        """
        now = time.monotonic()
        if self._owners and now - self._asked_at < _ASK_PAUSE_SECONDS:
            return None
        self._asked_at = now
        nodes = sorted(self.hosts.to_ask(self.nodes), key=lambda node: node in self._suspected)
        error: Exception | None = None
        for node in nodes:
            remaining = now + seconds - time.monotonic()
            if remaining <= 0:
                break
            connection = self.connection(node)
            replies, problem = connection.try_exchange(
                b"".join(QUESTIONS), min(_ASK_SECONDS, remaining), len(QUESTIONS)
            )
            connection.close()
            try:
                if problem is not None:
                    raise problem
                answers = decode_answers(replies, node)
            except Exception as reason:
                error = error or reason
                continue
            if self.hosts.is_sharded is None:
                self.hosts.is_sharded = answers.has_sharded
            self._learn(answers.owners)
            return None
        return error or not_answering(self.server.name)

    def _learn(self, found: list[Node | None]) -> None:
        before = nodes_of(self._owners)
        self._owners = [new or old for new, old in zip(found, self._owners or found, strict=True)]
        self._suspected.clear()
        self.hosts.found(self.nodes)
        self.server.report_restored(None)
        for node in set(before) - set(self.nodes):
            with self._lock:
                server = self._servers.get(node)
            if server is not None:
                server.give_up(None)  # it is no node any more


class ClusterConnection:
    """Connections of one thread to the nodes of a cluster, which goes where the slot is that it was turned to.

    It stands for a ``BlockingConnection``, and is used by one thread at a time.
    """

    def __init__(self, cluster: BlockingCluster) -> None:
        self._cluster = cluster
        self.sender = Sender()
        self.was_open = False
        self._slot = 0
        self._connections: dict[Node, BlockingConnection] = {}
        self._current: BlockingConnection | None = None

    def turn_to(self, slot: int) -> None:
        """Everything that follows is for this slot."""
        self._slot = slot
        node = self._cluster.owner(slot)
        self._current = None if node is None else self._to(node)

    def _to(self, node: Node) -> BlockingConnection:
        found = self._connections.get(node)
        if found is None:
            found = self._connections[node] = self._cluster.connection(node)
        return found

    @property
    def server(self) -> LayerServer:
        """The node that it is turned to; the cluster, while that is not known."""
        return self._cluster.server if self._current is None else self._current.server

    @property
    def durable(self) -> bytes:
        """As of a ``RedisShard``."""
        return b"" if self._current is None else self._current.durable

    @durable.setter
    def durable(self, durable: bytes) -> None:
        if self._current is not None:
            self._current.durable = durable

    @property
    def asked_at(self) -> float:
        """When the node was asked for that."""
        return 0.0 if self._current is None else self._current.asked_at

    @asked_at.setter
    def asked_at(self, asked_at: float) -> None:
        if self._current is not None:
            self._current.asked_at = asked_at

    @property
    def is_open(self) -> bool:
        """Whether there is a connection that is worth keeping."""
        return any(connection.is_open for connection in self._connections.values())

    def try_exchange(self, data: bytes, seconds: float, count: int = 0) -> tuple[Any, Exception | None]:
        """Send a command to the node that has the slot: its reply, or the error; as of a ``BlockingConnection``."""
        ends = time.monotonic() + seconds
        self.was_open = False
        while True:
            if self._cluster.needs_asking and (error := self._cluster.ask(ends - time.monotonic())) is not None:
                return None, error
            node = self._cluster.owner(self._slot)
            if node is None:
                return None, cluster_down(self._cluster.server.name, f"nobody has slot {self._slot}")
            self._current = connection = self._to(node)
            reply, error = connection.try_exchange(data, ends - time.monotonic(), count)
            self.was_open = connection.was_open
            if error is not None:
                self._cluster.suspect(node)
                return None, error
            redirect = parse_redirect(reply.text) if type(reply) is ErrorReply else None
            if redirect is None:
                return reply, None
            if redirect.kind == "CLUSTERDOWN":
                return None, cluster_down(str(node), reply.text)
            if redirect.kind == "ASK" and redirect.node is not None:
                reply, error = self._ask_other(data, redirect.node, node, ends)
                if error is not None or type(reply) is not ErrorReply or parse_redirect(reply.text) is None:
                    return reply, error
            if time.monotonic() >= ends:
                return None, not_answering(str(node))
            self._follow(redirect, node)

    def _ask_other(self, data: bytes, node: Node, asked: Node, ends: float) -> tuple[Any, Exception | None]:
        """Send a command to a node that gets the slot just now."""
        other = self._to(node.as_told_by(asked))
        replies, error = other.try_exchange(_ASKING + data, ends - time.monotonic(), 2)
        if replies is None:
            return None, error
        if (published := announcement(data, replies[1])) is not None:
            self._to(asked).try_exchange(published, ends - time.monotonic())  # nobody is subscribed there yet
        return replies[1], None

    def _follow(self, redirect: Redirect, asked: Node) -> None:
        if redirect.kind == "MOVED" and redirect.node is not None:
            node = redirect.node.as_told_by(asked)
            is_known = self._cluster.owner(self._slot) == node
            self._cluster.moved(self._slot, node)
            if not is_known:
                return
        time.sleep(_AGAIN_SECONDS)

    def close(self) -> None:
        """Close all of them. They may be opened again."""
        for connection in self._connections.values():
            connection.close()


class ClusterBlockingPublisher(BlockingPublisher):
    """Blocking publisher of a process to a cluster, and its connections.

    Args:
        cluster: how nodes are connected to.
        prefix, outage: as of a ``BlockingPublisher``.
    """

    def __init__(self, cluster: ClusterHosts, prefix: str, outage: Outage) -> None:
        self._cluster = BlockingCluster(cluster, outage)
        super().__init__([], prefix, outage)

    def reset(self) -> None:
        super().reset()
        self._of_cluster: list[ClusterConnection] = []

    def _publish_command(self, channel: bytes, data: bytes) -> bytes:
        return (spublish_command if self._cluster.hosts.is_sharded else publish_command)(channel, data)

    def close(self) -> None:
        while self._of_cluster:
            self._of_cluster.pop().close()

    def publish_all(
        self, envelopes: Sequence[Envelope], serialize: Callable[[EncodedEnvelope], bytes]
    ) -> list[Published] | None:
        return None  # each of them may be sent elsewhere by the node that had its slot

    def ready(self, ends: float | None = None) -> None:
        if self._cluster.hosts.is_sharded is None:
            with self._connection_of("") as connection:
                self._execute(connection, command(b"PING"), ends)

    def channel_of(self, group: str) -> str:
        return group_channel(self._prefix, group, is_sharded=bool(self._cluster.hosts.is_sharded))

    def exchange(self, commands: Sequence[tuple[str, bytes]]) -> list[Any]:
        replies: list[Any] = []
        for name, data in commands:
            try:
                with self._connection_of(name) as connection:
                    replies.append(self._execute(connection, data))
            except WebSocketConnectionError as error:
                replies.append(error)
        return replies

    @contextlib.contextmanager
    def _connection_of(self, name: str) -> Iterator[Any]:
        connection: Any  # it stands for a BlockingConnection
        try:
            connection = self._of_cluster.pop()
        except IndexError:
            connection = ClusterConnection(self._cluster)
        connection.turn_to(slot_of(name.encode()))
        try:
            yield connection
        finally:
            if connection.is_open and len(self._of_cluster) < self._MOST_IDLE:
                self._of_cluster.append(connection)
            else:
                connection.close()
