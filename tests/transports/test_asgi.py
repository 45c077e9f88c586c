"""The plain ASGI transport on a server that is not there: how a connection ends, and how it is denied."""

import asyncio
import gc

import pytest

from django_fastws import FastWS, WebSocketDisconnect
from django_fastws._core.messages import Payload
from django_fastws.transports import asgi
from django_fastws.transports.find import find_transport
from tests.transports.fakes import Server, blocked, start, turns, waiting

# A close that is given up


async def close_given_up(ws):
    await ws.accept()
    posting = start(ws.send("first"))
    await asyncio.sleep(0)
    closing = start(ws.close(4000, "bye"))
    await asyncio.sleep(0)
    closing.cancel()
    await asyncio.wait([closing])
    ws.scope["gate"].set()
    await posting


async def test_a_close_that_was_given_up_is_made_up_for_when_the_handler_ends(server, routes):
    FastWS().websocket("/x")(close_given_up)
    server.scope["gate"] = server.gate
    server.inbox.put_nowait({"type": "websocket.connect"})

    async def send(event):
        await server.send(event)
        if event["type"] == "websocket.accept":
            server.gate.clear()

    await asyncio.wait_for(close_given_up.as_asgi()(server.scope, server.receive, send), 8)
    assert server.sent[:2] == ["accept", "first"]
    assert len(server.sent) == 3


# The end


@pytest.mark.parametrize("error", [OSError("gone"), ConnectionResetError(), RuntimeError("after close")])
async def test_a_connection_that_the_server_calls_closed_is_a_disconnect(server, transport, error):
    server.fails_with = error
    with pytest.raises(WebSocketDisconnect) as raised:
        await transport.send_payload(Payload("x"), "send_json")
    assert raised.value.code == 1006
    assert raised.value.__cause__ is error
    assert "send_json()" in str(raised.value)
    assert not transport.is_open


async def test_all_who_wait_are_told_when_the_connection_is_lost(server, transport):
    first = await blocked(server, transport)
    transport.post(Payload("posted"))
    others = [start(transport.send_payload(Payload("x"))) for _ in range(3)]
    closing = start(transport.close(1000, ""))
    await turns()
    server.fails_with = OSError()
    server.gate.set()
    results = await asyncio.gather(first, *others, closing, return_exceptions=True)
    assert [type(result) for result in results] == [WebSocketDisconnect] * 4 + [type(None)]
    assert server.sent == []
    assert waiting(transport)[0] == 0


async def test_a_post_to_a_lost_connection_is_dropped_in_silence(server, transport, caplog):
    server.fails_with = OSError()
    transport.post(Payload("x"))
    await turns()
    transport.post(Payload("y"))
    await turns()
    assert server.sent == []
    assert caplog.records == []


async def test_any_other_error_of_a_server_in_a_post_is_logged(server, transport, caplog):
    server.fails_with = ValueError("on purpose")
    transport.post(Payload("x"))
    await turns()
    assert [str(record.exc_info[1]) for record in caplog.records] == ["on purpose"]


@pytest.mark.parametrize("error", [NotImplementedError("on purpose"), RecursionError("on purpose")])
async def test_a_bug_of_middleware_is_no_lost_connection(server, routes, error, caplog):
    async def handler(ws):
        await ws.accept()
        await ws.send("x")

    FastWS().websocket("/x")(handler)
    server.inbox.put_nowait({"type": "websocket.connect"})

    async def send(event):
        if event["type"] == "websocket.send":
            raise error
        await server.send(event)

    await asyncio.wait_for(handler.as_asgi()(server.scope, server.receive, send), 8)
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("on purpose"),
        NotImplementedError("on purpose"),
    ],
)
async def test_one_who_waits_is_told_of_any_error_of_a_server(server, transport, error):
    first = await blocked(server, transport)
    second = start(transport.send_payload(Payload("second")))
    closing = start(transport.close(1000, ""))
    await turns()
    server.fails_with = error
    server.gate.set()
    await turns()
    gc.collect()  # an error that nobody retrieves is told here, and not in the middle of another test
    assert [task.done() for task in (first, second, closing)] == [True, True, True]


