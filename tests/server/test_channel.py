"""Request smuggling: a second request in what somebody in front may take for the body of the first, or its head.

RFC 9112 sections 5 to 7 and 11.2. Each form is refused or served as one request, and never as two.
"""

from __future__ import annotations

import asyncio
import re

import pytest

from tests.server.client import Connection
from tests.site.client import LIMIT
from tests.support.processes import HOST, ASGIServer

pytestmark = [pytest.mark.server, pytest.mark.faults]

SMUGGLED = b"GET /scope/smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
#: What shows where the server takes the request before it to end.
LAST = b"GET /scope/last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"

SIZE = str(len(SMUGGLED))
LENGTH = f"Content-Length: {SIZE}"
CODING = "Transfer-Encoding: "
CHUNKED = f"{CODING}chunked"
#: Two requests for whoever reads chunks, and one for whoever counts bytes.
BEHIND_CHUNKS = b"0\r\n\r\n" + SMUGGLED
WHOLE_LENGTH = f"Content-Length: {len(BEHIND_CHUNKS)}"

STATUS = re.compile(rb"HTTP/1\.[01] (\d{3}) ")


@pytest.fixture
def server(plain):
    return plain()


def request(*lines: str, version: str = "HTTP/1.1", target: str = "/upload/") -> bytes:
    return "\r\n".join([f"POST {target} {version}", f"Host: {HOST}", *lines, "", ""]).encode()


async def exchange(server: ASGIServer, data: bytes) -> tuple[list[int], str]:
    """Send it, and read until the server hangs up: the statuses, and what the access log has of it."""
    start = server.log_size()
    async with Connection(server) as connection:
        await connection.write(data)
        async with asyncio.timeout(LIMIT):
            answers = await connection.reader.read()
    return [int(status) for status in STATUS.findall(answers)], server.log(start)


@pytest.mark.parametrize(
    "lines",
    [
        # Length and chunks
        (WHOLE_LENGTH, CHUNKED),
        (CHUNKED, WHOLE_LENGTH),
        # Lengths
        ("Content-Length: 0", LENGTH),
        (LENGTH, "Content-Length: 0"),
        (LENGTH, LENGTH),
        (f"{LENGTH}, 0",),
        (f"{LENGTH}, {SIZE}",),
        *[
            (f"Content-Length: {value}",)
            for value in (
                "",
                f"+{SIZE}",
                f"-{SIZE}",
                "-0",
                "0x29",
                "4_1",
                "4 1",
                "41.0",
                "0e1",
                "\u0664",
                f"\x0b{SIZE}",
            )
        ],
        # Codings
        *[
            (CODING + value, WHOLE_LENGTH)
            for value in ("", "xchunked", '"chunked"', "chunked;q=1", "\x0bchunked", "chunked\0", "identity")
        ],
        (f"{CODING}chunked, identity",),
        (f"{CODING}identity, chunked",),
        (f"{CODING}gzip, chunked",),
        (CHUNKED, f"{CODING}identity"),
        (f"{CODING}identity", CHUNKED),
        (CHUNKED, CHUNKED),
        # Names
        ("Content-Length : 0", LENGTH),
        ("Content-Length\t: 0", LENGTH),
        ("Transfer-Encoding : chunked", WHOLE_LENGTH),
        ("Content-Length\0: 0", LENGTH),
        ("Transfer-Encoding chunked", WHOLE_LENGTH),
        (": chunked", WHOLE_LENGTH),
        # Lines
        (f" {LENGTH}",),
        (f"\t{CHUNKED}", WHOLE_LENGTH),
        ("X: y", f" {LENGTH}"),
        (CODING, " chunked", WHOLE_LENGTH),
        (f"X: y\n{CHUNKED}", WHOLE_LENGTH),
        (f"X: y\r{CHUNKED}", WHOLE_LENGTH),
        (f"X: y\r{LENGTH}",),
        ("X: y\0", LENGTH),
    ],
    ids=repr,
)
async def test_a_head_that_can_be_read_in_two_ways_is_refused(server, lines):
    body = BEHIND_CHUNKS if WHOLE_LENGTH in lines or "chunked" in lines[0] else SMUGGLED
    assert await exchange(server, request(*lines) + body + LAST) == ([400], "")


