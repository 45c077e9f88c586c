"""WebSocket, on a server that is not there: what it sends and receives, and how it tells of its end."""

import asyncio
import contextlib

import pytest

from django_fastws import ClientState, WebSocketDisconnect, WebSocketStateError, metrics
from django_fastws._core.messages import Payload
from django_fastws.routing.endpoint import Endpoint
from django_fastws.routing.signatures import read_signature
from django_fastws.websocket import InboundWebSocket
from tests.support.transports import transport_of
from tests.transports.fakes import limits, start, turns

# What the handler's socket tells of it


async def serve(server, handler):
    """Run a handler as the application of a server."""
    server.inbox.put_nowait({"type": "websocket.connect"})
    application = Endpoint(handler, read_signature(handler, {}))
    await asyncio.wait_for(application(server.scope, server.receive, server.send), 8)


def told(ws):
    return ws.closed, ws.client_state, ws.close_code


async def test_a_socket_whose_send_has_failed_is_closed(server):
    seen = []

    async def handler(ws):
        await ws.accept()
        server.fails_with = OSError()
        with pytest.raises(WebSocketDisconnect):
            await ws.send("x")
        seen.append(told(ws))

    await serve(server, handler)
    assert seen == [(True, ClientState.DISCONNECTED, 1006)]


async def test_a_socket_that_was_closed_for_being_slow_is_closed(server):
    seen = []

    async def handler(ws):
        await ws.accept()
        server.gate.clear()
        server.sending.clear()
        first = start(ws.send("first"))
        await server.sending.wait()
        ws.post(Payload("1234567890"))
        ws.post(Payload("x"))
        server.gate.set()
        await first
        await turns()
        seen.append(told(ws))
        await ws.close(4000)
        seen.append(told(ws))

    with limits("disconnect"):
        await serve(server, handler)
    assert seen == [(True, ClientState.DISCONNECTED, 1013)] * 2
    assert server.sent == ["accept", "first", 1013]


async def test_a_task_that_outlives_its_handler_is_told_that_the_socket_is_closed(server):
    beats = []

    async def beat(ws):
        while True:
            await ws.send("beat")
            await asyncio.sleep(0)

    async def handler(ws):
        await ws.accept()
        beats.append(start(beat(ws)))
        await turns(3)

    await serve(server, handler)
    await turns()
    with pytest.raises(WebSocketDisconnect):
        beats[0].result()
    assert server.sent[-1] == 1000
    assert set(server.sent[1:-1]) == {"beat"}


async def test_a_server_that_cancels_the_handler_closes_with_1001(server):
    ready = asyncio.Event()

    async def handler(ws):
        await ws.accept()
        ready.set()
        await ws.receive()

    serving = start(serve(server, handler))
    await ready.wait()
    serving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await serving
    assert server.sent == ["accept", 1001]


async def test_a_cancelled_error_that_is_the_handlers_own_is_an_error_like_any_other(server, caplog):
    async def handler(ws):
        await ws.accept()
        child = asyncio.create_task(asyncio.sleep(1000))
        child.cancel()
        await child

    with contextlib.suppress(asyncio.CancelledError):
        await serve(server, handler)
    assert server.sent == ["accept", 1011]
    assert any(record.exc_info for record in caplog.records)


# Sending


@pytest.mark.parametrize(
    ("data", "sent"),
    [
        ("text", "text"),
        (b"bytes", b"bytes"),
        (bytearray(b"bytes"), b"bytes"),
        (memoryview(b"bytes"), b"bytes"),
        ({"a": 1}, '{"a":1}'),
        ([1, 2], "[1,2]"),
    ],
    ids=["str", "bytes", "bytearray", "memoryview", "dict", "list"],
)
async def test_send_takes_text_bytes_and_json(ws, server, data, sent):
    await ws.send(data)
    assert server.sent == [sent]


