"""A Redis Cluster of several processes: made, resharded, broken and mended by tests."""

from __future__ import annotations

import contextlib
import functools
import signal
import socket
import time
from collections.abc import Callable
from typing import Any

import redis

from django_fastws._core.slots import SLOTS, slot_of
from tests.support.processes import HOST, START_SECONDS, RedisServer
from tests.support.proxy import Proxy

__all__ = ["RedisCluster"]

_BUS = 10_000  # the port of a node's own messages is that much higher


class _Node(RedisServer):
    def __init__(self, *more: str) -> None:
        super().__init__(
            "--cluster-enabled",
            "yes",
            "--cluster-node-timeout",
            "1000",
            "--cluster-require-full-coverage",
            "no",
            *more,
        )
        #: What clients are sent through, if there is something.
        self.proxy: Proxy | None = None

    @property
    def announced_url(self) -> str:
        return self.url if self.proxy is None else self.proxy.url

    def has_bus(self) -> bool:
        with contextlib.suppress(OSError), socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind((HOST, self.port + _BUS))
            return True
        return False

    def ask(self, *parts: Any) -> Any:
        """Execute a command at this node, as it is; the reply is not decoded."""
        with redis.Redis(host=HOST, port=self.port, socket_timeout=10, protocol=2) as client:
            client.response_callbacks.clear()
            return client.execute_command(*parts)

    @functools.cached_property
    def name(self) -> bytes:
        """By which the others know it, also when it has restarted."""
        return bytes(self.ask("CLUSTER", "MYID"))


class RedisCluster:
    """A cluster of three masters, which have a third of the slots each; use it in a ``with`` block.

    Args:
        replicas: how many further nodes there are, each a replica of one of the first masters.
        more: options of their command lines.
        proxies: whether clients are sent through a proxy to each node.
    """

    def __init__(self, *more: str, replicas: int = 0, proxies: bool = False) -> None:
        self._more = more
        self._proxies = proxies
        self._masters = 3
        self._count = self._masters + replicas
        self.nodes: list[_Node] = []

    @property
    def url(self) -> str:
        return self.nodes[0].announced_url

    @property
    def has_sharded(self) -> bool:
        """Whether this Redis has sharded channels."""
        return bool(self.nodes[0].ask("COMMAND", "INFO", "SPUBLISH")[0])

    def __enter__(self) -> RedisCluster:
        with contextlib.ExitStack() as stack:
            while len(self.nodes) < self._count:
                node = _Node(*self._more)
                if not node.has_bus():
                    node.directory.cleanup()
                    continue
                if self._proxies:
                    node.proxy = stack.enter_context(Proxy(node.port))
                    node.command += ["--cluster-announce-port", str(node.proxy.port)]
                self.nodes.append(stack.enter_context(node))
            self._make()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        for node in self.nodes:
            node.send_signal(signal.SIGKILL)
        self._stack.close()

    def _make(self) -> None:
        for number, node in enumerate(self.nodes):
            node.ask("CLUSTER", "SET-CONFIG-EPOCH", number + 1)
            if number < self._masters:
                first, last = (SLOTS * part // self._masters for part in (number, number + 1))
                node.ask("CLUSTER", "ADDSLOTS", *range(first, last))
        for node in self.nodes[1:]:
            node.ask("CLUSTER", "MEET", HOST, self.nodes[0].port)
        self.wait(lambda node: len(self.known_to(node)) == self._count, "the nodes to know each other")
        for number, node in enumerate(self.nodes[self._masters :]):
            node.ask("CLUSTER", "REPLICATE", self.nodes[number].name)
        self.wait_until_ok()

    def known_to(self, node: _Node) -> list[bytes]:
        """The lines of CLUSTER NODES, of nodes with an address."""
        return [line for line in node.ask("CLUSTER", "NODES").splitlines() if b"handshake" not in line]

    def wait(self, condition: Callable[[_Node], object], what: str) -> None:
        """Wait until a condition holds for each node that runs."""
        deadline = time.monotonic() + START_SECONDS
        for node in self.nodes:
            while node.process is not None and node.process.poll() is None:
                with contextlib.suppress(redis.RedisError):
                    if condition(node):
                        break
                assert time.monotonic() < deadline, f"waited for {what}"
                time.sleep(0.02)

    def wait_until_ok(self) -> None:
        """Wait until each node that runs says that the cluster is well, and replicas have what they are to have."""
        self.wait(lambda node: b"cluster_state:ok" in node.ask("CLUSTER", "INFO"), "cluster_state:ok")
        self.wait(lambda node: len(node.ask("CLUSTER", "SLOTS")) >= self._masters, "the slots to be known")
        self.wait(lambda node: b"master_link_status:down" not in node.ask("INFO", "replication"), "the replicas")

    def owner(self, key: str) -> _Node:
        """The node that has a key, or a channel."""
        return self.owner_of_slot(slot_of(key.encode()))

    def owner_of_slot(self, slot: int) -> _Node:
        """The node that has a slot, as the first that runs says."""
        asked = next(node for node in self.nodes if node.process is not None and node.process.poll() is None)
        for first, last, (_, _, name, *_), *_ in asked.ask("CLUSTER", "SLOTS"):
            if first <= slot <= last:
                return next(node for node in self.nodes if node.name == name)
        raise AssertionError(f"nobody has slot {slot}")

    def others(self, node: _Node) -> list[_Node]:
        return [other for other in self.nodes[: self._masters] if other is not node]

    # Moving a slot, in the steps that redis-cli takes

    def begin_move(self, slot: int, source: _Node, target: _Node) -> None:
        target.ask("CLUSTER", "SETSLOT", slot, "IMPORTING", source.name)
        source.ask("CLUSTER", "SETSLOT", slot, "MIGRATING", target.name)

    def keys(self, slot: int, node: _Node) -> list[bytes]:
        return list(node.ask("CLUSTER", "GETKEYSINSLOT", slot, 1000))

    def move_keys(self, keys: list[bytes], source: _Node, target: _Node) -> None:
        if keys:
            source.ask("MIGRATE", HOST, target.port, "", 0, 5000, "KEYS", *keys)

    def end_move(self, slot: int, source: _Node, target: _Node) -> None:
        owner = target.name
        for node in (target, source, *self.others(source)):
            with contextlib.suppress(redis.ConnectionError):  # of a node that is away
                node.ask("CLUSTER", "SETSLOT", slot, "NODE", owner)

    def move(self, slot: int, source: _Node, target: _Node) -> None:
        """Move a slot with its keys, while it is used."""
        self.begin_move(slot, source, target)
        while keys := self.keys(slot, source):
            self.move_keys(keys, source, target)
        self.end_move(slot, source, target)

    def give_empty_slots(self, source: _Node, target: _Node) -> None:
        """Let a node have every slot of another one, in which there are no keys."""
        slots = []
        for first, last, (_, _, name, *_), *_ in source.ask("CLUSTER", "SLOTS"):
            if name == source.name:
                slots += range(first, last + 1)
        for node in (target, source, *self.others(source)):
            with redis.Redis(host=HOST, port=node.port) as client, client.pipeline(transaction=False) as pipeline:
                for slot in slots:
                    pipeline.execute_command("CLUSTER", "SETSLOT", slot, "NODE", target.name)
                pipeline.execute(raise_on_error=node is target)  # the source may have become its replica by now
