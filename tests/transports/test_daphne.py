"""What the transport mends on daphne, and what it leaves behind; on daphne's own protocol objects."""

import asyncio
import logging
from urllib.parse import unquote

import pytest

from django_fastws import WebSocketDisconnect
from django_fastws._core.messages import Payload
from django_fastws.transports import daphne_handshake, pings
from django_fastws.transports.find import find_transport
from tests.transports.connections import DAPHNE, Closed, connected, on
from tests.transports.fakes import limits, start, turns, wrapping

# The handshake


@on(*DAPHNE)
@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/chat/a;b?c=d;e", "/chat/a;b"),
        ("/chat/gr%C3%B6%C3%9Fe;%20b", "/chat/größe; b"),
        ("/chat/a", "/chat/a"),
        ("/chat/ab?;", "/chat/ab"),
        ("//x/chat/a", "//x/chat/a"),
        ("//x;y/chat/a;b?c", "//x;y/chat/a;b"),
        ("///chat/gr%C3%B6%C3%9Fe", "///chat/größe"),
    ],
)
async def test_the_path_is_all_that_was_asked_for(kind, target, path):
    async with connected(kind, path=target) as connection:
        scope = connection.transport.scope
        assert scope["path"] == path
        assert unquote(scope["raw_path"].decode()) == path


@on(DAPHNE[0])
@pytest.mark.parametrize("uri", ["/other;b", ""])
async def test_a_path_that_is_another_stays_as_it_is(kind, uri):
    def alter(receive, send):
        send.args[0].http_request_uri = uri
        return receive, send

    async with connected(kind, path="/chat/a", alter=alter) as connection:
        assert connection.transport.scope["path"] == "/chat/a"


@on(*DAPHNE)
async def test_headers_and_a_subprotocol_are_accepted(kind):
    headers = [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-a", b"gr\xf6")]
    async with connected(kind, accepts=False, subprotocols=["other", "chat"]) as connection:
        await connection.transport.accept("chat", headers)
        answer = await connection.client.answer()
        assert answer.status_code == 101
        assert answer.headers["Sec-WebSocket-Protocol"] == "chat"
        assert answer.headers.get_all("set-cookie") == ["a=1", "b=2"]
        assert "x-a" in answer.headers
        connection.transport.post(Payload("hi"))
        assert await connection.client.receive() == "hi"


@on(*DAPHNE)
async def test_a_denial_has_status_text_and_length(kind):
    async with connected(kind, accepts=False) as connection:
        assert connection.transport.can_deny
        await connection.transport.deny(404, "Nicht gefunden: ö", [(b"retry-after", b"5")])
        answer = await connection.client.answer()
    assert (answer.status_code, answer.reason_phrase) == (404, "Not Found")
    assert answer.body.decode() == "Nicht gefunden: ö"
    assert answer.headers["content-length"] == "18"
    assert answer.headers["connection"] == "close"
    assert answer.headers["retry-after"] == "5"


@on(*DAPHNE)
async def test_a_denial_may_have_no_length_and_come_in_pieces(kind):
    async with connected(kind, accepts=False) as connection:
        transport = connection.transport
        await transport.send({"type": "websocket.http.response.start", "status": 599, "headers": [(b"x-a", b"1")]})
        await transport.send({"type": "websocket.http.response.body", "body": b"ab", "more_body": True})
        await turns()
        assert connection.client.raw == b""
        await transport.send({"type": "websocket.http.response.body", "body": b"cd"})
        answer = await connection.client.answer()
    assert (answer.status_code, answer.body, answer.headers["content-length"]) == (599, b"abcd", "4")


@on(*DAPHNE)
async def test_an_open_connection_has_nothing_left_of_its_handshake(kind):
    async with connected(kind) as connection:
        left = vars(connection.protocol)
        assert left.keys() & daphne_handshake._HANDSHAKE == set()
        assert vars(connection.protocol) is left
        assert not hasattr(left["request"], "headers")
        assert left["request"].path == "/x"  # for the log


@on(*DAPHNE)
async def test_what_is_let_go_of_is_there_before(kind):
    async with connected(kind, accepts=False) as connection:
        known = {name for name in daphne_handshake._HANDSHAKE if hasattr(connection.protocol, name)}
        assert known >= daphne_handshake._HANDSHAKE - {"is_open", "http_response_data"}


@on(*DAPHNE)
async def test_the_http_channel_does_not_stop_the_reading_when_the_client_does_not_read(kind):
    async with connected(kind, socket_bytes=65_536) as connection:
        while connection.transport.try_send(Payload("x" * 20_000)):
            await turns()
        await connection.client.send("still heard")
        assert await asyncio.wait_for(connection.transport.receive_data(), 5) == "still heard"


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
            await asyncio.wait_for(connection.transport.receive_data(), 5)
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
        while connection.protocol.application_queue.qsize() < 2:  # noqa: ASYNC110
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
            await asyncio.wait_for(connection.transport.receive_data(), 5)
        assert (raised.value.code, raised.value.reason) == (code, "")
        assert connection.transport.lost_status() == (code, "")


@on(*DAPHNE)
async def test_a_connection_that_is_cut_twice_complains_of_nothing(kind, caplog):
    async with connected(kind) as connection:
        connection.transport.abort()
        connection.transport.abort()
        with pytest.raises(WebSocketDisconnect):
            await asyncio.wait_for(connection.transport.receive_data(), 5)
        connection.transport.abort()
        await turns()
    assert caplog.records == []


@on(*DAPHNE)
async def test_a_slow_client_that_has_gone_before_it_is_cut_off_is_gone_quietly(kind, caplog, monkeypatch):
    monkeypatch.setattr("django_fastws.transports.outbox._PATIENCE_SECONDS", 0.1)
    with limits("disconnect", 50_000), caplog.at_level(logging.ERROR):
        async with connected(kind, socket_bytes=65_536) as connection:
            for _ in range(30):
                connection.transport.post(Payload("x" * 20_000))
            assert await connection.client.receive_end() == Closed(1013, "too slow")
            await asyncio.sleep(0.2)
    assert caplog.records == []


# Pings


@on(*DAPHNE)
async def test_a_ping_returns_when_its_own_pong_has_come(kind):
    async with connected(kind) as connection:
        transport, client, protocol = connection.transport, connection.client, connection.protocol
        first, second = start(transport.ping()), start(transport.ping())
        await turns()
        assert len(transport._pings) == 2
        protocol.onPong(b"another")
        await turns()
        assert not first.done()
        assert not second.done()
        reading = start(client.receive())  # which answers
        assert await asyncio.wait_for(first, 5) > 0
        assert await asyncio.wait_for(second, 5) > 0
        assert len(transport._pings) == 0
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


@on(*DAPHNE)
async def test_a_ping_that_waits_is_told_of_the_end(kind, monkeypatch):
    async with connected(kind) as connection:
        waiting = start(connection.transport.ping())
        await turns()
        connection.transport.release()
        with pytest.raises(WebSocketDisconnect):
            await asyncio.wait_for(waiting, 5)
        assert "onPong" not in vars(connection.protocol)
    monkeypatch.setattr(pings, "_GLANCE", 0.05)
    async with connected(kind) as connection:
        waiting = start(connection.transport.ping())
        await turns()
        connection.client.reset()
        with pytest.raises(WebSocketDisconnect) as raised:
            await asyncio.wait_for(waiting, 5)
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
