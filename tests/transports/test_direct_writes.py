"""Writing past the transport of a loop: to the socket itself, and only while that is known to be right."""

import asyncio
import os
import socket

import pytest
from websockets.frames import Opcode

from django_fastws._core.fanout import FanOut
from django_fastws._core.messages import Payload
from django_fastws._core.recipients import not_direct
from django_fastws.transports import uvicorn as uvicorn_module
from django_fastws.transports.direct_writes import Watched, direct_write
from tests.transports.connections import UVICORN, UVICORN_TLS, Kind, connected, on
from tests.transports.fakes import broadcast, limits, start, turns
from tests.transports.test_framing import SMALL, frames, opcodes

DIRECT = [kind for kind in UVICORN if kind.server != "websockets"]
OTHERS = [kind for kind in [*UVICORN, *UVICORN_TLS] if kind not in DIRECT]


def is_direct(transport):
    return transport.direct is not not_direct


async def told_directly(connection, *texts):
    """Have a room tell so much; the last of it is written to the socket itself, where that may be."""
    for text in ("first", *texts):
        broadcast(connection.transport, Payload(text))
    await turns()
    assert await connection.client.receive_many(1 + len(texts)) == ["first", *texts]


# Whether it may be


@on(*DIRECT)
async def test_the_first_broadcast_goes_through_the_transport_and_others_past_it(kind, monkeypatch):
    written, original = [], os.write
    monkeypatch.setattr(os, "write", lambda number, data: written.append(data) or original(number, data))
    async with connected(kind) as connection:
        assert not is_direct(connection.transport)
        await told_directly(connection, "second", "third")
        assert written == [Payload("second").frame, Payload("third").frame]


@on(*OTHERS)
async def test_with_tls_or_a_library_that_keeps_methods_of_its_transport_all_goes_through_it(kind):
    async with connected(kind) as connection:
        await told_directly(connection, "second", "third")
        assert not is_direct(connection.transport)


@on(*DIRECT)
async def test_compressed_messages_go_through_the_transport(kind):
    async with connected(kind, compression=True) as connection:
        for text in ("x" * 2000, "y" * 2000):
            broadcast(connection.transport, Payload(text))
            assert await connection.client.receive() == text
        assert not is_direct(connection.transport)


class Unknown:
    """A transport of another loop, or of another release."""

    def __init__(self, sock):
        self._sock = sock

    def get_extra_info(self, name):
        return self._sock


def a_transport(sock):
    """One that looks like asyncio's."""
    kind = type("_SelectorSocketTransport", (Unknown,), {"__module__": "asyncio.selector_events"})
    return kind(sock)


def test_a_transport_that_is_not_known_or_has_no_descriptor_is_not_written_past(monkeypatch):
    ours, theirs = socket.socketpair()
    with ours, theirs:
        assert direct_write(Unknown(ours)) is None
        assert direct_write(a_transport(None)) is None
        write = direct_write(a_transport(ours))
        assert write(b"all") == 3
        assert theirs.recv(10) == b"all"
        with monkeypatch.context() as patch:
            patch.setattr(os, "name", "nt")
            assert direct_write(a_transport(ours)) is None
    assert direct_write(a_transport(ours)) is None  # it is closed


def test_whatever_a_watched_transport_is_asked_for_ends_the_watch_first():
    done = []

    class Transport:
        def write(self, data):
            done.append(data)

    watched = Watched(Transport(), lambda: done.append("end"))
    watched.write(b"x")
    assert done == ["end", b"x"]


# When it ends


def a_ping(connection):
    return connection.client.ping(b"x")


async def our_ping(connection):
    start(connection.transport.ping())
    await turns()


async def a_send_that_waits(connection):
    start(connection.transport._send_now(Payload("sent"), "send"))
    await turns(1)


async def a_close(connection):
    start(connection.transport.close(1000, ""))
    await turns(1)


async def a_release(connection):
    connection.transport.release()


async def a_reset(connection):
    connection.client.reset()


async def an_abort(connection):
    connection.transport.abort()


async def a_stop(connection):
    connection.protocol.shutdown()


ENDS = [a_ping, our_ping, a_send_that_waits, a_close, a_release, a_reset, an_abort, a_stop]


@on(*DIRECT)
@pytest.mark.parametrize("end", ENDS, ids=[end.__name__ for end in ENDS])
async def test_it_ends_with_whatever_else_is_written_or_closed_and_nothing_is_left_behind(kind, end):
    async with connected(kind) as connection:
        transport, protocol, tcp = connection.transport, connection.protocol, connection.tcp
        await told_directly(connection, "second")
        assert is_direct(transport)
        assert isinstance(protocol.transport, Watched)
        await end(connection)
        async with asyncio.timeout(10):  # or a ping of the server's own would end it
            while is_direct(transport):  # noqa: ASYNC110 (the server has to read first)
                await asyncio.sleep(0.001)
        assert protocol.transport is tcp
        assert "connection_lost" not in vars(protocol)


