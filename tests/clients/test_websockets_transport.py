"""The WebSocket of an outbound route: the same object as on the server, in both spellings; and its reset."""

from __future__ import annotations

import asyncio
import datetime
import decimal
import uuid
from types import SimpleNamespace

import pytest
from websockets.protocol import State

from django_fastws import (
    ClientState,
    MessageTooBig,
    Room,
    WebSocketConnectionError,
    WebSocketDisconnect,
    WebSocketError,
    WebSocketException,
    WebSocketMessage,
    WebSocketStateError,
)
from django_fastws.clients.websockets_transport import WebsocketsTransport
from django_fastws.testing import connect
from tests.support.transports import transport_of

from .conftest import run, running
from .peers import closing, frame, listen, read_close, read_frame, shake_hands, soon

LIBRARIES = ("websockets", "picows", "plain")


async def test_every_way_to_send(app, peer):
    server = await peer(listen)

    @app.ws(server.url)
    async def speak(ws):
        await ws.send("größe")
        await ws.send(b"\x00\xff")
        await ws.send(bytearray(b"ab"))
        await ws.send({"ключ": [1, None]})
        await ws.send([])
        await ws.send_str("str")
        await ws.send_text("")
        await ws.send_bytes(b"")
        await ws.send_json("json")

    assert await run(app)
    visit = await server.visits[0].ended()
    assert visit.received == ["größe", b"\x00\xff", b"ab", '{"ключ":[1,null]}', "[]", "str", "", b"", '"json"']
    assert (visit.close_code, visit.close_reason) == (1000, "")


async def test_every_way_to_receive(app, peer):
    server = await peer()
    got = []

    @app.ws(server.url)
    async def converse(ws):
        for send, receive in (
            ("a", ws.recv),
            (b"b", ws.receive),
            ("c", ws.recv_str),
            ("d", ws.receive_text),
            (b"e", ws.recv_bytes),
            (b"", ws.receive_bytes),
            ({"g": 1}, ws.recv_json),
            (b"[2]", ws.receive_json),
        ):
            await ws.send(send)
            got.append(await receive())

    assert await run(app)
    assert got == [WebSocketMessage("a"), WebSocketMessage(b"b"), "c", "d", b"e", b"", {"g": 1}, [2]]
    assert (got[0].text, got[0].data, str(got[0])) == ("a", "a", "a")
    assert (got[1].text, got[1].data) == (None, b"b")


async def test_django_types_go_out_as_django_writes_them(app, peer):
    server = await peer(listen)
    one = uuid.UUID(int=1)

    @app.ws(server.url)
    async def speak(ws):
        await ws.send(
            {"at": datetime.datetime(2024, 1, 2, tzinfo=datetime.UTC), "d": decimal.Decimal("1.50"), "u": one}
        )

    assert await run(app)
    assert server.visits[0].received == [f'{{"at":"2024-01-02T00:00:00Z","d":"1.50","u":"{one}"}}']


async def test_async_for_takes_every_message_and_ends_with_the_connection(app, peer):
    async def count(ws, visit):
        for number in range(100):
            await ws.send(str(number))

    server = await peer(count)
    got, after = [], []

    @app.ws(server.url)
    async def read(ws):
        async for message in ws:
            got.append(int(message.text))
        after.append((ws.closed, ws.close_code, ws.client_state))

    assert await run(app)
    assert got == list(range(100))
    assert after == [(True, 1000, ClientState.DISCONNECTED)]


async def test_a_wrong_kind_and_bad_json_leave_the_socket_usable(app, peer):
    server = await peer()
    got = []

    @app.ws(server.url)
    async def converse(ws):
        for message, receive, error in (
            ("text", ws.recv_bytes, TypeError),
            (b"bytes", ws.recv_str, TypeError),
            ("{", ws.recv_json, ValueError),
            (b"\xff", ws.recv_json, ValueError),
        ):
            await ws.send(message)
            with pytest.raises(error):
                await receive()
        with pytest.raises(TypeError, match="send_json"):
            await ws.send(5)
        await ws.send("still here")
        got.append(await ws.recv_str())

    assert await run(app)
    assert got == ["still here"]


