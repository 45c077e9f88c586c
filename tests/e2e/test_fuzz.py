"""Bytes that no client of good will sends: the server answers or hangs up, serves on, and complains of nothing."""

from __future__ import annotations

import asyncio
import socket
import struct
from typing import Any

import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from tests.conftest import complaints
from tests.site.client import connect
from tests.support.examples import examples
from tests.support.processes import HOST, ASGIServer

pytestmark = [pytest.mark.server, pytest.mark.slow, pytest.mark.faults]

KINDS = ["runws_server", "daphne"]  # uvicorn logs a traceback of its own for text that is not UTF-8
LIMIT = 30.0  # seconds for a server to answer or to hang up
GROWTH_KB = 20_000  # that a server may grow by over all examples of a test; each could send a megabyte

fuzzed = settings(
    max_examples=examples(300),
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@pytest.fixture(params=KINDS)
def server(site: Any, request: pytest.FixtureRequest) -> ASGIServer:
    return site(request.param)


@pytest.fixture
def watched(server: ASGIServer) -> Any:
    """After the test, the server serves on, has not grown, and its log is clean."""
    start, before = server.log_size(), memory_kb(server)
    yield server
    asyncio.run(serves_on(server))
    assert complaints(server.log(start)) == []
    assert memory_kb(server) - before < GROWTH_KB


async def serves_on(server: ASGIServer) -> None:
    async with connect(server, "/ws/echo") as ws:
        await ws.send("still here")
        assert await ws.recv() == "still here"


def memory_kb(server: ASGIServer) -> int:
    """The memory that a server holds."""
    assert server.process is not None
    with open(f"/proc/{server.process.pid}/status") as status:
        return next(int(line.split()[1]) for line in status if line.startswith("VmRSS"))


def exchange(server: ASGIServer, *parts: bytes) -> bytes:
    """Send, end, and read until the server hangs up; fails if it never does."""
    received = b""
    with socket.create_connection((HOST, server.port), timeout=LIMIT) as sock:
        try:
            for part in parts:
                sock.sendall(part)
            sock.shutdown(socket.SHUT_WR)
            while data := sock.recv(65536):
                received += data
        except TimeoutError:
            raise
        except OSError:  # it hung up before it had all
            pass
    return received


# The handshake

HEADERS = {
    b"Host": b"127.0.0.1",
    b"Upgrade": b"websocket",
    b"Connection": b"Upgrade",
    b"Sec-WebSocket-Key": b"dGhlIHNhbXBsZSBub25jZQ==",
    b"Sec-WebSocket-Version": b"13",
    b"Sec-WebSocket-Protocol": b"one, two",
    b"Sec-WebSocket-Extensions": b"permessage-deflate",
    b"Origin": b"http://127.0.0.1",
    b"Cookie": b"sessionid=abc; a=b",
    b"X-Forwarded-For": b"192.0.2.1",
    b"Content-Length": b"0",
}
IN_A_LINE = st.binary(max_size=60).map(lambda value: value.replace(b"\r", b"").replace(b"\n", b""))
VALUES = st.one_of(
    st.sampled_from([*HEADERS.values(), b"", b"-1", b"9" * 30, b"\xff\xfe", b"a" * 500, b",,;=;,", b"%", b"null"]),
    IN_A_LINE,
)
TARGETS = st.one_of(
    st.sampled_from(
        [b"/ws/echo", b"/", b"//", b"*", b"http://[::1", b"/ws/echo?%ff", b"/ws/echo?a=" + b"b" * 500, b"/\x80", b""]
    ),
    IN_A_LINE.map(lambda value: b"/" + value.replace(b" ", b"")),
)


@st.composite
def handshakes(draw: st.DrawFn) -> bytes:
    """A handshake in which some things are not as they should be."""
    method = draw(st.sampled_from([b"GET", b"GET", b"GET", b"POST", b"HEAD", b"", b"G\x00T"]))
    version = draw(st.sampled_from([b"HTTP/1.1", b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"", b"\xff"]))
    lines = [b" ".join((method, draw(TARGETS), version))]
    changed = draw(st.dictionaries(st.sampled_from(sorted(HEADERS)), st.none() | VALUES, max_size=3))
    for name, value in HEADERS.items():
        if name in changed:
            lines += [] if changed[name] is None else [name + b": " + changed[name]]
        else:
            lines.append(name + b": " + value)
    lines += draw(st.lists(IN_A_LINE, max_size=2))
    end = draw(st.sampled_from([b"\r\n\r\n", b"\r\n\r\n", b"\n\n", b"\r\n", b""]))
    return b"\r\n".join(lines) + end + draw(st.binary(max_size=20))


def is_known_of_daphne(handshake: bytes) -> bool:
    """Whether daphne itself fails: on a subprotocol that is not ASCII, before any application is asked."""
    lines = handshake.replace(b"\n", b"\r\n").split(b"\r\n")
    return any(line.lower().startswith(b"sec-websocket-protocol:") and not line.isascii() for line in lines)


def test_no_handshake_disturbs_the_server(watched: ASGIServer) -> None:
    @fuzzed
    @given(handshakes())
    def run(handshake: bytes) -> None:
        assume(watched.kind != "daphne" or not is_known_of_daphne(handshake))
        answer = exchange(watched, handshake)
        assert answer == b"" or answer.startswith((b"HTTP/", b"\x88"))

    run()


# Frames

HANDSHAKE = b"GET /ws/echo HTTP/1.1\r\n" + b"".join(
    name + b": " + HEADERS[name] + b"\r\n"
    for name in (b"Host", b"Upgrade", b"Connection", b"Sec-WebSocket-Key", b"Sec-WebSocket-Version")
)
PAYLOADS = st.one_of(
    st.binary(max_size=300),
    st.text(max_size=100).map(str.encode),
    st.sampled_from(
        [b"", b"\xff", b"\xed\xa0\x80", b"\xf0\x9f\x98", b"\x03\xe8", b"\x03\xe8\xff", b"\x00\x01", b"x" * 1000]
    ),
)


@st.composite
def frames(draw: st.DrawFn) -> bytes:
    """A frame that may be masked or not, whole or not, and may lie about its length (RFC 6455 section 5.2)."""
    payload = draw(PAYLOADS)
    head = draw(st.sampled_from([0x81, 0x82, 0x01, 0x80, 0x88, 0x89, 0x8A]) | st.integers(0, 255))
    length = draw(st.sampled_from([None, None, None, None, 0, 126, 65536, 2**32, 2**63 - 1, 2**63, 2**64 - 1]))
    length = len(payload) if length is None else length
    masked = 0x80 if draw(st.integers(0, 9)) else 0
    if length < 126:
        start = struct.pack("!BB", head, masked | length)
    elif length < 65536:
        start = struct.pack("!BBH", head, masked | 126, length)
    else:
        start = struct.pack("!BBQ", head, masked | 127, length)
    if not masked:
        return start + payload
    key = draw(st.binary(min_size=4, max_size=4))
    mask = (key * (len(payload) // 4 + 1))[: len(payload)]
    body = (int.from_bytes(payload, "big") ^ int.from_bytes(mask, "big")).to_bytes(len(payload), "big")
    return start + key + body


STREAMS = st.lists(frames() | st.binary(max_size=30), max_size=8)


@pytest.mark.parametrize("extensions", [b"", b"Sec-WebSocket-Extensions: permessage-deflate\r\n"])
def test_no_frames_disturb_the_server(watched: ASGIServer, extensions: bytes) -> None:
    @fuzzed
    @given(STREAMS)
    def run(stream: list[bytes]) -> None:
        answer = exchange(watched, HANDSHAKE + extensions + b"\r\n", *stream)
        assert answer == b"" or answer.startswith(b"HTTP/1.1 101 ")

    run()
