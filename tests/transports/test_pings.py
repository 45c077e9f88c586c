"""Pings and pongs: round trips, and answers from under middleware; on protocol objects of real servers."""

import asyncio

import pytest
from websockets.frames import Frame, Opcode
from wsproto.events import Pong

from django_fastws import WebSocketDisconnect
from django_fastws._core.messages import Payload
from django_fastws.transports import polling
from django_fastws.transports.find import find_transport
from tests.transports.connections import DAPHNE, UVICORN, UVICORN_TLS, Kind, connected, on
from tests.transports.fakes import start, turns, wrapping

#: With pongs that this package matches; ``websockets``, the deprecated one, does that by itself.
MATCHED = [*DAPHNE, *[kind for kind in (*UVICORN, UVICORN_TLS[0]) if kind.server != "websockets"]]
LEGACY = Kind("websockets")


def hear(protocol, payload):
    """A pong comes."""
    if hasattr(protocol, "onPong"):
        protocol.onPong(payload)
    elif hasattr(protocol, "frames"):
        protocol.handle_pong(Frame(Opcode.PONG, payload))
    else:
        protocol.handle_pong(Pong(payload))


@on(*MATCHED, LEGACY)
async def test_a_ping_returns_when_its_own_pong_has_come(kind):
    async with connected(kind) as connection:
        transport, client, protocol = connection.transport, connection.client, connection.protocol
        first, second = start(transport.ping()), start(transport.ping())
        await turns()
        if kind != LEGACY:
            hear(protocol, b"another")
        await turns()
        assert not first.done()
        assert not second.done()
        reading = start(client.receive())  # which answers
        assert await asyncio.wait_for(first, 30) > 0
        assert await asyncio.wait_for(second, 30) > 0
        assert kind == LEGACY or len(transport._pings) == 0
        reading.cancel()


@on(*DAPHNE)
async def test_daphnes_own_listening_for_pongs_goes_on(kind, monkeypatch):
    async with connected(kind) as connection:
        heard = []
        monkeypatch.setattr(type(connection.protocol), "onPong", lambda self, payload: heard.append(payload))
        pinging = start(connection.transport.ping())
        await turns()
        (payload,) = connection.transport._pings._waiting
        connection.protocol.onPong(payload)
        await pinging
        assert heard == [payload]


@on(*UVICORN[:4])
async def test_uvicorns_own_pings_go_on_beside(kind):
    async with connected(kind) as connection:
        protocol = connection.protocol
        pinging = start(connection.transport.ping())
        await turns()
        protocol.send_keepalive_ping()
        reading = start(connection.client.receive())
        await asyncio.wait_for(pinging, 30)
        async with asyncio.timeout(30):
            while protocol.pending_ping_payload is not None:  # noqa: ASYNC110
                await asyncio.sleep(0.001)
        reading.cancel()


@on(*UVICORN)
async def test_a_pong_that_nobody_asked_for_comes_in_its_place(kind):
    async with connected(kind) as connection:
        connection.transport.post(Payload("before"))
        await connection.transport.pong()
        connection.transport.post(Payload("behind"))
        assert await connection.client.receive_many(2) == ["before", "behind"]
        assert connection.client.raw == Payload("before").frame + b"\x8a\x00" + Payload("behind").frame


@on(*MATCHED, LEGACY)
async def test_a_ping_that_waits_is_told_of_the_end(kind, monkeypatch):
    async with connected(kind) as connection:
        waiting = start(connection.transport.ping())
        await turns()
        if kind == LEGACY:  # it ends with the connection, which ends with the handler
            connection.tcp.abort()
        connection.transport.release()
        with pytest.raises(WebSocketDisconnect):
            await asyncio.wait_for(waiting, 30)
        assert {"onPong", "handle_pong"}.isdisjoint(vars(connection.protocol))
    monkeypatch.setattr(polling, "POLL_SECONDS", 0.05)
    async with connected(kind) as connection:
        waiting = start(connection.transport.ping())
        await turns()
        connection.client.reset()
        with pytest.raises(WebSocketDisconnect) as raised:
            await asyncio.wait_for(waiting, 30)
        assert raised.value.code == 1006
        for call in (connection.transport.ping, connection.transport.pong):
            with pytest.raises(WebSocketDisconnect):
                await call()


@on(DAPHNE[0])
@pytest.mark.parametrize("wrapped", ["receive", "send"])
async def test_pongs_go_out_also_from_under_middleware(kind, wrapped):
    async with connected(kind) as connection:
        transport = connection.transport
        functions = {"receive": transport.receive, "send": transport.send}
        functions[wrapped] = wrapping(functions[wrapped], [])
        await find_transport(transport.scope, **functions).pong()
        transport.post(Payload("hi"))
        assert await connection.client.receive() == "hi"
        assert connection.client.raw == b"\x8a\x00" + Payload("hi").frame