@pytest.mark.parametrize(
    "head",
    [
        request(LENGTH, version="HTTP/1.2"),
        request(LENGTH, version="HTTP/2.0"),
        request(LENGTH, version="http/1.1"),
        request(LENGTH, version="HTTP/11"),
        request(LENGTH, target="/upload/ HTTP/1.1 x"),
        request(LENGTH, target="/upload/\nx"),
        b"GET /scope/one\r\n",
        b"\r\n\r\n" + request(LENGTH),
        b"x\r\n" + request(LENGTH),
        request("Content-Length: 0").replace(b"\r\n", b"\n"),
        request(CHUNKED, WHOLE_LENGTH, version="HTTP/1.0"),
    ],
    ids=repr,
)
async def test_a_request_line_that_is_none_is_refused(server, head):
    assert await exchange(server, head + SMUGGLED + LAST) == ([400], "")


@pytest.mark.parametrize(
    "chunks",
    [
        *[size + b"\r\n\r\n" for size in (b"g", b"0x0", b"-1", b"+0", b" 0", b"0 ", b"0_0", b"")],
        b"0\n\n",
        b"0\r\r",
        b"1\nx\n0\n\n",
        b"1\r\nxy0\r\n\r\n",
        b"2;\nxx\r\n0\r\n\r\n",
        b"2;\rxx\r\n0\r\n\r\n",
        b"2;a\0\r\nxx\r\n0\r\n\r\n",
    ],
    ids=repr,
)
async def test_chunks_that_are_none_are_refused(server, chunks):
    assert await exchange(server, request(CHUNKED) + chunks + SMUGGLED + LAST) == ([400], "")


@pytest.mark.parametrize(
    "data",
    [
        request(f"Content-Length: \t{SIZE}\t") + SMUGGLED,
        request(f"Content_Length: {SIZE}", "Content-Length: 0"),
        request(f"{CODING}CHUNKED") + b"0\r\n\r\n",
        request(CHUNKED) + b'2;a="b"\r\nxx\r\n0\r\n\r\n',
        *[
            request(CHUNKED) + b"0\r\n" + trailer + b"\r\n\r\n"
            for trailer in (LENGTH.encode(), CHUNKED.encode(), b"Host: evil", SMUGGLED.partition(b"\r")[0])
        ],
        request(LENGTH, target=f"http://{HOST}/upload/") + SMUGGLED,
        request(LENGTH, target="http://evil.example/upload/") + SMUGGLED,
        request(LENGTH, "Upgrade: h2c", "Connection: Upgrade") + SMUGGLED,
    ],
    ids=repr,
)
async def test_what_has_one_meaning_is_one_request(server, data):
    statuses, log = await exchange(server, data + LAST)
    assert statuses == [200, 200]
    assert (log.count('/upload/" 200'), log.count("/scope/last"), log.count("\n")) == (1, 1, 2)


@pytest.mark.parametrize(
    "head",
    [
        request(CHUNKED, version="HTTP/1.0"),
        request(CHUNKED, "Connection: keep-alive", version="HTTP/1.0"),
        request("Content-Length: 5", version="HTTP/1.0"),
    ],
    ids=repr,
)
async def test_the_first_request_of_http_1_0_is_the_last(server, head):
    statuses, log = await exchange(server, head + BEHIND_CHUNKS + LAST)
    assert statuses == [200]
    assert log.count("\n") == 1


async def test_a_chunk_of_any_size_is_no_chunk_of_none(server):
    """2 to the power of 64 is 0 for whoever keeps it in 64 bits."""
    start = server.log_size()
    async with Connection(server) as connection:
        await connection.write(request(CHUNKED) + b"1" + b"0" * 16 + b"\r\n\r\n" + SMUGGLED + LAST)
        connection.writer.write_eof()
        assert await connection.is_closed()
    assert "smuggled" not in server.log(start)


async def test_what_comes_behind_a_denied_handshake_is_no_request(server):
    upgrade = ("Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
    head = request(*upgrade, "Sec-WebSocket-Version: 12", target="/echo/").replace(b"POST", b"GET")
    statuses, log = await exchange(server, head + SMUGGLED)
    assert statuses == [400]
    assert "smuggled" not in log