@pytest.mark.parametrize(
    ("method", "data", "other"), [("send", 5, "send_json"), ("send_text", b"", "str"), ("send_bytes", "", "bytes")]
)
async def test_what_cannot_be_sent_raises_and_nothing_goes_out(ws, server, method, data, other):
    with pytest.raises(TypeError, match=other):
        await getattr(ws, method)(data)
    assert server.sent == []


async def test_messages_and_bytes_are_counted_both_ways(ws, server):
    traffic = metrics.traffic()
    before = (traffic.messages_sent, traffic.bytes_sent, traffic.messages_received, traffic.bytes_received)
    await ws.send("grün")
    server.inbox.put_nowait({"type": "websocket.receive", "bytes": b"123"})
    await ws.receive()
    after = (traffic.messages_sent, traffic.bytes_sent, traffic.messages_received, traffic.bytes_received)
    assert [now - then for now, then in zip(after, before, strict=True)] == [1, 5, 1, 3]


# Receiving


@pytest.mark.parametrize(
    ("method", "wrong"),
    [("receive_text", {"bytes": b"x"}), ("receive_bytes", {"text": "x"}), ("receive_json", {"text": "{"})],
)
async def test_a_message_of_the_wrong_kind_is_gone_and_the_next_is_received(ws, server, method, wrong):
    right = {"bytes": b"1"} if method == "receive_bytes" else {"text": "1"}
    for data in (wrong, right):
        server.inbox.put_nowait({"type": "websocket.receive", **data})
    with pytest.raises((TypeError, ValueError)):
        await getattr(ws, method)()
    assert await getattr(ws, method)() in ("1", b"1", 1)


async def test_what_a_transport_sends_at_once_is_counted_too(ws, monkeypatch):
    metrics.reset()
    monkeypatch.setattr(type(transport_of(ws)), "try_send", lambda transport, payload: True)
    await ws.send("größe")
    await ws.send_bytes(b"x")
    assert (metrics.sent_messages.total, metrics.sent_bytes.total) == (2, 8)


@pytest.mark.parametrize("call", ["ping", "pong"])
async def test_a_socket_that_is_closed_cannot_ping(ws, call):
    await ws.close()
    with pytest.raises(WebSocketDisconnect, match=rf"{call}\(\)"):
        await getattr(ws, call)()


async def test_only_one_task_may_receive(ws):
    first = start(ws.receive())
    await turns()
    with pytest.raises(WebSocketStateError):
        await ws.receive()
    assert not first.done()


async def test_async_for_ends_with_the_connection_and_receive_raises_its_code(ws, server):
    server.inbox.put_nowait({"type": "websocket.receive", "text": "last"})
    server.inbox.put_nowait({"type": "websocket.disconnect", "code": 4000, "reason": "bye"})
    assert [message.text async for message in ws] == ["last"]
    assert (ws.close_code, ws.close_reason) == (4000, "bye")
    with pytest.raises(WebSocketDisconnect) as raised:
        await ws.receive()
    assert raised.value.code == 4000


# The end


async def test_closing_twice_is_closing_once(ws, server):
    await ws.close(4000, "bye")
    await ws.close(4001)
    assert [(event["code"], event["reason"]) for event in server.events] == [(4000, "bye")]
    assert (ws.close_code, ws.close_reason) == (4000, "bye")


@pytest.mark.parametrize("arguments", [(1005,), (1006,), (999,), (5000,), ("1000",), (1000, "x" * 124)])
async def test_a_close_that_cannot_be_sent_leaves_the_socket_open(ws, server, arguments):
    with pytest.raises((TypeError, ValueError)):
        await ws.close(*arguments)
    assert not ws.closed
    assert server.sent == []


async def test_a_socket_that_is_let_go_of_while_it_is_open_is_closed_with_1006(ws):
    ws.release()
    assert ws.close_code == 1006
    with pytest.raises(WebSocketDisconnect):
        await ws.send("x")


async def test_every_socket_has_an_id_of_its_own_that_stays(ws):
    assert ws.id == ws.id
    assert ws.id != InboundWebSocket(transport_of(ws)).id
