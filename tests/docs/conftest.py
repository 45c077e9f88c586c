"""Fixtures for following pages."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.docs.blocks import README, section
from tests.docs.reader import Reader
from tests.support.processes import RedisServer


@pytest.fixture
def reader(tmp_path, redis_server: RedisServer):
    with Reader(tmp_path, redis_server.url) as reader:
        yield reader


@pytest.fixture(scope="session")
def quick_start(tmp_path_factory) -> Path:
    """The project of the README's quick start, to be copied."""
    directory = tmp_path_factory.mktemp("quick-start")
    with Reader(directory, serves=False) as reader:
        reader.follow(section(README, "Quick start"))
    return directory


@pytest.fixture
def project(reader, quick_start) -> Reader:
    """A reader who has followed the README's quick start."""
    shutil.copytree(quick_start, reader.directory, dirs_exist_ok=True)
    return reader
