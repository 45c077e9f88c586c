"""Several tasks that send on one connection: each is held back, and each returns."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from tests.server.client import MEGABYTE, Connection, RawClient, memory_kb, told
from tests.site.client import LIMIT, token

pytestmark = pytest.mark.server


@contextlib.asynccontextmanager
async def sending(server, kind: str, name: str, tasks: int, megabytes: int, more: str = ""):
    """A client that does not read."""
    path = f"/senders/{name}?tasks={tasks}&megabytes={megabytes}{more}"
    if kind == "http":
        async with Connection(server) as client:
            await client.head(path, method="GET")
            yield client.reader
    else:
        async with RawClient(server, path, receive_buffer=65536) as client:
            yield client.reader


async def take(reader: asyncio.StreamReader, size: int) -> None:
    async with asyncio.timeout(LIMIT):
        while size > 0 and (data := await reader.read(1 << 20)):
            size -= len(data)


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize("tasks", [2, 5])
async def test_every_task_is_held_back_and_returns_when_the_client_reads(plain, kind, tasks):
    server, name = plain(), token()
    before = memory_kb(server)
    async with sending(server, kind, name, tasks, 10) as reader:
        assert await told(server, f"waiting%20{name}") == {"waiting": tasks}
        assert memory_kb(server) - before < (tasks + 12) * 1024
        await take(reader, tasks * 10 * MEGABYTE)
        assert await told(server, name) == {"returned": tasks}


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_one_that_is_cancelled_leaves_the_others_waiting(plain, kind):
    server, name = plain(), token()
    async with sending(server, kind, name, 3, 10, "&cancel") as reader:
        assert await told(server, f"waiting%20{name}") == {"waiting": 3}
        await take(reader, 2 * 10 * MEGABYTE)
        assert await told(server, name) == {"returned": 2}


@pytest.mark.parametrize("kind", ["http", "websocket"])
async def test_all_return_when_the_client_goes(plain, kind):
    server, name = plain(), token()
    async with sending(server, kind, name, 3, 10):
        assert await told(server, f"waiting%20{name}") == {"waiting": 3}
    assert await told(server, name) == {"returned": 3}
