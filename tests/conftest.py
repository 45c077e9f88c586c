"""Fixtures for all tests."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import Any

import pytest

from django_fastws.routes import registry
from tests import redis_binary
from tests.processes import ASGIServer, RedisServer

#: What must not be skipped: "redis browser" in CI.
REQUIRED = os.environ.get("FASTWS_TESTS_REQUIRE", "").split()
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    missing = {
        "redis": None if redis_binary.find() else "no redis-server: run `python -m tests.redis_binary`",
        "browser": None if CHROMIUM else "no Chromium on the PATH: install it, with Debian `apt install chromium`",
    }
    for item in items:
        for need, reason in missing.items():
            if reason and item.get_closest_marker(need):
                if need in REQUIRED:
                    raise pytest.UsageError(f"{item.nodeid} must not be skipped, but: {reason}")
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session")
def redis_server() -> Iterator[RedisServer]:
    """One Redis for the whole run. A test that stops or breaks its Redis starts its own."""
    with RedisServer() as server:
        yield server


@pytest.fixture
def redis_layer(redis_server: RedisServer, request: pytest.FixtureRequest) -> dict[str, Any]:
    """The configuration of our Redis layer, with a prefix of the test's own."""
    return {
        "BACKEND": "django_fastws.layer.RedisChannelLayer",
        "CONFIG": {"hosts": [redis_server.url], "prefix": f"t{abs(hash(request.node.nodeid))}"},
    }


@pytest.fixture
def serve() -> Iterator[Callable[..., ASGIServer]]:
    """Start ASGI servers that end with the test: ``serve("daphne", layer=...)``."""
    with ExitStack() as stack:
        yield lambda *args, **kwargs: stack.enter_context(ASGIServer(*args, **kwargs))


@pytest.fixture
def routes() -> Iterator[Any]:
    """The registry, empty for this test; afterwards it is as it was."""
    apps, problems = registry.apps, registry.problems
    registry.apps, registry.problems = [], []
    registry.changed()
    try:
        yield registry
    finally:
        registry.apps, registry.problems = apps, problems
        registry.changed()
