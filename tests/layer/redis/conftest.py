"""Fixtures for the tests of the layer with Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest
from channels.layers import get_channel_layer

from django_fastws.layer.redis.connection import RedisConnection
from tests.layer.redis.groups import Group
from tests.site.client import token
from tests.support.clusters import RedisCluster


@pytest.fixture
def layer(settings: Any, redis_layer: dict[str, Any]) -> dict[str, Any]:
    settings.CHANNEL_LAYERS = {"default": redis_layer}
    return redis_layer


@pytest.fixture
async def group(layer: dict[str, Any]) -> AsyncIterator[Group]:
    made = Group()
    await made.client.subscribe(made.name)
    yield made
    await get_channel_layer().flush()


@pytest.fixture
def own_cluster() -> Iterator[RedisCluster]:
    """A cluster that the test may break."""
    with RedisCluster() as cluster:
        yield cluster


@pytest.fixture(params=["sharded", "plain"])
def on_cluster(request: pytest.FixtureRequest, settings: Any) -> Callable[..., None]:
    """Makes a cluster that of the layer: once with sharded channels, if this Redis has them, and once without."""

    def configure(cluster: RedisCluster, /, **config: Any) -> None:
        is_sharded = request.param == "sharded"
        if is_sharded and not cluster.has_sharded:
            pytest.skip("this Redis has no sharded channels, as Redis has them from 7.0 on")
        config = {"cluster": cluster.url, "prefix": token(), "sharded_pubsub": is_sharded or False, **config}
        settings.CHANNEL_LAYERS = {
            "default": {"BACKEND": "django_fastws.layer.RedisChannelLayer", "CONFIG": config},
        }

    return configure


@pytest.fixture
def writes(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """Everything that is written to Redis, write by write, but the questions whether it is there."""
    seen: list[bytes] = []
    write = RedisConnection.write

    def counted(self: RedisConnection, data: bytes) -> None:
        if b"PING" not in data:
            seen.append(data)
        write(self, data)

    monkeypatch.setattr(RedisConnection, "write", counted)
    return seen
