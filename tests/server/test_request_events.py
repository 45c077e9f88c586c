"""Bodies of HTTP requests, as they come and go to the application piece by piece."""

from __future__ import annotations

import hashlib

import pytest

from tests.server.client import MEGABYTE, Connection, chunk, fetch, memory_kb, spools

pytestmark = pytest.mark.server


@pytest.fixture
def server(plain):
    return plain()


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 131_072, 1_000_000])
@pytest.mark.parametrize("form", ["length", "chunked"])
async def test_a_body_of_any_size_comes_whole_and_in_pieces_of_64_kib(server, size, form):
    body = bytes(index % 251 for index in range(size))
    async with Connection(server) as client:
        for _ in range(2):  # on the same connection
            if form == "length":
                await client.head("/upload/", f"Content-Length: {size}")
                await client.write(body)
            else:
                await client.head("/upload/", "Transfer-Encoding: chunked")
                middle = size // 3
                await client.write(chunk(body[:middle]) if middle else b"")
                await client.write((chunk(body[middle:]) if size else b"") + b"0\r\nX-Trailer: 1\r\n\r\n")
            facts = await client.facts()
            assert (facts["bytes"], facts["md5"]) == (size, hashlib.md5(body).hexdigest())
            assert facts["largest"] <= 65_536
            assert facts["pieces"] == max(1, -(-size // 65_536))


async def test_pipelined_requests_with_bodies_are_answered_in_order(server):
    async with Connection(server) as client:
        request = "POST /upload/ HTTP/1.1\r\nHost: x\r\nContent-Length: {0}\r\n\r\n"
        sizes = [5, 0, 70_000, 1, 200_000]
        await client.write(b"".join(request.format(size).encode() + b"x" * size for size in sizes))
        assert [(await client.facts())["bytes"] for _ in sizes] == sizes


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
async def test_a_body_is_fed_whatever_the_method(server, method):
    async with Connection(server) as client:
        await client.head("/upload/", "Content-Length: 70000", method=method)
        await client.write(b"x" * 70_000)
        assert (await client.facts())["bytes"] == 70_000


@pytest.mark.faults
@pytest.mark.parametrize(
    "kind", ["application/octet-stream", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"]
)
async def test_a_large_body_costs_no_memory_whoever_reads_it(serve_plain, kind):
    """Twisted itself would take forms apart, in memory."""
    server = serve_plain()
    total = 64 * MEGABYTE
    await fetch(server, "/spools/")
    before = memory_kb(server)
    for query in ("unread", "read"):
        async with Connection(server) as client:
            await client.head(f"/upload/?{query}", f"Content-Length: {total}", f"Content-Type: {kind}")
            piece = b"a=b&" * (MEGABYTE // 4)
            for _ in range(total // MEGABYTE):
                await client.write(piece)
            if query == "read":
                assert (await client.facts())["bytes"] == total
            else:
                assert b" 413 " in await client.reader.readline()
    assert memory_kb(server) - before < 16 * 1024
    assert await spools(server) == 0
