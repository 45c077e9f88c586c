"""What the transports mend on uvicorn, and compressed connections; on uvicorn's own protocol objects."""

import asyncio
import logging
import random
from types import SimpleNamespace

import pytest

from django_fastws import WebSocketDisconnect
from django_fastws._core.messages import Batch, Payload
from django_fastws.transports import polling
from django_fastws.transports.framing import high_water_bytes
from django_fastws.transports.uvicorn import LegacyUvicornTransport
from tests.transports.connections import UVICORN, UVICORN_TLS, connected, on
from tests.transports.fakes import limits, start, turns

LEGACY = [kind for kind in UVICORN if kind.server == "websockets"]
SANS_IO = [kind for kind in UVICORN if kind.server != "websockets"]

# The end


@on(*UVICORN, *UVICORN_TLS)
@pytest.mark.parametrize(
    ("how", "status"), [("reset", (1006, "")), ("no code", (1005, "")), ("code", (4001, "größe"))]
)
async def test_how_the_peer_closed(kind, how, status):
    async with connected(kind) as connection:
        transport, client = connection.transport, connection.client
        if how == "reset":
            client.reset()
        elif how == "no code":
            await client.close_without_code()
        else:
            await client.close(*status)
        if how != "reset":
            await client.receive_end()
        event = await asyncio.wait_for(transport.receive(), 8)
        assert (event["code"], event["reason"]) == status
        assert transport.state.status == status
        assert not transport.is_open


@on(*UVICORN)
async def test_the_end_is_told_once_all_else_is_received(kind):
    async with connected(kind) as connection:
        transport, client = connection.transport, connection.client
        await client.send("unread")
        if kind.server == "websockets":
            await client.close(4000, "bye")  # it reads on
            await client.receive_end()
        else:
            while transport.inbox.empty():  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            client.reset()
        while transport.is_open:
            transport.post(Payload("x"))
            await asyncio.sleep(0.001)
        await turns()
        assert transport.ended() is None
        assert await transport.receive_data() == "unread"
        while transport.ended() is None:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        status = (4000, "bye") if kind.server == "websockets" else (1006, "")
        assert transport.ended() == status
        with pytest.raises(WebSocketDisconnect) as raised:
            await transport.send_payload(Payload("x"))
        assert (raised.value.code, raised.value.reason) == status


@on(*UVICORN)
async def test_a_server_that_stops_is_the_end(kind):
    async with connected(kind) as connection:
        connection.protocol.shutdown()
        with pytest.raises(WebSocketDisconnect):
            await connection.transport.send_payload(Payload("x"))
        connection.transport.post(Payload("x"))
        assert (await connection.client.receive_end()).code == 1012
        assert connection.client.raw[:1] == b"\x88"


@on(*UVICORN)
async def test_a_denial_is_an_answer_and_no_error(kind, caplog):
    with caplog.at_level(logging.ERROR):
        async with connected(kind, accepts=False) as connection:
            await connection.transport.deny(404, "Not Found: größe")
            answer = await connection.client.answer()
            assert (answer.status_code, answer.body.decode()) == (404, "Not Found: größe")
    assert caplog.records == []


# Compressed connections

TEXT = Payload("x" * 1000)


def head(raw):
    """The first byte of each frame in bytes that hold no frame over 65,535 bytes."""
    heads = []
    while raw:
        heads.append(raw[0])
        size, start = raw[1], 2
        if size == 126:
            size, start = int.from_bytes(raw[2:4], "big"), 4
        raw = raw[start + size :]
    return heads


@on(*UVICORN)
async def test_what_goes_to_one_client_and_what_goes_to_a_room_is_compressed_if_it_is_worth_while(kind):
    async with connected(kind, compression=True) as connection:
        transport, client = connection.transport, connection.client
        assert client.extensions
        transport.post(TEXT)
        await transport.send_payload(TEXT)
        assert transport.try_send(TEXT)
        transport.post(Batch([TEXT, Payload(b"\xff" * 300), Payload("")]))
        await transport.send_payload(Payload("short"))
        got = await client.receive_many(7)
        assert got == ["x" * 1000, "x" * 1000, "x" * 1000, "x" * 1000, b"\xff" * 300, "", "short"]
        assert head(client.raw) == [0xC1, 0xC1, 0xC1, 0xC1, 0xC2, 0x81, 0x81]


