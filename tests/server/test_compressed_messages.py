"""Compressed messages of a real server: whole and in fragments, by turns, and what is wrong in them."""

from __future__ import annotations

import zlib

import pytest

from tests.server.client import RawClient, make_frame
from tests.site.client import connect

pytestmark = pytest.mark.server

OFFER = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits\r\n"
TEXT, BINARY = 1, 2


@pytest.fixture
def server(plain):
    return plain("--ws-per-message-deflate")


class Client:
    """Who compresses, with the context of all that was sent before."""

    def __init__(self) -> None:
        self._deflater = zlib.compressobj(wbits=-12)

    def compressed(self, data: bytes) -> bytes:
        return (self._deflater.compress(data) + self._deflater.flush(zlib.Z_SYNC_FLUSH))[:-4]


def inflated(frame) -> bytes:
    return zlib.decompressobj(-12).decompress(frame.payload + b"\0\0\xff\xff") if frame.rsv else frame.payload


async def test_whole_messages_and_fragments_have_one_context(server):
    said = [f"größe {number} ".encode() * 50 for number in range(12)]
    client = Client()
    async with RawClient(server, "/echo/", OFFER) as connection:
        for number, data in enumerate(said):
            sent = client.compressed(data)
            if number % 3 == 1:
                connection.send(TEXT, sent[:7], rsv=4, final=False)
                connection.send(9, b"a ping between")
                connection.send(0, sent[7:])
                assert (await connection.receive()).opcode == 10
            else:
                connection.send(TEXT, sent, rsv=4)
            frame = await connection.receive()
            assert (frame.opcode, frame.rsv, inflated(frame)) == (TEXT, 4, data)
        connection.writer.write(b"".join([make_frame(BINARY, client.compressed(data), rsv=4) for data in said]))
        assert [inflated(await connection.receive()) for _ in said] == said


async def test_a_client_that_has_no_context_is_told_that_the_server_keeps_none(server):
    offer = "Sec-WebSocket-Extensions: permessage-deflate; client_no_context_takeover\r\n"
    async with RawClient(server, "/echo/", offer) as connection:
        assert b"client_no_context_takeover" in connection.head
        for number in range(3):
            connection.send(TEXT, Client().compressed(b"%d" % number * 400), rsv=4)
            assert inflated(await connection.receive()) == b"%d" % number * 400


@pytest.mark.parametrize(
    ("opcode", "data", "code"),
    [(TEXT, Client().compressed(b"\xff" * 300), 1007), (BINARY, b"\xff\xff", 1007), (BINARY, b"\1" * 40, 1007)],
    ids=["no UTF-8", "no deflate", "a torn block"],
)
async def test_what_is_wrong_closes(server, opcode, data, code):
    async with RawClient(server, "/echo/", OFFER) as connection:
        connection.send(opcode, data, rsv=4)
        connection.send(TEXT, b"behind it")
        assert (await connection.until_close())[1].code == code


async def test_members_with_and_without_compression_get_the_same_broadcasts(serve):
    server = serve("runws_server", options=["--ws-per-message-deflate"])
    async with connect(server, "/ws/room/z", compression="deflate") as ada, connect(server, "/ws/room/z") as bob:
        assert (await ada.recv_json())["type"] == "user_joined"
        for length in (10, 3000, 100_000):
            await ada.send("ä" * length)
            assert (await ada.recv_json())["text"] == (await bob.recv_json())["text"] == "ä" * length