async def test_the_disconnect_event_is_remembered(server, transport):
    server.inbox.put_nowait({"type": "websocket.disconnect", "code": 4000, "reason": "bye"})
    assert transport.is_open
    assert (await transport.receive())["code"] == 4000
    assert transport.state.status == (4000, "bye")
    assert not transport.is_open


@pytest.mark.parametrize(
    ("event", "gone"),
    [
        ({"code": 1001}, (1001, "")),
        ({"code": None}, (1005, "")),
        ({}, (1005, "")),
        ({"code": 1001, "reason": None}, (1001, "")),
        ({"code": 1000, "reason": "bye"}, (1000, "bye")),
    ],
)
async def test_a_disconnect_event_without_code_or_reason(server, transport, event, gone):
    server.inbox.put_nowait({"type": "websocket.disconnect", **event})
    await transport.receive()
    assert transport.state.status == gone


async def test_what_this_end_closed_first_keeps_its_code(server, transport):
    await transport.close(4000, "mine")
    server.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000, "reason": "answer"})
    await transport.receive()
    assert transport.state.status == (4000, "mine")


async def test_closing_a_lost_connection_raises_nothing(server, transport):
    server.fails_with = OSError()
    await transport.close(1000, "")
    assert not transport.is_open


@pytest.mark.parametrize("is_idle", [True, False])
async def test_a_close_that_the_server_does_not_take_ends_all_the_same(server, transport, is_idle, monkeypatch):
    monkeypatch.setattr(asgi, "_CLOSE_SECONDS", 0.05)
    server.gate.clear()
    first = None if is_idle else await blocked(server, transport)
    cut = []
    monkeypatch.setattr(type(transport), "abort", lambda self: cut.append(self))
    await asyncio.wait_for(transport.close(4000, "bye"), 8)
    assert cut == [transport]
    assert not transport.is_open
    if first is not None:
        server.gate.set()
        await first
    await turns()
    assert server.sent == ([] if is_idle else ["first", 4000])


async def test_release_lets_go_of_all_that_waits(server, transport):
    first = await blocked(server, transport)
    transport.post(Payload("posted"))
    waiting = start(transport.send_payload(Payload("x")))
    await turns()
    transport.release()
    with pytest.raises(WebSocketDisconnect):
        await waiting
    server.gate.set()
    await first
    await turns()
    assert server.sent == ["first"]
    transport.post(Payload("late"))
    await turns()
    assert server.sent == ["first"]


async def test_release_leaves_no_task_behind(server):
    transport = find_transport(server.scope, server.receive, server.send)
    server.gate.clear()
    transport.post(Payload("x"))
    await server.sending.wait()
    transport.release()
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# The handshake


async def test_a_denial_has_status_and_text_where_the_server_can(server, transport):
    await transport.deny(404, "Nicht gefunden: größe")
    start, body = server.events
    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == 404
    assert (b"content-type", b"text/plain; charset=utf-8") in start["headers"]
    assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]
    assert body == {"type": "websocket.http.response.body", "body": "Nicht gefunden: größe".encode()}
    assert transport.state.is_answered


@pytest.mark.parametrize("extensions", [None, {}, {"tls": {}}])
async def test_a_denial_is_a_close_where_the_server_cannot(extensions):
    server = Server()
    server.scope["extensions"] = extensions
    await find_transport(server.scope, server.receive, server.send).deny(404, "Not Found")
    assert server.events == [{"type": "websocket.close"}]


async def test_a_client_that_left_before_its_denial_raises_nothing(server, transport):
    server.fails_with = OSError()
    await transport.deny(404, "Not Found")


async def test_a_plain_transport_cannot_ping(transport):
    with pytest.raises(NotImplementedError, match=r"ping\(\)"):
        await transport.ping()
    with pytest.raises(NotImplementedError, match=r"pong\(\)"):
        await transport.pong()
