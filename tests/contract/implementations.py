"""Every implementation of the broker, with the servers behind it, for the suite of what a broker owes to its users.

A further one is a class here, and its line in ``IMPLEMENTATIONS``: what it can decides which tests it gets.
"""

from __future__ import annotations

import contextlib
import signal
import time
from pathlib import Path
from typing import Any, ClassVar

import redis

from django_fastws.layer import Broker
from django_fastws.layer.channels import ChannelsBroker, ChannelsRedisBroker
from django_fastws.layer.local import LocalBroker
from django_fastws.layer.redis import RedisBroker
from tests.conftest import layer_config
from tests.site.client import LIMIT
from tests.support import redis_binary
from tests.support.clusters import RedisCluster
from tests.support.processes import HOST, Process, RedisServer, free_port
from tests.support.proxy import Proxy

__all__ = ["IMPLEMENTATIONS", "Implementation", "Sentinel"]


class Implementation:
    """A broker, by the channel layer that chooses it, and the servers of that layer; use it in a ``with`` block."""

    #: What it can; a test names what it needs (``pytest.mark.broker``).
    has_history: ClassVar[bool] = False
    has_presence: ClassVar[bool] = False
    #: Whether calls that overlap in one loop have the order in which they were made.
    keeps_order: ClassVar[bool] = True
    #: Whether it serves any number of loops and threads at once, as fast as they publish.
    serves_loops: ClassVar[bool] = True
    #: Whether there is something that may be away, and that other processes reach.
    has_outages: ClassVar[bool] = False
    #: Whether subscribers are told when something may have been missed.
    tells: ClassVar[bool] = True
    #: Whether it holds what is published while that is away, and sends again what was not answered.
    holds: ClassVar[bool] = False
    #: Whether it is another one with other options, for tests which these may concern.
    is_variant: ClassVar[bool] = False
    #: What has to be installed: markers of pytest.
    needs: ClassVar[tuple[str, ...]] = ()
    broker: ClassVar[type[Broker]]

    def __init__(self) -> None:
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Any:
        try:
            self.start()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(self, *exc_info: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the servers."""

    def stop(self) -> None:
        """End them."""
        self._stack.close()

    def layers(self, prefix: str) -> dict[str, Any]:
        """The setting CHANNEL_LAYERS.

        Args:
            prefix: of all names and keys, where several tests share the servers.
        """
        raise NotImplementedError

    # With has_outages

    def cut(self) -> None:
        """Take everything away, so that it is lost as in a crash, until ``bring_back()``."""
        raise NotImplementedError

    def bring_back(self) -> None:
        """Bring it back as it comes back after a crash, with whatever it has then; return when it answers."""
        raise NotImplementedError

    def mute(self) -> None:
        """Carry out what is asked from now on, and swallow the answers."""
        raise NotImplementedError

    def unmute(self) -> None:
        """Answer again; every connection is lost, with the answers."""
        raise NotImplementedError

    def wait_for_copies(self) -> None:
        """Return when whatever takes over has all that is stored."""

    def endanger(self) -> None:
        """Have whatever is stored from now on be lost at the next ``cut()``, where that can be."""


class Here(Implementation):
    has_history = has_presence = True
    broker = LocalBroker

    def layers(self, prefix: str) -> dict[str, Any]:
        return {}


class InMemory(Here):
    is_variant = True

    def layers(self, prefix: str) -> dict[str, Any]:
        return {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}


class AnyLayer(Implementation):
    """A layer in memory, which has a queue for each channel: of one loop, and of a hundred messages."""

    serves_loops = False
    broker = ChannelsBroker

    def layers(self, prefix: str) -> dict[str, Any]:
        return {"default": {"BACKEND": "tests.layer.test_broker.Watched"}}


class OneRedis(Implementation):
    """One Redis that forgets everything when it is killed."""

    has_history = has_presence = has_outages = holds = True
    needs = ("redis",)
    broker = RedisBroker
    count: ClassVar[int] = 1
    #: Options of the layer, and of its hosts.
    options: ClassVar[dict[str, Any]] = {}
    of_hosts: ClassVar[dict[str, Any]] = {}

    def start(self) -> None:
        self.servers = [self._stack.enter_context(RedisServer()) for _ in range(self.count)]
        self.proxies = [self._stack.enter_context(Proxy(server.port)) for server in self.servers]

    def hosts(self) -> list[Any]:
        """Those of the layer."""
        return [{"address": proxy.url, **self.of_hosts} for proxy in self.proxies]

    def layers(self, prefix: str) -> dict[str, Any]:
        config = {"hosts": self.hosts(), "prefix": prefix, **self.options}
        return {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}

    def cut(self) -> None:
        for server in self.servers:
            server.stop(signal.SIGKILL)

    def bring_back(self) -> None:
        for server in self.servers:
            server.start()

    def mute(self) -> None:
        for proxy in self.proxies:
            proxy.is_mute = True

    def unmute(self) -> None:
        for proxy in self.proxies:
            proxy.cut_once()
            proxy.restore()


class SeveralHosts(OneRedis):
    count = 3


class Durable(OneRedis):
    """One Redis that keeps whatever it has confirmed."""

    is_variant = True

    def start(self) -> None:
        self.servers = [self._stack.enter_context(RedisServer("--appendonly", "yes", "--appendfsync", "always"))]
        self.proxies = [self._stack.enter_context(Proxy(self.servers[0].port))]


class Resp3(OneRedis):
    is_variant = True
    of_hosts: ClassVar[dict[str, Any]] = {"protocol": 3}


class Encrypted(OneRedis):
    is_variant = True
    options: ClassVar[dict[str, Any]] = {"symmetric_encryption_keys": ["one", "another"]}


class AsJSON(OneRedis):
    is_variant = True
    options: ClassVar[dict[str, Any]] = {"serializer_format": "json"}


class UnixSocket(OneRedis):
    is_variant, has_outages = True, False

    def start(self) -> None:
        server = RedisServer()
        self._path = Path(server.directory.name) / "socket"
        server.command += ["--unixsocket", str(self._path)]
        self._stack.enter_context(server)

    def hosts(self) -> list[Any]:
        return [f"unix://{self._path}"]


class Sentinel(Process):
    """Watches a Redis that is called "main".

    Args:
        port: of the Redis.
        milliseconds: of silence, after which it is taken as down.
    """

    def __init__(self, port: int, milliseconds: int) -> None:
        super().__init__([str(redis_binary.find()), "", "--sentinel"], free_port())
        settings = Path(self.directory.name) / "sentinel.conf"
        settings.write_text(
            f"port {self.port}\nbind {HOST}\ndir {self.directory.name}\n"
            f"sentinel monitor main {HOST} {port} 1\n"
            f"sentinel down-after-milliseconds main {milliseconds}\nsentinel failover-timeout main 10000\n"
        )
        self.command[1] = str(settings)

    @property
    def host(self) -> dict[str, Any]:
        """A host of a layer."""
        return {"sentinels": [(HOST, self.port)], "master_name": "main"}

    def client(self) -> contextlib.closing[Any]:
        return contextlib.closing(redis.Redis(HOST, self.port, decode_responses=True))

    def wait_for_replica(self) -> None:
        """Return when it knows one that has all of the master's data."""
        with self.client() as client:
            wait_until(lambda: [one["master-link-status"] for one in client.sentinel_slaves("main")] == ["ok"])

    def fail_over(self, port: int) -> None:
        """Have the replica take over; return when its port is the master's."""
        with self.client() as client:

            def begins() -> bool:
                with contextlib.suppress(redis.ResponseError):  # it does not know enough of the replica yet
                    client.execute_command("SENTINEL", "FAILOVER", "main")
                    return True
                return False

            wait_until(begins)
            wait_until(lambda: client.sentinel_get_master_addr_by_name("main") == (HOST, port))


class OverSentinel(OneRedis):
    """A master and its replica, which takes over at the first outage; there is no second one."""

    count = 2

    def start(self) -> None:
        master = self._stack.enter_context(RedisServer())
        in_front = self._stack.enter_context(Proxy(master.port))
        replica = RedisServer("--replicaof", HOST, str(in_front.port))
        in_front_too = self._stack.enter_context(Proxy(replica.port))
        replica.command += ["--replica-announce-port", str(in_front_too.port)]
        self._stack.enter_context(replica)
        self.servers, self.proxies = [master, replica], [in_front, in_front_too]
        self.sentinel = self._stack.enter_context(Sentinel(in_front.port, 60_000))
        self.sentinel.wait_for_replica()

    def hosts(self) -> list[Any]:
        return [self.sentinel.host]

    def cut(self) -> None:
        self.servers[0].stop(signal.SIGKILL)

    def bring_back(self) -> None:
        self.sentinel.fail_over(self.proxies[1].port)

    def mute(self) -> None:
        self.proxies[0].is_mute = True

    def unmute(self) -> None:
        self.proxies[0].cut_once()
        self.proxies[0].restore()

    def wait_for_copies(self) -> None:
        with contextlib.closing(redis.Redis(HOST, self.servers[0].port)) as client:
            assert client.wait(1, 1000 * LIMIT) == 1

    def endanger(self) -> None:
        with contextlib.closing(redis.Redis(HOST, self.servers[1].port)) as client:
            client.execute_command("REPLICAOF", HOST, 1)


class Cluster(OneRedis):
    """Three nodes of a cluster, which have lost everything when they come back."""

    def start(self) -> None:
        self.cluster = self._stack.enter_context(RedisCluster(proxies=True))
        self.servers = list(self.cluster.nodes)
        self.proxies = [node.proxy for node in self.cluster.nodes if node.proxy is not None]

    def layers(self, prefix: str) -> dict[str, Any]:
        config = {"cluster": [proxy.url for proxy in self.proxies], "prefix": prefix, **self.options}
        return {"default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config}}

    def bring_back(self) -> None:
        super().bring_back()
        self.cluster.wait_until_ok()


class PlainCluster(Cluster):
    """The same with channels that every node hears, as Redis before 7.0 has no others."""

    is_variant = True
    options: ClassVar[dict[str, Any]] = {"sharded_pubsub": False}


class PubSub(OneRedis):
    """That of channels-redis over Redis' publish and subscribe, which does not tell of a lost connection."""

    has_history = has_presence = holds = tells = False
    broker = ChannelsRedisBroker
    name: ClassVar[str] = "pubsub"

    def layers(self, prefix: str) -> dict[str, Any]:
        layer = layer_config(self.name, self.servers[0], prefix)
        for host in layer["CONFIG"]["hosts"]:
            if isinstance(host, dict):
                host["address"] = self.proxies[0].url
        if self.name == "pubsub":
            layer["CONFIG"]["hosts"] = [self.proxies[0].url]
        return {"default": layer}


class Core(PubSub):
    """That of channels-redis over lists and sorted sets, which one loop alone may receive from."""

    keeps_order = serves_loops = False
    tells = True
    name = "core"


def wait_until(is_so: Any) -> None:
    """Wait, in this thread, until something is so."""
    ends = time.monotonic() + LIMIT
    while not is_so():
        if time.monotonic() > ends:
            raise TimeoutError(f"it was not so within {LIMIT} seconds")
        time.sleep(0.01)


IMPLEMENTATIONS: dict[str, type[Implementation]] = {
    "here": Here,
    "in memory": InMemory,
    "any layer": AnyLayer,
    "redis": OneRedis,
    "durable": Durable,
    "RESP 3": Resp3,
    "encrypted": Encrypted,
    "as JSON": AsJSON,
    "Unix socket": UnixSocket,
    "several hosts": SeveralHosts,
    "sentinel": OverSentinel,
    "cluster": Cluster,
    "cluster, not sharded": PlainCluster,
    "pubsub": PubSub,
    "core": Core,
}
