"""Bodies of HTTP requests: fed in pieces, bounded each and together, and the client learns of it."""

from __future__ import annotations

import contextlib
import hashlib

import pytest

from tests.server.client import Connection, fetch, memory_kb, told
from tests.site.client import token, until
from tests.support.processes import ASGIServer

pytestmark = pytest.mark.server

MEGABYTE = 1024 * 1024
LIMITED = 100_000


@pytest.fixture
def server(plain):
    return plain()


@pytest.fixture(scope="module")
def limited():
    """A server that takes bodies of 100,000 bytes, and 300,000 bytes of all bodies together."""
    settings = {"FASTWS_MAX_BODY_BYTES": LIMITED, "FASTWS_MAX_SPOOL_BYTES": 3 * LIMITED}
    with ASGIServer("runws_server", app="tests.server.plain:application", settings=settings) as server:
        yield server


def chunk(data: bytes, extension: bytes = b"") -> bytes:
    return b"%x%s\r\n%s\r\n" % (len(data), extension, data)


async def spools(server: ASGIServer) -> int:
    return (await fetch(server, "/spools/")).json()["files"]


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


# One body


@pytest.mark.parametrize("expects", [False, True])
@pytest.mark.parametrize("version", ["HTTP/1.0", "HTTP/1.1"])
async def test_a_body_that_is_declared_too_large_is_refused_before_it_is_read(limited, expects, version):
    async with Connection(limited) as client:
        expect = ["Expect: 100-continue"] if expects else []
        await client.head("/upload/", f"Content-Length: {LIMITED + 1}", *expect, version=version)
        status, body = await client.answer()
        assert (status, body) == (413, b"Content Too Large: the body is over 100000 bytes")
        assert await client.is_closed()


async def test_a_client_that_sends_on_gets_the_answer_all_the_same(limited):
    """A reset would take it away."""
    async with Connection(limited) as client:
        await client.head("/upload/", f"Content-Length: {20 * MEGABYTE}")
        for _ in range(20):
            await client.write(b"x" * MEGABYTE)
        assert (await client.answer())[0] == 413
        assert await client.is_closed()


async def test_chunks_are_refused_when_they_pass_the_limit(limited):
    async with Connection(limited) as client:
        await client.head("/upload/", "Transfer-Encoding: chunked")
        await client.write(chunk(b"x" * LIMITED))
        await client.write(chunk(b"x"))
        assert (await client.answer())[0] == 413
        await client.write(chunk(b"x" * 1000) + b"0\r\n\r\nGET /scope/ HTTP/1.1\r\n\r\n")
        assert await client.is_closed()  # and what stands behind the body is no request


async def test_a_body_of_just_the_limit_is_taken(limited):
    async with Connection(limited) as client:
        for lines, body in (
            (f"Content-Length: {LIMITED}", b"x" * LIMITED),
            ("Transfer-Encoding: chunked", chunk(b"x" * LIMITED) + b"0\r\n\r\n"),
        ):
            await client.head("/upload/", lines)
            await client.write(body)
            assert (await client.facts())["bytes"] == LIMITED


async def test_a_refusal_is_in_the_access_log_and_nothing_else_is(limited):
    start = limited.log_size()
    async with Connection(limited) as client:
        await client.head("/upload/refused", f"Content-Length: {LIMITED + 1}")
        await client.answer()

    async def is_said() -> bool:
        return "POST /upload/refused" in limited.log(start)

    await until(is_said)
    assert '"POST /upload/refused" 413' in limited.log(start)
    assert "Traceback" not in limited.log()


async def test_a_handshake_has_no_large_body(server):
    handshake = (
        "Upgrade: websocket",
        "Connection: Upgrade",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
    )
    async with Connection(server) as client:
        await client.head("/echo/", *handshake, "Content-Length: 100000", method="GET")
        assert (await client.answer())[0] == 413


# All bodies together


async def test_unfinished_uploads_do_not_fill_the_disk_and_free_it_when_they_end(limited):
    async def fills() -> None:
        async with Connection(limited) as late:
            await late.head("/upload/", f"Content-Length: {LIMITED}")
            await late.write(b"x" * LIMITED)
            status, body = await late.answer()
            assert (status, body) == (503, b"Service Unavailable: there is no room for the body")
            assert await late.is_closed()

    async with contextlib.AsyncExitStack() as stack:
        for _ in range(3):
            client = await stack.enter_async_context(Connection(limited))
            await client.head("/upload/", f"Content-Length: {LIMITED}")
            await client.write(b"x" * (LIMITED - 1))

        async def is_refused() -> bool:
            with contextlib.suppress(AssertionError, ConnectionError):
                await fills()
                return True
            return False

        await until(is_refused)
        async with Connection(limited) as small:
            await small.head("/upload/", "Content-Length: 0")
            assert (await small.facts())["bytes"] == 0

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