async def test_what_the_socket_tells_about_itself(app, peer):
    server = await peer()
    seen = {}

    @app.ws(f"{server.url}/feed?token=opensesame", tags=["market"], headers={"X-Asked": "yes"})
    async def look(ws):
        seen.update(
            closed=ws.closed,
            state=ws.client_state,
            code=ws.close_code,
            reason=ws.close_reason,
            local=ws.local_address,
            remote=ws.remote_address,
            attempt=ws.attempt,
            latency=ws.latency,
            tags=ws.tags,
            url=ws.url,
            upgrade=ws.headers["UPGRADE"],
            subprotocol=ws.subprotocol,
            token=ws.fencing_token,
            repr=repr(ws),
            ids={ws.id, ws.id},
        )

    assert await run(app)
    assert seen["local"] == server.visits[0].connection.remote_address
    assert len(seen.pop("ids")) == 1
    seen.pop("local")
    assert seen == {
        "closed": False,
        "state": ClientState.CONNECTED,
        "code": None,
        "reason": "",
        "remote": ("127.0.0.1", server.port),
        "attempt": 0,
        "latency": 0,
        "tags": ("market",),
        "url": f"{server.url}/feed?token=opensesame",
        "upgrade": "websocket",
        "subprotocol": None,
        "token": None,
        "repr": f"<WebSocket '{server.url}/feed?***' CONNECTED>",
    }


async def test_ping_returns_the_round_trip_in_seconds_and_sets_latency(app, peer):
    server = await peer()
    seen = []

    @app.ws(server.url)
    async def measure(ws):
        seen.extend([await ws.ping(), ws.latency])

    assert await run(app)
    assert 0 < seen[0] < 20
    assert seen[1] == seen[0]


async def test_many_pings_at_once(app, peer):
    server = await peer()
    seen = []

    @app.ws(server.url)
    async def measure(ws):
        seen.extend(await asyncio.gather(*(ws.ping() for _ in range(20))))

    assert await run(app)
    assert len(seen) == 20
    assert min(seen) > 0


async def test_pong_sends_a_pong_that_nobody_asked_for(app, raw_peer):
    heard = []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        heard.append(await read_frame(reader))

    server = await raw_peer(behave)

    @app.ws(server.url)
    async def beat(ws):
        await ws.pong()
        await ws.recv()

    await run(app)
    assert heard == [(10, b"")]


async def test_a_ping_that_is_never_answered_ends_with_the_connection(app, raw_peer):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        await read_frame(reader)

    server = await raw_peer(behave)
    raised = []

    @app.ws(server.url)
    async def measure(ws):
        try:
            await ws.ping()
        except WebSocketDisconnect as error:
            raised.append(error)

    await run(app)
    assert [(error.code, str(error)) for error in raised] == [
        (1006, "cannot call ping(): the connection is closed (1006)")
    ]


@pytest.mark.parametrize(
    ("arguments", "seen"),
    [
        ((), (1000, "")),
        ((1000, "done"), (1000, "done")),
        ((1001, "go"), (1001, "go")),
        ((4321, "größe"), (4321, "größe")),
        ((1008, "x" * 123), (1008, "x" * 123)),
    ],
)
async def test_the_peer_sees_code_and_reason_of_close(app, peer, log, arguments, seen):
    server = await peer()
    after = []

    @app.ws(server.url)
    async def leave(ws):
        await ws.close(*arguments)
        after.append((ws.closed, ws.close_code, ws.close_reason))
        await ws.close(4999, "twice does nothing")

    assert await run(app)
    visit = await server.visits[0].ended()
    assert (visit.close_code, visit.close_reason) == seen
    assert after == [(True, *seen)]
    assert log.endings == [f"{seen[0]} {seen[1]}".strip()]


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ((999,), ValueError),
        ((1005,), ValueError),
        ((1006,), ValueError),
        (("1000",), TypeError),
        ((1000, "x" * 124), ValueError),
    ],
)
async def test_a_close_that_cannot_be_sent_raises_and_leaves_the_socket_open(app, peer, arguments, error):
    server = await peer()
    got = []

    @app.ws(server.url)
    async def leave(ws):
        with pytest.raises(error):
            await ws.close(*arguments)
        await ws.send("open")
        got.append(await ws.recv_str())

    assert await run(app)
    assert got == ["open"]


