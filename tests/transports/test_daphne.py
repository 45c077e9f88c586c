"""What the transport mends on an open connection of daphne's; on daphne's own protocol objects."""

import asyncio
import logging

import pytest

from django_fastws import WebSocketDisconnect
from django_fastws._core.messages import Payload
from tests.transports.connections import DAPHNE, Closed, connected, on
from tests.transports.fakes import limits, turns

# Messages


@on(*DAPHNE)
async def test_the_events_of_consumers_are_sent_also_empty_ones(kind):
    async with connected(kind) as connection:
        transport = connection.transport
        await transport.send({"type": "websocket.send", "text": ""})
        await transport.send({"type": "websocket.send", "bytes": b"", "text": None})
        await transport.send({"type": "websocket.send", "bytes": None, "text": "größe"})
        assert await connection.client.receive_many(3) == ["", b"", "größe"]
        for event in ({}, {"text": "x", "bytes": b"x"}):
            with pytest.raises(ValueError, match="either text or bytes"):
                await transport.send({"type": "websocket.send", **event})


@on(*DAPHNE)
async def test_what_a_consumer_sends_to_a_closed_connection_is_dropped(kind):
    async with connected(kind) as connection:
        await connection.client.close()
        await connection.client.receive_end()
        while connection.transport.is_open:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        await connection.transport.send({"type": "websocket.send", "text": "x"})
        await connection.transport.send({"type": "websocket.close"})


@on(DAPHNE[0])
async def test_what_the_socket_does_not_take_at_once_goes_through_twisted(kind):
    async with connected(kind, socket_bytes=65_536) as connection:
        transport, client = connection.transport, connection.client
        transport.post(Payload("x" * 500_000))
        assert 0 < connection.unsent < 500_000
        transport.post(Payload("y"))
        transport.post(Payload("z"))
        assert await client.receive_many(3) == ["x" * 500_000, "y", "z"]
        assert connection.unsent == 0
        transport.post(Payload("at once"))
        assert connection.unsent == 0
        assert await client.receive() == "at once"


@on(DAPHNE[0])
async def test_an_open_socket_that_is_broken_is_found_out(kind):
    async with connected(kind) as connection:
        connection.client.reset()
        for _ in range(3):
            connection.transport.post(Payload("x"))  # to a socket that has been reset, which Twisted has not read yet
        with pytest.raises(WebSocketDisconnect) as raised:
            await asyncio.wait_for(connection.transport.receive_data(), 8)
        assert raised.value.code == 1006


# The end


@on(*DAPHNE)
@pytest.mark.parametrize(
    ("event", "closed"),
    [
        ({}, (1000, "")),
        ({"code": None}, (1000, "")),
        ({"code": 1001}, (1001, "")),
        ({"code": 1011, "reason": "größe"}, (1011, "größe")),
        ({"code": 4999, "reason": None}, (4999, "")),
    ],
)
async def test_any_code_and_reason_can_be_closed_with(kind, event, closed):
    async with connected(kind) as connection:
        await connection.transport.send({"type": "websocket.close", **event})
        assert await connection.client.receive() == closed


@on(*DAPHNE)
async def test_the_peers_code_and_reason_are_told_once_all_else_is_received(kind):
    async with connected(kind) as connection:
        transport, client = connection.transport, connection.client
        await client.send("unread")
        await client.close(4000, "größe")
        while transport.is_open:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert await client.receive() == Closed(4000, "größe")  # RFC 6455 section 5.5.1: the same code
        while len(transport.inbox.waiting) < 2:  # noqa: ASYNC110
            await asyncio.sleep(0.001)
        assert transport.ended() is None
        with pytest.raises(WebSocketDisconnect) as raised:
            await transport.send_payload(Payload("x"))
        assert (raised.value.code, raised.value.reason) == (4000, "größe")
        assert await transport.receive_data() == "unread"
        assert transport.ended() == (4000, "größe")
        assert await transport.receive() == {"type": "websocket.disconnect", "code": 4000, "reason": "größe"}


@on(*DAPHNE)
@pytest.mark.parametrize(("how", "code"), [("reset", 1006), ("no code", 1005)])
async def test_a_cut_is_told_from_a_close_without_a_code(kind, how, code):
    async with connected(kind) as connection:
        if how == "reset":
            connection.client.reset()
        else:
            await connection.client.close_without_code()
            await connection.client.receive_end()
        with pytest.raises(WebSocketDisconnect) as raised:
            await asyncio.wait_for(connection.transport.receive_data(), 8)
        assert (raised.value.code, raised.value.reason) == (code, "")
        assert connection.transport.lost_status() == (code, "")


@on(*DAPHNE)
async def test_a_connection_that_is_cut_twice_complains_of_nothing(kind, caplog):
    async with connected(kind) as connection:
        connection.transport.abort()
        connection.transport.abort()
        with pytest.raises(WebSocketDisconnect):
            await asyncio.wait_for(connection.transport.receive_data(), 8)
        connection.transport.abort()
        await turns()
    assert caplog.records == []


@on(*DAPHNE)
async def test_a_slow_client_that_has_gone_before_it_is_cut_off_is_gone_quietly(kind, caplog, monkeypatch):
    monkeypatch.setattr("django_fastws.transports.outbox._CLOSE_TIMEOUT_SECONDS", 1)
    with limits("disconnect", 50_000), caplog.at_level(logging.ERROR):
        async with connected(kind, socket_bytes=65_536) as connection:
            for _ in range(30):
                connection.transport.post(Payload("x" * 20_000))
            assert await connection.client.receive_end() == Closed(1013, "too slow")
            await asyncio.sleep(1.2)
    assert caplog.records == []