@on(*UVICORN)
async def test_a_client_that_offers_no_compression_gets_none(kind):
    async with connected(kind) as connection:
        assert connection.transport.try_send(TEXT) or not await connection.transport.send_payload(TEXT)
        connection.transport.post(TEXT)
        await connection.client.receive_many(2)
        assert connection.client.raw == TEXT.frame * 2


@on(*UVICORN, *UVICORN_TLS)
async def test_compressed_and_uncompressed_messages_come_in_order_however_the_client_reads(kind):
    chance = random.Random(str(kind))
    noise = chance.randbytes(60_000).hex()
    async with connected(kind, compression=True, socket_bytes=65_536) as connection:
        transport, client, called = connection.transport, connection.client, []

        def message():
            called.append(f"{len(called)}:{noise[: chance.choice([0, 10, 1000, 50_000, 120_000])]}")
            return Payload(called[-1])

        async def send():
            for _ in range(40):
                await transport.send_payload(message())

        async def post():
            for _ in range(40):
                transport.post(message() if chance.random() < 0.5 else Batch([message(), message()]))
                await asyncio.sleep(chance.choice([0, 0.001]))

        async def all_of_it():
            await asyncio.gather(send(), post(), send())
            await transport.send_payload(Payload("the end"))

        with limits("disconnect", 100_000_000):
            sending, got = start(all_of_it()), []
            while (text := await client.receive()) != "the end":
                got.append(text)
                if chance.random() < 0.05:
                    await asyncio.sleep(0.005)
            await sending
    assert (got == called) is True


async def fill_compressed(connection):
    """Send noise until a send has to wait."""

    async def send():
        while True:
            await connection.transport.send_payload(Payload(random.randbytes(20_000)))

    sending, before, held = start(send()), None, 0
    while held != before or held < high_water_bytes():
        await asyncio.sleep(0.02)
        before, held = held, connection.unsent
    return sending


@on(*UVICORN, *UVICORN_TLS)
@pytest.mark.parametrize("how", ["reads", "resets", "closes"])
async def test_a_compressed_send_waits_for_its_client_and_is_told_of_every_end(kind, how, monkeypatch):
    monkeypatch.setattr(polling, "POLL_SECONDS", 0.05)
    async with connected(kind, compression=True, socket_bytes=65_536) as connection:
        sending, client = await fill_compressed(connection), connection.client
        assert not sending.done()
        assert connection.unsent <= high_water_bytes() + 25_000
        if how == "reads":
            assert {len(data) for data in await client.receive_many(60)} == {20_000}
            return
        if how == "resets":
            client.reset()
        else:
            await client.close(4001, "enough")
        with pytest.raises(WebSocketDisconnect) as raised:
            await asyncio.wait_for(sending, 8)
        if kind.server != "websockets":
            assert raised.value.code == (1006 if how == "resets" else 4001)


@on(*UVICORN)
async def test_a_handler_that_only_sends_to_a_compressed_client_lets_others_have_their_turn(kind):
    turns_of_others = 0

    async def other():
        nonlocal turns_of_others
        while True:
            await asyncio.sleep(0)
            turns_of_others += 1

    async with connected(kind, compression=True) as connection:
        others = start(other())
        for _ in range(1000):
            await connection.transport.send_payload(Payload("x"))
        others.cancel()
        assert turns_of_others >= 2
        assert await connection.client.receive_many(1000) == ["x"] * 1000


async def test_room_that_comes_in_the_moment_in_which_the_wait_for_it_is_given_up_is_not_missed():
    """It is given up now and then, to look whether the connection is still there."""

    class Protocol:
        _paused = True

        def __init__(self):
            self.connection_lost_waiter = asyncio.get_running_loop().create_future()

        def resume_writing(self):
            self._paused = False

    transport = SimpleNamespace(_protocol=Protocol())
    waiting = start(LegacyUvicornTransport._flushed(transport))
    await turns()
    transport._protocol.resume_writing()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await asyncio.wait_for(LegacyUvicornTransport._flushed(transport), 8)
