"""Answers to requests that are large, packed, or streamed."""

from __future__ import annotations

import gzip
import tracemalloc
import zlib

import pytest

from django_fastws import RouteError

from .conftest import run
from .web import Answer, Web

MIB = 1024 * 1024


def raw_deflate(data):
    packer = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return packer.compress(data) + packer.flush()


PACKINGS = {"gzip": gzip.compress, "x-gzip": gzip.compress, "deflate": zlib.compress, "Deflate": raw_deflate}
IDENTITY = {"": bytes}


def serving(body, encoding=""):
    async def behave(request):
        headers = ("Content-Type: text/plain", *([f"Content-Encoding: {encoding}"] if encoding else []))
        return Answer(200, body, headers)

    return Web(behave)


@pytest.mark.parametrize("encoding", [*PACKINGS, *IDENTITY])
async def test_an_answer_of_the_largest_size_is_taken(app, encoding):
    pack = {**PACKINGS, **IDENTITY}[encoding]
    text = b"hello world! " * 10_000
    got = []
    async with serving(pack(text), encoding) as web:

        @app.get(web.url, max_size=len(text))
        async def handle(resp):
            got.append((resp.content, resp.text, resp.headers.get("content-encoding", "")))

        assert await run(app)
    assert got == [(text, text.decode(), encoding)]


@pytest.mark.parametrize("encoding", [*PACKINGS, *IDENTITY])
async def test_one_byte_more_is_an_error_of_this_route_alone(app, log, encoding):
    pack = {**PACKINGS, **IDENTITY}[encoding]
    called = []
    async with serving(pack(b"x" * 1001), encoding) as web:

        @app.get(web.url, max_size=1000)
        async def too_big(resp):
            called.append("too big")

        @app.get(web.url)
        async def right(resp):
            called.append(len(resp.content))

        assert not await run(app)
    assert called == [1001]
    (line,) = log.starting("✘")
    assert "more than max_size=1000 bytes" in line
    assert "stream=True" in line


async def test_a_small_answer_that_unpacks_to_very_much_takes_little_memory(app, log):
    packer = zlib.compressobj(1, wbits=31)
    bomb = b"".join(packer.compress(b"\0" * (16 * MIB)) for _ in range(8)) + packer.flush()
    async with serving(bomb, "gzip") as web:
        app.get(web.url)(never)
        tracemalloc.start()
        assert not await run(app)
        _, most = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert most < 40 * MIB
    assert "more than max_size=10485760 bytes" in log.starting("✘")[0]


async def never(resp):
    raise AssertionError("it was called")


async def test_max_size_none_is_no_limit(app):
    got = []
    async with serving(gzip.compress(b"x" * (11 * MIB)), "gzip") as web:

        @app.get(web.url, max_size=None)
        async def handle(resp):
            got.append(len(resp.content))

        assert await run(app)
    assert got == [11 * MIB]


@pytest.mark.parametrize("encoding", ["gzip", ""])
async def test_a_streamed_answer_may_be_of_any_size(app, encoding):
    body = b"x" * (11 * MIB)
    sizes = []
    async with serving(gzip.compress(body) if encoding else body, encoding) as web:

        @app.get(web.url, stream=True)
        async def handle(resp):
            async for piece in resp.aiter_bytes():
                sizes.append(len(piece))

        assert await run(app)
    assert sum(sizes) == len(body)
    assert max(sizes) <= 256 * 1024


async def test_a_stream_that_is_not_read_is_closed(app):
    async with serving(b"x" * (4 * MIB)) as web:

        @app.get(web.url, stream=True)
        async def handle(resp):
            return resp.status_code

        assert await run(app)


@pytest.mark.parametrize("encoding", ["gzip, gzip", "br", "zstd"])
async def test_what_was_not_asked_for_is_not_decompressed(app, log, encoding):
    async with serving(gzip.compress(gzip.compress(b"x")), encoding) as web:
        app.get(web.url)(never)
        assert not await run(app)
    assert f"compressed as '{encoding}'" in log.starting("✘")[0]
    assert web.requests[0].headers["accept-encoding"] == "gzip, deflate"


@pytest.mark.parametrize("encoding", ["gzip", "deflate"])
async def test_what_cannot_be_decompressed_is_an_error(app, log, encoding):
    async with serving(b"this is not packed", encoding) as web:
        app.get(web.url)(never)
        assert not await run(app)
    assert "cannot be decompressed" in log.starting("✘")[0]


async def test_an_answer_without_a_body_may_name_any_packing(app):
    async with serving(b"", "br") as web:

        @app.head(web.url)
        async def handle(resp):
            return resp.headers["content-encoding"]

        assert await run(app)


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"max_size": 0}, "max_size=0"),
        ({"max_size": "10M"}, "max_size="),
        ({"stream": 1}, "stream=1"),
        ({"follow_redirects": None}, "follow_redirects=None"),
        ({"ssl": True}, "ssl=True"),
        ({"proxy": "proxy.example"}, "proxy="),
        ({"proxy": 5}, "proxy="),
    ],
)
def test_options_that_cannot_be(app, option, words):
    with pytest.raises(RouteError, match=words):
        app.get("https://example.com", **option)(never)
