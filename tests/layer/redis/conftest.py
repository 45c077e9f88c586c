"""Fixtures for the tests of the layer with Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest
from channels.layers import get_channel_layer

from django_fastws.layer.redis.connection import RedisConnection
from tests.layer.redis.groups import Group


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
