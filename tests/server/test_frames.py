"""Frames as a fuzzing client sends them, in the order of the Autobahn test suite's sections."""

from __future__ import annotations

import struct
import zlib

import pytest

from tests.server.client import RawClient, make_frame
from tests.site.client import connect

pytestmark = pytest.mark.server

CONTINUATION, TEXT, BINARY, CLOSE, PING, PONG = 0, 1, 2, 8, 9, 10
HELLO = "Hello-µ@ßöäüàá-UTF-8!!".encode()


@pytest.fixture
def server(plain):
    return plain()


async def exchange(client: RawClient, data: bytes, chop: int = 0) -> tuple[list[tuple[int, bytes]], int | None]:
    """Send bytes, ask for the close, and return what comes: the frames, and the code of the close frame."""
    for start in range(0, len(data), chop or len(data) or 1):
        client.writer.write(data[start : start + (chop or len(data))])
        await client.writer.drain()
    frames, close = await client.until_close()
    if close is not None:
        client.send(CLOSE, close.payload)
    return [(frame.opcode, frame.payload) for frame in frames], None if close is None else close.code


def closing(code: int = 1000, reason: bytes = b"") -> bytes:
    return make_frame(CLOSE, struct.pack("!H", code) + reason)


SIZES = [0, 1, 125, 126, 127, 128, 65535, 65536]


# 1 and 9: sizes


@pytest.mark.parametrize("opcode", [TEXT, BINARY])
@pytest.mark.parametrize("size", [*SIZES, 1024 * 1024])
async def test_a_message_of_any_size_comes_back(server, size, opcode):
    payload = b"*" * size if opcode == TEXT else b"\xfe" * size
    async with RawClient(server, "/echo/") as client:
        client.send(opcode, payload)
        frame = await client.receive()
        assert (frame.opcode, frame.payload, frame.final, frame.rsv) == (opcode, payload, True, 0)
        assert await exchange(client, closing()) == ([], 1000)


@pytest.mark.parametrize(("size", "chop"), [(100, 1), (65536, 997), (300_000, 10_000)])
async def test_a_message_that_trickles_in_comes_back(server, size, chop):
    async with RawClient(server, "/echo/") as client:
        data = make_frame(TEXT, b"*" * size)
        for start in range(0, len(data), chop):
            client.writer.write(data[start : start + chop])
            await client.writer.drain()
        assert (await client.receive()).payload == b"*" * size


@pytest.mark.parametrize(("size", "part"), [(100, 1), (65536, 64), (1024 * 1024, 65536)])
async def test_a_message_of_many_fragments_comes_back_whole(server, size, part):
    parts = [b"*" * part] * (size // part)
    opcodes = [BINARY] + [CONTINUATION] * (len(parts) - 1)
    data = b"".join(
        make_frame(opcode, payload, final=number == len(parts) - 1)
        for number, (opcode, payload) in enumerate(zip(opcodes, parts, strict=True))
    )
    async with RawClient(server, "/echo/") as client:
        client.writer.write(data)
        assert (await client.receive()).payload == b"*" * part * len(parts)


@pytest.mark.parametrize(
    "data",
    [
        b"\x81\xfe\x00\x05\0\0\0\0Hello",
        b"\x81\xff" + struct.pack("!Q", 5) + b"\0\0\0\0Hello",
        b"\x82\xff" + b"\xff" * 12,
    ],
    ids=["16 bits for 5", "64 bits for 5", "over 2^63"],
)
async def test_a_length_that_is_not_minimal_or_too_long_is_1002(server, data):
    async with RawClient(server, "/echo/") as client:
        assert (await exchange(client, data))[1] in (1002, 1009)


async def test_a_frame_without_a_mask_is_1002(server):
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, make_frame(TEXT, b"Hello", masked=False)) == ([], 1002)


# 2: pings and pongs


@pytest.mark.parametrize("payload", [b"", b"Hello", b"\x00\xff\xfe", b"\xfe" * 125])
@pytest.mark.parametrize("chop", [0, 1])
async def test_a_ping_is_answered(server, payload, chop):
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, make_frame(PING, payload) + closing(), chop) == ([(PONG, payload)], 1000)


async def test_ten_pings_are_answered_in_order(server):
    payloads = [f"payload-{number}".encode() for number in range(10)]
    async with RawClient(server, "/echo/") as client:
        data = b"".join(make_frame(PING, payload) for payload in payloads)
        assert await exchange(client, data + closing()) == ([(PONG, payload) for payload in payloads], 1000)