@on(*DIRECT)
async def test_it_goes_on_after_what_the_server_has_written_meanwhile(kind):
    async with connected(kind) as connection:
        transport, client = connection.transport, connection.client
        await told_directly(connection, "second")
        await client.ping(b"x")
        while is_direct(transport):  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await told_directly(connection, "third")
        assert is_direct(transport)
        await transport.send_payload(Payload("sent"))  # at once, through the transport, which holds nothing of it
        assert is_direct(transport)
        broadcast(transport, Payload("fourth"))
        assert await client.receive_many(2) == ["sent", "fourth"]
    assert opcodes(client.raw) == [*[Opcode.TEXT] * 2, Opcode.PONG, *[Opcode.TEXT] * 4]


@on(*DIRECT)
async def test_messages_from_the_client_do_not_end_it(kind):
    async with connected(kind) as connection:
        await told_directly(connection, "second")
        await connection.client.send("hi")
        assert await connection.transport.receive_data() == "hi"
        assert is_direct(connection.transport)


# Sockets that take less


@on(*DIRECT)
async def test_what_the_socket_does_not_take_is_left_to_the_transport_and_nothing_overtakes_it(kind):
    texts = [f"{number}:" + "x" * 50_000 for number in range(40)]
    with limits("disconnect", 16 * 1024 * 1024):
        async with connected(kind, socket_bytes=SMALL) as connection:
            transport, client = connection.transport, connection.client
            await told_directly(connection, "second")
            for text in texts:
                broadcast(transport, Payload(text))
            assert not is_direct(transport)
            assert connection.unsent
            assert await client.receive_many(len(texts)) == texts
            while connection.unsent or transport.is_sending:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
            await told_directly(connection, "again")
            assert is_direct(transport)


@on(*DIRECT)
@pytest.mark.parametrize("taken", [0, 1, 5])
async def test_a_socket_that_takes_a_part_of_a_frame_has_the_rest_before_all_else(kind, taken, monkeypatch):
    number = None

    def write_little(data):
        if not taken:
            raise BlockingIOError
        return os.write(number, data[:taken])

    monkeypatch.setattr(uvicorn_module, "direct_write", lambda tcp: write_little)
    async with connected(kind) as connection:
        number = connection.tcp.get_extra_info("socket").fileno()
        await told_directly(connection, "second", "third", "fourth")
    assert len(frames(connection.client.raw)) == 4


@on(*DIRECT)
@pytest.mark.parametrize("how", ["post", "send"])
async def test_nothing_overtakes_what_the_transport_holds(kind, how):
    with limits("disconnect", 16 * 1024 * 1024):
        async with connected(kind, socket_bytes=SMALL) as connection:
            transport, client, texts = connection.transport, connection.client, []
            if how == "send":
                await told_directly(connection, "second")
            while not connection.unsent:
                texts.append(f"{len(texts)}:" + "x" * 20_000)
                if how == "send":
                    assert transport.try_send(Payload(texts[-1]))
                else:
                    transport.post(Payload(texts[-1]))
            assert not is_direct(transport)
            broadcast(transport, Payload("last"))
            assert await client.receive_many(len(texts) + 1) == [*texts, "last"]


# Sockets that are gone


@on(*DIRECT)
async def test_a_broadcast_to_a_client_that_has_gone_is_the_end_and_no_error(kind, caplog):
    async with connected(kind) as connection:
        transport = connection.transport
        await told_directly(connection, "second")
        connection.client.reset()
        while transport.is_open:
            broadcast(transport, Payload("late"))  # before the loop has noticed, and while it does
            await asyncio.sleep(0)
        event = await asyncio.wait_for(transport.receive(), 8)
        assert (event["code"], is_direct(transport)) == (1006, False)
    assert caplog.records == []


@on(*DIRECT)
async def test_nothing_is_written_to_who_has_the_descriptor_next(kind):
    async with connected(kind) as connection:
        transport, tcp = connection.transport, connection.tcp
        await told_directly(connection, "second")
        number, sink = tcp.get_extra_info("socket").fileno(), transport.direct
        assert sink.__self__ == number
        connection.client.reset()
        pairs = []
        try:
            while not any(end.fileno() == number for pair in pairs for end in pair):
                broadcast(transport, Payload("late"))
                await asyncio.sleep(0)
                pairs.append(socket.socketpair())
                assert len(pairs) < 500
            for _ in range(3):
                broadcast(transport, Payload("late"))
                FanOut([(Payload("late"), None)], {transport: transport.post}).run([transport], lambda: False)
                await asyncio.sleep(0)
            for pair in pairs:
                for end in pair:
                    end.setblocking(False)
                    with pytest.raises(BlockingIOError):
                        end.recv(1)
        finally:
            for pair in pairs:
                for end in pair:
                    end.close()


def test_the_kinds_that_are_written_to_directly_are_those_that_users_have_most_often():
    assert Kind("websockets-sansio", "uvloop") in DIRECT
