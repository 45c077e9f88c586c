"""Presence stores of every kind of layer, whose leases the tests let run out without waiting."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from typing import Any

import pytest
import redis
from channels.layers import get_channel_layer

from django_fastws._core.envelope import CONTROL, Envelope
from django_fastws._core.groups import group_name
from django_fastws.layer import Broker, get_broker
from django_fastws.layer.local import LocalBroker
from django_fastws.layer.memory_presence import MemoryPresence
from django_fastws.layer.presence_store import PresenceStore
from tests.conftest import layer_config
from tests.site.client import token

__all__ = ["WORLDS", "World", "make_world", "put_back"]


class World(ABC):
    """A broker with a presence store, and a way to let time pass."""

    broker: Broker

    @property
    def store(self) -> PresenceStore:
        found = self.broker.presence
        assert found is not None
        return found

    @abstractmethod
    async def advance(self, seconds: float) -> None:
        """Let so many seconds pass, for all that the store has."""

    @abstractmethod
    def now(self) -> float:
        """Seconds since the epoch, with those that were let pass."""

    def shifted(self) -> float:
        """By how much the store has a time earlier that was noted before: its clock cannot be set."""
        return 0.0

    async def close(self) -> None:  # noqa: B027 (a store in memory has nothing open)
        """Close what the test has opened."""


class MemoryWorld(World):
    """The broker of this process, with a clock of its own that stands still."""

    def __init__(self) -> None:
        self._seconds = time.time()
        self.broker = LocalBroker()
        self.broker._presence = MemoryPresence(
            lambda room, diff: self.broker._deliver(Envelope(CONTROL, group_name(room), presence=diff)), self.now
        )

    async def advance(self, seconds: float) -> None:
        self._seconds += seconds

    def now(self) -> float:
        return self._seconds


class RedisWorld(World):
    """A broker of a Redis layer. Time passes in that all times which are noted there are put back."""

    def __init__(self, settings: Any, config: dict[str, Any], servers: list[str]) -> None:
        settings.CHANNEL_LAYERS = {"default": config}
        self.broker = get_broker()
        self._clients = [redis.Redis.from_url(url) for url in servers]
        self._shifted = 0.0

    async def advance(self, seconds: float) -> None:
        self._shifted += seconds
        for client in self._clients:
            put_back(client, self.broker.redis_prefix, seconds)

    def now(self) -> float:
        return time.time() + self._shifted

    def shifted(self) -> float:
        return self._shifted

    async def close(self) -> None:
        for client in self._clients:
            client.close()
        await get_channel_layer().flush()


def put_back(client: Any, prefix: str, seconds: float) -> None:
    """Put the times back that presence has noted of leases and users: as if so many seconds had passed since."""
    milliseconds = round(seconds * 1000)
    for key in client.keys(f"{prefix}:presence:*"):
        part = key.split(b":", 2)[2]
        if part == b"{leases}" or part.startswith(b"user:"):
            for name, value in client.hgetall(key).items():
                if name != b"lease":
                    client.hset(key, name, _earlier(value, milliseconds))


def _earlier(value: bytes, milliseconds: int) -> bytes:
    """What a hash has of times: one or two, and what else is there."""
    words = value.split(b" ")
    for index, word in enumerate(words[:2]):
        words[index] = b"%d" % (int(word) - milliseconds)
    return b" ".join(words)


KINDS: dict[str, dict[str, Any]] = {
    "redis": {},
    "RESP 3": {"protocol": 3},
    "encrypted": {"symmetric_encryption_keys": ["one", "another"]},
    "as JSON": {"serializer_format": "json"},
    "three hosts": {"databases": 3},
    "cluster": {},
    "cluster, not sharded": {"sharded_pubsub": False},
}
WORLDS: list[Any] = ["here", *(pytest.param(name, marks=pytest.mark.redis) for name in KINDS)]


def make_world(request: pytest.FixtureRequest, settings: Any) -> World:
    """The world of one test, by the parameter of its fixture."""
    if request.param == "here":
        return MemoryWorld()
    config = layer_config("ours", request.getfixturevalue("redis_server"), token())
    if request.param.startswith("cluster"):
        cluster = request.getfixturevalue("redis_cluster")
        of_cluster = {"cluster": cluster.url, "prefix": config["CONFIG"]["prefix"], **KINDS[request.param]}
        return RedisWorld(settings, {**config, "CONFIG": of_cluster}, [node.url for node in cluster.nodes])
    options, url = dict(KINDS[request.param]), config["CONFIG"]["hosts"][0]
    hosts: list[Any] = [f"{url}/{number}" for number in range(options.pop("databases", 1))]
    if "protocol" in options:
        hosts = [f"{url}/0?protocol={options.pop('protocol')}"]
    return RedisWorld(settings, {**config, "CONFIG": {**config["CONFIG"], "hosts": hosts, **options}}, hosts)