@pytest.mark.parametrize("payload", [b"", b"unsolicited"])
async def test_a_pong_that_nobody_asked_for_is_ignored(server, payload):
    async with RawClient(server, "/echo/") as client:
        data = make_frame(PONG, payload) + make_frame(PING, b"x") + closing()
        assert await exchange(client, data) == ([(PONG, b"x")], 1000)


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_a_control_frame_over_125_bytes_is_1002(server, opcode):
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, make_frame(opcode, b"\x03\xe8" + b"x" * 124)) == ([], 1002)


# 3 and 4: what is reserved


@pytest.mark.parametrize("rsv", range(1, 8))
@pytest.mark.parametrize("opcode", [TEXT, BINARY, PING, CLOSE])
async def test_a_reserved_bit_is_1002(server, rsv, opcode):
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, make_frame(opcode, b"\x03\xe8", rsv=rsv)) == ([], 1002)


@pytest.mark.parametrize("payload", [b"", b"reserved"])
@pytest.mark.parametrize("opcode", [3, 4, 5, 6, 7, 11, 12, 13, 14, 15])
async def test_a_reserved_opcode_is_1002(server, opcode, payload):
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, make_frame(opcode, payload) + make_frame(PING)) == ([], 1002)


# 5: fragments


@pytest.mark.parametrize("opcode", [PING, PONG, CLOSE])
async def test_a_control_frame_in_fragments_is_1002(server, opcode):
    async with RawClient(server, "/echo/") as client:
        data = make_frame(opcode, b"fragment1", final=False) + make_frame(CONTINUATION, b"fragment2")
        assert await exchange(client, data) == ([], 1002)


@pytest.mark.parametrize("chop", [0, 1])
@pytest.mark.parametrize("ping", [b"", make_frame(PING, b"between")], ids=["", "ping between"])
async def test_fragments_are_one_message_whatever_comes_between(server, ping, chop):
    data = (
        make_frame(TEXT, b"fragment1", final=False)
        + ping
        + make_frame(CONTINUATION, b"", final=False)
        + ping
        + make_frame(CONTINUATION, b"fragment2")
    )
    async with RawClient(server, "/echo/") as client:
        client.writer.write(data) if not chop else [client.writer.write(data[i : i + 1]) for i in range(len(data))]
        frames = [await client.receive() for _ in range(3 if ping else 1)]
        assert [frame.payload for frame in frames] == [b"between"] * (2 if ping else 0) + [b"fragment1fragment2"]


@pytest.mark.parametrize("final", [True, False])
@pytest.mark.parametrize("before", [b"", make_frame(TEXT, b"whole")], ids=["at the beginning", "behind a message"])
async def test_a_continuation_of_nothing_is_1002(server, before, final):
    async with RawClient(server, "/echo/") as client:
        frames, code = await exchange(client, before + make_frame(CONTINUATION, b"x", final=final))
        assert code == 1002
        assert frames in ([], [(TEXT, b"whole")])


async def test_a_new_message_within_another_is_1002(server):
    data = make_frame(TEXT, b"fragment1", final=False) + make_frame(TEXT, b"fragment2")
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, data) == ([], 1002)


# 6: UTF-8

VALID = [
    HELLO,
    "\x00\x7f\x80߿ࠀ￿𐀀􏿿".encode(),
    "\ud7ff\ue000\ufffd".encode(),
    "\ufffe\uffff\U0001fffe\U0010ffff".encode(),
    "κόσμε".encode(),
]
INVALID = [
    b"\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80\x65\x64\x69\x74\x65\x64",
    b"\x80",
    b"\xbf",
    b"\xc0\xaf",
    b"\xc1\xbf",
    b"\xe0\x80\xaf",
    b"\xe0\x9f\xbf",
    b"\xf0\x80\x80\xaf",
    b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80",
    b"\xf8\x88\x80\x80\x80",
    b"\xfc\x84\x80\x80\x80\x80",
    b"\xed\xa0\x80",
    b"\xed\xbf\xbf",
    b"\xed\xa0\x80\xed\xb0\x80",
    b"\xfe",
    b"\xff",
    b"\xc3",
    b"\xe2\x82",
    b"\xf0\x9f\x98",
]


@pytest.mark.parametrize("payload", VALID, ids=range(len(VALID)))
@pytest.mark.parametrize("part", [0, 1])
async def test_text_comes_back_however_it_is_cut(server, payload, part):
    parts = [payload] if not part else [payload[i : i + 1] for i in range(len(payload))]
    async with RawClient(server, "/echo/") as client:
        for number, piece in enumerate(parts):
            client.send(CONTINUATION if number else TEXT, piece, final=number == len(parts) - 1)
        frame = await client.receive()
        assert (frame.opcode, frame.payload) == (TEXT, payload)


