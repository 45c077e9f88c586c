"""Fixtures for the tests of channel layers."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from django_fastws.layer.redis.reconnecting import ReconnectingConnection
from tests.layer.inside import Inside
from tests.support.processes import RedisServer


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """A silent Redis is noticed within a quarter of a second."""
    monkeypatch.setattr(ReconnectingConnection, "_HEARTBEAT_SECONDS", 0.05)


@pytest.fixture
async def inside(settings: Any, own_redis: RedisServer) -> AsyncIterator[Inside]:
    made = Inside(settings, own_redis.url)
    yield made
    await made.close()
