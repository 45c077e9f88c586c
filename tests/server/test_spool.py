"""All bodies together: what they may take, and when it is free again."""

from __future__ import annotations

import contextlib

import pytest

from tests.server.client import LIMITED, Connection, fetch, spools, told
from tests.site.client import token, until

pytestmark = pytest.mark.server


@pytest.fixture
def server(plain):
    return plain()


async def test_unfinished_uploads_do_not_fill_the_disk_and_free_it_when_they_end(limited):
    async def fills() -> None:
        async with Connection(limited) as late:
            await late.head("/upload/", f"Content-Length: {LIMITED}")
            await late.write(b"x" * LIMITED)
            status, body = await late.answer()
            assert (status, body) == (503, b"Service Unavailable: there is no room for the body")
            assert await late.is_closed()

    async def is_full() -> bool:
        with contextlib.suppress(AssertionError, ConnectionError):
            await fills()
            return True
        return False

    async def is_filled_by_three() -> bool:
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(3):
                client = await stack.enter_async_context(Connection(limited))
                await client.head("/upload/", f"Content-Length: {LIMITED}")
                await client.write(b"x" * (LIMITED - 1))
            try:
                await until(is_full, limit=3)  # what comes later may be read sooner
            except AssertionError:  # on a slow machine, the three may have been too slow for the server
                return False
            async with Connection(limited) as small:
                await small.head("/upload/", "Content-Length: 0")
                assert (await small.facts())["bytes"] == 0
            return True

    await until(is_filled_by_three, limit=90)

    async def is_taken() -> bool:
        async with Connection(limited) as client:
            await client.head("/upload/", f"Content-Length: {LIMITED}")
            await client.write(b"x" * LIMITED)
            return (await client.answer())[0] == 200

    await until(is_taken)
    assert await spools(limited) == 0


async def test_a_disconnect_frees_the_spool_at_once_and_is_told(server):
    name = token()
    async with Connection(server) as client:
        await client.head(f"/upload/{name}?hold", "Content-Length: 1000000")
        await client.write(b"x" * 1_000_000)
        await told(server, name)
        assert await spools(server) == 1

    async def is_free() -> bool:
        return await spools(server) == 0

    await until(is_free)
    await fetch(server, f"/go/{name}")
    assert await told(server, f"gone%20{name}") == {"type": "http.disconnect"}