@pytest.mark.parametrize("payload", INVALID, ids=[payload.hex() for payload in INVALID])
async def test_text_that_is_no_utf8_is_1007(server, payload):
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, make_frame(TEXT, b"valid" + payload)) == ([], 1007)


@pytest.mark.parametrize("fragmented", [True, False])
async def test_it_is_noticed_before_the_message_is_whole(server, fragmented):
    async with RawClient(server, "/echo/") as client:
        if fragmented:
            client.send(TEXT, b"valid\xf4\x90", final=False)
        else:
            client.writer.write(make_frame(TEXT, b"valid\xf4\x90" + b"x" * 1000)[:100])
        assert (await client.until_close())[1].code == 1007


# 7: closing


async def test_what_comes_behind_a_close_is_ignored(server):
    async with RawClient(server, "/echo/") as client:
        data = closing() + make_frame(TEXT, b"late") + make_frame(PING) + closing(1001)
        assert await exchange(client, data) == ([], 1000)
        assert await client.receive() is None


async def test_a_message_before_a_close_is_received(server):
    async with RawClient(server, "/echo/") as client:
        client.send(TEXT, b"first")
        assert (await client.receive()).payload == b"first"
        assert await exchange(client, closing()) == ([], 1000)


@pytest.mark.parametrize("code", [1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 3000, 3999, 4000, 4999])
async def test_a_close_with_a_valid_code_is_answered_with_it(server, code):
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, closing(code, b"x" * 123)) == ([], code)


@pytest.mark.parametrize("code", [0, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000, 65535])
async def test_a_close_with_a_code_that_may_not_be_sent_is_1002(server, code):
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, closing(code)) == ([], 1002)


async def test_a_close_of_one_byte_is_1002(server):
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, make_frame(CLOSE, b"x")) == ([], 1002)


@pytest.mark.parametrize("payload", INVALID[:3], ids=[payload.hex() for payload in INVALID[:3]])
async def test_a_reason_that_is_no_utf8_is_1007(server, payload):
    async with RawClient(server, "/echo/") as client:
        assert await exchange(client, closing(1000, payload)) == ([], 1007)


# 12 and 13: compression


@pytest.mark.parametrize(
    "parameters",
    [
        "",
        "; client_no_context_takeover; client_max_window_bits",
        "; server_no_context_takeover; client_max_window_bits=9",
        "; server_max_window_bits=9",
        "; server_no_context_takeover; server_max_window_bits=15",
    ],
)
@pytest.mark.parametrize("size", [16, 256, 4096, 131_072])
async def test_compressed_messages_come_back(plain, parameters, size):
    server = plain("--ws-per-message-deflate")
    header = f"Sec-WebSocket-Extensions: permessage-deflate{parameters}\r\n"
    async with RawClient(server, "/echo/", header) as client:
        deflater, inflater = zlib.compressobj(wbits=-9), zlib.decompressobj(wbits=-15)
        for number in range(20):
            message = (f"{{'number': {number}, 'text': 'größe'}}" * size).encode()[:size]
            message = message.decode("utf-8", "ignore").encode()
            if "client_no_context_takeover" in parameters:
                deflater = zlib.compressobj(wbits=-9)
            data = deflater.compress(message) + deflater.flush(zlib.Z_SYNC_FLUSH)
            half = len(data) // 2
            client.send(TEXT, data[:half], rsv=4, final=False)
            client.send(CONTINUATION, data[half:-4])
            frame = await client.receive()
            assert frame.rsv == (4 if len(message) >= 256 else 0)
            received = frame.payload
            if frame.rsv:
                received = inflater.decompress(received + b"\0\0\xff\xff")
                inflater = zlib.decompressobj(wbits=-(9 if "server_max_window_bits=9" in parameters else 12))
            assert received == message


@pytest.mark.parametrize(
    "data",
    [
        make_frame(TEXT, b"\xff" * 10, rsv=2),
        make_frame(PING, b"x", rsv=4),
        make_frame(TEXT, b"", rsv=4, final=False) + make_frame(CONTINUATION, b"", rsv=4),
    ],
    ids=["another bit", "a ping", "a continuation"],
)
async def test_what_may_not_be_compressed_is_1002(plain, data):
    server = plain("--ws-per-message-deflate")
    async with RawClient(server, "/echo/", "Sec-WebSocket-Extensions: permessage-deflate\r\n") as client:
        assert (await exchange(client, data))[1] == 1002


async def test_after_all_that_it_serves_on(server):
    async with connect(server, "/echo/") as ws:
        await ws.send("still here")
        assert await ws.recv() == "still here"
