"""Fixtures for the tests of users."""

import pytest
from django.core.cache import cache

ENGINES = [f"django.contrib.sessions.backends.{name}" for name in ("db", "cached_db", "cache", "file")]


@pytest.fixture(params=ENGINES, ids=lambda name: name.rpartition(".")[2])
def engine(request, settings, tmp_path):
    """Where sessions are stored; each of them, unless a test names its own."""
    settings.SESSION_ENGINE = request.param
    settings.SESSION_FILE_PATH = str(tmp_path)
    cache.clear()
    yield request.param
    cache.clear()