async def test_a_closed_socket_says_so_to_every_call(app, peer):
    server = await peer(closing(4000, reason="enough"))
    raised = []

    @app.ws(server.url)
    async def late(ws):
        async for _ in ws:
            pass
        for call in (ws.recv, ws.recv_str, ws.recv_bytes, ws.recv_json, ws.ping, ws.pong, lambda: ws.send("x")):
            try:
                await call()
            except WebSocketDisconnect as error:
                raised.append((error.code, error.reason, isinstance(error, WebSocketConnectionError)))
        await ws.close()
        raised.append((ws.close_code, ws.close_reason, ws.closed))

    await run(app)
    assert raised == [(4000, "enough", True)] * 8


async def test_no_error_of_the_library_reaches_a_handler(app, raw_peer):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(b"half", fin=False))
        await writer.drain()

    server = await raw_peer(behave)
    raised = []

    @app.ws(server.url)
    async def read(ws):
        for call in (ws.recv, lambda: ws.send("x"), ws.ping):
            try:
                await call()
            except WebSocketError as error:
                raised.append(type(error))

    await run(app)
    assert raised == [WebSocketDisconnect] * 3


async def test_a_text_message_that_is_not_utf_8_closes_with_1007(app, raw_peer, log):
    sent = []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(b"\xff\xfe"))
        sent.append((await read_close(reader))[0])

    server = await raw_peer(behave)

    @app.ws(server.url)
    async def read(ws):
        await ws.recv()

    assert not await run(app)
    assert sent == [1007]
    assert log.endings[0].startswith("1006 (1007")


async def test_a_handler_that_only_sends_lets_others_have_their_turn(app, peer):
    server = await peer(listen)
    turns = []

    @app.ws(server.url, compression=None)
    async def speak(ws):
        others = asyncio.create_task(take_turns())
        for _ in range(5000):
            await ws.send("x")
        others.cancel()

    async def take_turns():
        while True:
            turns.append(1)
            await asyncio.sleep(0)

    assert await run(app)
    assert len(turns) >= 15
    assert len((await server.visits[0].ended()).received) == 5000


async def test_a_message_over_the_limit_is_not_sent(app, peer, settings):
    settings.FASTWS_MAX_MESSAGE_BYTES = 100
    server = await peer(listen)

    @app.ws(server.url)
    async def speak(ws):
        with pytest.raises(MessageTooBig):
            await ws.send("x" * 101)
        await ws.send("y" * 100)

    assert await run(app)
    assert server.visits[0].received == ["y" * 100]


async def test_a_receive_that_is_given_up_loses_no_message(app, raw_peer):
    go_on = asyncio.Event()

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.write(frame(b"one ", fin=False))
        await writer.drain()
        await go_on.wait()
        writer.write(frame(b"message", opcode=0) + frame((1000).to_bytes(2, "big"), opcode=8))
        await reader.read(100)

    server = await raw_peer(behave)
    got = []

    @app.ws(server.url)
    async def read(ws):
        for _ in range(3):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(ws.recv(), 0.01)
        go_on.set()
        got.append(await ws.recv_str())

    await run(app)
    assert got == ["one message"]


async def test_one_task_receives_and_many_send(app, peer):
    server = await peer()
    got = []

    @app.ws(server.url)
    async def converse(ws):
        sending = [asyncio.create_task(ws.send(str(number))) for number in range(50)]
        while len(got) < 50:
            got.append(int(await ws.recv_str()))
        await asyncio.gather(*sending)
        receiving = asyncio.create_task(ws.recv())
        await asyncio.sleep(0)
        with pytest.raises(WebSocketStateError, match="another task is receiving"):
            await ws.recv()
        await ws.send("last")
        assert (await receiving).text == "last"

    assert await run(app)
    assert sorted(got) == list(range(50))


