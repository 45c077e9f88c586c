"""Compression of messages: an option, and off by default."""

from __future__ import annotations

import asyncio
import zlib

import pytest

from tests.server.client import MEGABYTE, RawClient, fetch, make_frame, memory_kb, told
from tests.site.client import connect, token

pytestmark = pytest.mark.server

MESSAGES = ["größe ✓ " * 1000, b"\x00" * 100_000, "", b"", "x"]


@pytest.fixture
def server(plain):
    return plain("--ws-per-message-deflate")


def _offer(parameters: str = "") -> str:
    return f"Sec-WebSocket-Extensions: permessage-deflate{parameters}\r\n"


def _deflated(data: bytes) -> bytes:
    compressor = zlib.compressobj(wbits=-9)
    return (compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH))[:-4]


async def test_it_is_not_agreed_to_unless_asked_for(plain):
    async with connect(plain(), "/echo/", compression="deflate") as ws:
        assert "Sec-WebSocket-Extensions" not in ws.response.headers
        for message in MESSAGES:
            await ws.send(message)
            assert await ws.recv() == message


async def test_messages_pass_compressed_both_ways(server):
    async with connect(server, "/echo/", compression="deflate") as ws:
        assert ws.response.headers["Sec-WebSocket-Extensions"].startswith("permessage-deflate")
        for message in MESSAGES * 3:
            await ws.send(message)
            assert await ws.recv() == message
    async with RawClient(server, "/echo/", _offer()) as client:
        client.send(2, _deflated(b"x" * 10_000), rsv=4)
        frame = await client.receive()
        assert (frame.rsv, len(frame.payload) < 200) == (4, True)


async def test_a_client_that_offers_nothing_gets_none(server):
    async with connect(server, "/echo/") as ws:
        assert "Sec-WebSocket-Extensions" not in ws.response.headers
        await ws.send("x")
        assert await ws.recv() == "x"


async def test_a_client_may_send_uncompressed(server):
    async with RawClient(server, "/echo/", _offer()) as client:
        client.send(1, b"plain" * 100)
        assert (await client.receive()).rsv == 4
        client.send(8)


@pytest.mark.parametrize(
    ("parameters", "answer"),
    [
        ("; client_max_window_bits", "; client_max_window_bits=12"),
        ("; client_max_window_bits=10", "; client_max_window_bits=10"),
        ("; client_max_window_bits=15", "; client_max_window_bits=12"),
        ("; server_max_window_bits=9", "; server_max_window_bits=9"),
        ("; server_no_context_takeover", ""),
        ("; client_no_context_takeover", "; client_no_context_takeover"),
        ("; nonsense, permessage-deflate", ""),
        ("; client_max_window_bits=99", None),
        ("; client_max_window_bits=8", None),
        ("; server_max_window_bits", None),
        ("; nonsense", None),
    ],
)
async def test_what_is_offered_is_accepted_or_declined_and_never_refused(server, parameters, answer):
    """RFC 7692 section 7.1."""
    async with RawClient(server, "/echo/", _offer(parameters)) as client:
        assert client.status == 101
        lines = [line for line in client.head.decode().split("\r\n") if "Extensions" in line]
        agreed = "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover"
        assert lines == ([] if answer is None else [agreed + answer])
        client.send(1, b"x" * 300)
        frame = await client.receive()
        assert (frame.rsv == 4) is (answer is not None)


@pytest.mark.parametrize("name", ["permessage-bzip2", "permessage-snappy", "x-webkit-deflate-frame"])
async def test_other_extensions_are_declined(server, name):
    async with RawClient(server, "/echo/", f"Sec-WebSocket-Extensions: {name}\r\n") as client:
        assert client.status == 101
        assert b"Extensions" not in client.head


@pytest.mark.faults
async def test_a_message_that_inflates_over_the_limit_closes_with_1009(server):
    name, before = token(), memory_kb(server)
    async with RawClient(server, f"/echo/{name}", _offer()) as client:
        client.send(2, _deflated(b"x" * 100_000_000), rsv=4)
        _, close = await client.until_close()
        assert close.code == 1009
    assert (await told(server, name))["code"] == 1009
    assert memory_kb(server) - before < 12_000


@pytest.mark.long
@pytest.mark.faults
async def test_fragments_that_inflate_over_the_limit_together_close_with_1009(server):
    """No one of them does so alone."""
    deflated, before = _deflated(b"x" * 50_000_000), memory_kb(server)
    parts = [deflated[start : start + 500] for start in range(0, len(deflated), 500)]
    async with RawClient(server, "/echo/", _offer()) as client:
        client.send(2, parts[0], rsv=4, final=False)
        for part in parts[1:]:
            client.send(0, part, final=False)
        _, close = await client.until_close()
        assert close.code == 1009
    assert memory_kb(server) - before < 12_000


@pytest.mark.faults
async def test_messages_that_inflate_to_the_limit_are_held_back_from_a_busy_handler(server):
    """Sixty of them fit into one read of the server."""
    name, before = token(), memory_kb(server)
    frame = make_frame(2, _deflated(b"x" * MEGABYTE), rsv=4)
    assert len(frame) < 1200
    async with RawClient(server, f"/busy/{name}", _offer("; client_no_context_takeover")) as client:
        client.writer.write(frame * 200)
        client.send(8)
        await asyncio.sleep(0.5)
        assert memory_kb(server) - before < 12_000
        await fetch(server, f"/go/{name}")
        facts = await told(server, name)
    assert (facts["messages"], facts["bytes"]) == (200, 200 * MEGABYTE)


async def test_what_is_not_deflated_closes_with_1007(server):
    async with RawClient(server, "/echo/", _offer()) as client:
        client.send(2, b"\xff" * 50, rsv=4)
        assert (await client.until_close())[1].code == 1007


async def test_handlers_of_the_package_are_compressed_too(serve):
    server = serve("runws_server", options=["--ws-per-message-deflate"])
    async with connect(server, "/ws/echo", compression="deflate") as ws:
        for message in MESSAGES * 3:
            await ws.send(message)
            assert await ws.recv() == message
    async with connect(server, "/ws/room/x", compression="deflate") as ada, connect(server, "/ws/room/x") as bob:
        assert (await ada.recv_json())["type"] == "user_joined"
        await ada.send("hello")
        assert (await ada.recv_json())["text"] == (await bob.recv_json())["text"] == "hello"