async def test_websocket_exception_closes_with_its_code(app, peer, log):
    server = await peer()

    @app.ws(server.url)
    async def refuse(ws):
        raise WebSocketException(4003, "not for me")

    assert await run(app)
    visit = await server.visits[0].ended()
    assert (visit.close_code, visit.close_reason) == (4003, "not for me")
    assert log.endings == ["4003 not for me"]
    assert "Traceback" not in log.text


async def test_a_disconnect_that_is_not_caught_is_a_quiet_end(app, peer, log):
    server = await peer(closing(1000))

    @app.ws(server.url)
    async def read(ws):
        while True:
            await ws.recv()

    assert await run(app)
    assert log.endings == ["1000"]
    assert "Traceback" not in log.text


async def test_closing_after_an_unnoticed_close_of_the_peer_keeps_the_peers_code(app, peer):
    server = await peer(closing(4000, reason="bye", greet=False))
    seen = []

    @app.ws(server.url)
    async def late(ws):
        await transport_of(ws).connection.wait_closed()  # unlike ws.receive(), this tells the socket nothing
        await ws.close(1000)
        seen.append((ws.close_code, ws.close_reason))

    assert await run(app)
    assert seen == [(4000, "bye")]


async def test_a_handler_broadcasts_to_a_room_of_this_process(app, peer):
    async def feed(ws, visit):
        await ws.send('{"price":1}')
        await listen(ws, visit)

    server = await peer(feed)
    joined = asyncio.Event()

    @app.websocket("/page")
    async def page(ws):
        await ws.accept()
        await ws.join("market")
        joined.set()
        async for _ in ws:
            pass

    @app.ws(server.url)
    async def relay(ws):
        await joined.wait()
        async for message in ws:
            await Room("market").abroadcast(message.json())

    async with connect("/page", application=page.as_asgi()) as ws, running(app):
        assert await ws.receive_json(timeout=10) == {"price": 1}


async def test_close_waits_for_no_reader_of_what_is_still_coming(app, peer):
    """A handler that has seen enough of a flood is not kept by what it did not read."""

    async def flood(ws, visit):
        while True:
            await ws.send("x" * 10_000)

    server = await peer(flood, compression=None)

    @app.ws(server.url, close_timeout=60)
    async def sip(ws):
        await ws.recv()

    assert await run(app)
    assert (await server.visits[0].ended()).close_code == 1000


async def test_close_gives_up_on_a_peer_that_reads_nothing(app, raw_peer, log):
    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        writer.transport.pause_reading()
        await asyncio.Event().wait()

    async def fill(ws):
        while True:
            await ws.send(b"x" * 1_000_000)

    server = await raw_peer(behave, limit=1024)

    @app.ws(server.url, close_timeout=0.2, ping_interval=None)
    async def flood(ws):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(fill(ws), 0.5)

    await run(app)
    await soon(lambda: len(log.endings) == 1)


def test_a_library_that_does_not_show_its_frames_is_done_when_it_is_closed():
    connection = SimpleNamespace(state=State.CLOSED, protocol=SimpleNamespace(close_rcvd=None))
    assert WebsocketsTransport(connection, "ws://example.com/").ended() == (1006, "")


async def test_after_a_reset_nothing_more_goes_out(app, raw_peer):
    """The holder of a lease that is over must not be heard any more, also by a peer that reads late."""
    is_reset, ends = asyncio.Event(), []

    async def behave(reader, writer, number):
        await shake_hands(reader, writer)
        await is_reset.wait()
        try:
            while await reader.read(65536):
                pass
            ends.append("all was sent")
        except ConnectionResetError:
            ends.append("reset")

    server = await raw_peer(behave, limit=4096)

    @app.ws(server.url, ping_interval=None, compression=None)
    async def feed(ws):
        connection = transport_of(ws).connection
        while not connection.transport.get_write_buffer_size():  # first the system's buffers are filled
            await ws.send("x" * 10_000)
        transport_of(ws).reset()
        is_reset.set()
        await soon(lambda: ends)

    await run(app)
    assert ends == ["reset"]
