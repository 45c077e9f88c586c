"""Wires, with servers that are not there: order, slow clients, sends that are given up, what is behind send."""

import asyncio
import contextlib
import functools
import gc
import logging
import types
from urllib.parse import unquote

import pytest
from channels.sessions import InstanceSessionWrapper
from django.test import override_settings
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_fastws import ClientState, FastWS, WebSocketDisconnect
from django_fastws._core.messages import Payload
from django_fastws.endpoint import Endpoint
from django_fastws.signatures import read_signature
from django_fastws.wires import Wire, find_wire
from django_fastws.wires.daphne import _NEEDED, DaphneWire
from django_fastws.wires.uvicorn import UvicornWire


class Server:
    """The application's side of an ASGI server: what was sent, and a gate that holds back what is being sent."""

    def __init__(self, extensions=("websocket.http.response",)):
        self.scope = {
            "type": "websocket",
            "path": "/x",
            "headers": [],
            "query_string": b"",
            "subprotocols": [],
            "extensions": {name: {} for name in extensions},
        }
        self.events = []
        self.gate = asyncio.Event()
        self.gate.set()
        self.sending = asyncio.Event()
        self.fails_with = None
        self.inbox = asyncio.Queue()

    async def send(self, event):
        self.sending.set()
        await self.gate.wait()
        if self.fails_with is not None:
            raise self.fails_with
        self.events.append(event)

    async def receive(self):
        return await self.inbox.get()

    @property
    def sent(self):
        """The events in short: data of messages, codes of closes, else the type."""
        return [
            event.get("text", event.get("bytes")) if event["type"] == "websocket.send"
            else event.get("code", "deny") if event["type"] == "websocket.close"
            else event["type"].removeprefix("websocket.")
            for event in self.events
        ]  # fmt: skip


@pytest.fixture
async def server():
    return Server()


@pytest.fixture
async def wire(server):
    wire = find_wire(server.scope, server.receive, server.send)
    yield wire
    wire.release()


_started = set()


def start(coroutine):
    """A task that does not outlive the test, and whose error is not left behind."""
    task = asyncio.get_running_loop().create_task(coroutine)
    _started.add(task)
    return task


@pytest.fixture(autouse=True)
async def _end_of_tasks():
    yield
    tasks = list(_started)
    _started.clear()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


async def turns(count=10):
    """Let whatever can run, run."""
    for _ in range(count):
        await asyncio.sleep(0)


async def blocked(server, wire):
    """Begin to send "first", which the server does not take yet."""
    server.gate.clear()
    task = start(wire.send_payload(Payload("first")))
    await server.sending.wait()
    return task


# Order


async def test_a_message_that_was_sent_has_been_sent_when_the_call_returns(server, wire):
    await wire.send_payload(Payload("one"))
    assert server.sent == ["one"]
    await wire.send_payload(Payload(b"two"))
    assert server.sent == ["one", b"two"]


async def test_a_post_does_not_wait_and_comes_in_its_turn(server, wire):
    wire.post(Payload("one"))
    wire.post(Payload("two"))
    assert server.sent == []
    await wire.send_payload(Payload("three"))
    assert server.sent == ["one", "two", "three"]


async def test_what_is_sent_while_the_server_is_busy_comes_in_the_order_of_the_calls(server, wire):
    first = await blocked(server, wire)
    wire.post(Payload("second"))
    third = start(wire.send_payload(Payload("third")))
    await turns()
    wire.post(Payload("fourth"))
    closing = start(wire.close(4000, "bye"))
    await turns()
    assert server.sent == []
    server.gate.set()
    await asyncio.gather(first, third, closing)
    assert server.sent == ["first", "second", "third", "fourth", 4000]


OPERATIONS = st.lists(
    st.tuples(st.sampled_from(["send", "post", "turn", "hold", "go"]), st.integers(0, 3)), max_size=30
)


@settings(deadline=None, database=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(OPERATIONS)
def test_whatever_is_mixed_comes_in_the_order_of_the_calls(operations):
    async def run():
        server = Server()
        wire = find_wire(server.scope, server.receive, server.send)
        tasks, called = [], []

        async def send(text):
            called.append(text)
            await wire.send_payload(Payload(text))

        for number, (operation, count) in enumerate(operations):
            if operation == "send":
                tasks.append(asyncio.create_task(send(str(number))))
            elif operation == "post":
                called.append(str(number))
                wire.post(Payload(str(number)))
            elif operation == "hold":
                server.gate.clear()
            elif operation == "go":
                server.gate.set()
            await turns(count)
        server.gate.set()
        await asyncio.gather(*tasks)
        await wire.close(1000, "")
        assert server.sent == [*called, 1000]
        wire.release()

    asyncio.run(run())


# Sends that are given up


async def test_a_send_that_is_given_up_while_it_waits_is_not_sent(server, wire):
    first = await blocked(server, wire)
    second = start(wire.send_payload(Payload("second")))
    third = start(wire.send_payload(Payload("third")))
    await turns()
    second.cancel()
    await turns()
    server.gate.set()
    await asyncio.gather(first, third)
    assert second.cancelled()
    assert server.sent == ["first", "third"]


async def test_a_send_that_is_given_up_in_the_server_does_not_stop_the_others(server, wire):
    first = await blocked(server, wire)
    wire.post(Payload("second"))
    first.cancel()
    await turns()
    server.gate.set()
    await turns()
    assert server.sent == ["second"]
    await wire.send_payload(Payload("third"))
    assert server.sent == ["second", "third"]


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

    await asyncio.wait_for(close_given_up.as_asgi()(server.scope, server.receive, send), 5)
    assert server.sent[:2] == ["accept", "first"]
    assert len(server.sent) == 3


# Slow clients


def limits(policy):
    return override_settings(FASTWS_SEND_BUFFER_BYTES=10, FASTWS_SLOW_CONSUMER=policy)


@pytest.mark.parametrize(
    ("policy", "sent"),
    [
        ("drop_oldest", ["first", "3333", "4444"]),
        ("drop_newest", ["first", "1111", "2222"]),
        ("disconnect", ["first", 1013]),
    ],
)
async def test_a_full_buffer_is_treated_by_the_policy(server, wire, policy, sent, caplog):
    with limits(policy), caplog.at_level(logging.WARNING):
        first = await blocked(server, wire)
        for text in ("1111", "2222", "3333", "4444"):
            wire.post(Payload(text))
        server.gate.set()
        await first
        await turns()
    assert server.sent == sent
    (record,) = caplog.records
    assert "slow client" in record.getMessage()
    assert "'/x'" in record.getMessage()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "disconnect"])
async def test_a_buffer_that_is_just_full_is_no_slow_client(server, wire, policy, caplog):
    with limits(policy):
        first = await blocked(server, wire)
        wire.post(Payload("12345"))
        wire.post(Payload("67890"))
        server.gate.set()
        await first
        await turns()
    assert server.sent == ["first", "12345", "67890"]
    assert caplog.records == []


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "disconnect"])
async def test_one_message_over_the_buffer_is_sent_all_the_same(server, wire, policy):
    with limits(policy):
        wire.post(Payload("x" * 100))
        await turns()
    assert server.sent == ["x" * 100]


async def test_what_is_dropped_is_counted(server, wire):
    with limits("drop_newest"):
        first = await blocked(server, wire)
        for _ in range(5):
            wire.post(Payload("1234567890"))
        assert wire._backlog.dropped == 4
        server.gate.set()
        await first


async def test_nothing_that_somebody_waits_for_is_dropped(server, wire):
    with limits("drop_oldest"):
        first = await blocked(server, wire)
        second = start(wire.send_payload(Payload("waited for")))
        await turns()
        wire.post(Payload("1111"))
        wire.post(Payload("2222"))
        server.gate.set()
        await asyncio.gather(first, second)
        await turns()
    assert server.sent[:2] == ["first", "waited for"]


async def test_a_message_for_which_no_room_can_be_made_is_counted_and_warned_of_once(server, wire, caplog):
    with limits("drop_oldest"):
        first = await blocked(server, wire)
        second = start(wire.send_payload(Payload("waited for")))
        await turns()
        for _ in range(5):
            wire.post(Payload("x"))
        assert (wire._backlog.dropped, len(caplog.records)) == (5, 1)
        server.gate.set()
        await asyncio.gather(first, second)


async def test_after_a_slow_client_was_disconnected_nothing_follows_the_close(server, wire):
    with limits("disconnect"):
        first = await blocked(server, wire)
        wire.post(Payload("1234567890"))
        wire.post(Payload("x"))
        second = start(wire.send_payload(Payload("second")))
        await turns()
        server.gate.set()
        await first
        with pytest.raises(WebSocketDisconnect) as raised:
            await second
    assert raised.value.code == 1013
    assert server.sent == ["first", 1013]


async def test_a_slow_client_gets_one_close(server, wire):
    with limits("disconnect"):
        first = await blocked(server, wire)
        wire.post(Payload("1234567890"))
        wire.post(Payload("x"))
        closing = start(wire.close(1000, ""))
        await turns()
        server.gate.set()
        await asyncio.gather(first, closing)
        await wire.close(1000, "")
    assert server.sent == ["first", 1013]


async def test_a_wire_that_was_closed_for_being_slow_says_so(server, wire):
    with limits("disconnect"):
        first = await blocked(server, wire)
        wire.post(Payload("1234567890"))
        wire.post(Payload("x"))
        server.gate.set()
        await first
        await turns()
    assert wire.gone == (1013, "too slow")
    assert not wire.is_open
    with pytest.raises(WebSocketDisconnect) as raised:
        await wire.send_payload(Payload("x"), "send_text")
    assert (raised.value.code, raised.value.reason) == (1013, "too slow")
    assert "send_text()" in str(raised.value)


# The end


@pytest.mark.parametrize("error", [OSError("gone"), ConnectionResetError(), RuntimeError("after close")])
async def test_a_connection_that_the_server_calls_closed_is_a_disconnect(server, wire, error):
    server.fails_with = error
    with pytest.raises(WebSocketDisconnect) as raised:
        await wire.send_payload(Payload("x"), "send_json")
    assert raised.value.code == 1006
    assert raised.value.__cause__ is error
    assert "send_json()" in str(raised.value)
    assert not wire.is_open


async def test_all_who_wait_are_told_when_the_connection_is_lost(server, wire):
    first = await blocked(server, wire)
    wire.post(Payload("posted"))
    others = [start(wire.send_payload(Payload("x"))) for _ in range(3)]
    closing = start(wire.close(1000, ""))
    await turns()
    server.fails_with = OSError()
    server.gate.set()
    results = await asyncio.gather(first, *others, closing, return_exceptions=True)
    assert [type(result) for result in results] == [WebSocketDisconnect] * 4 + [type(None)]
    assert server.sent == []
    assert len(wire._backlog) == 0


async def test_a_post_to_a_lost_connection_is_dropped_in_silence(server, wire, caplog):
    server.fails_with = OSError()
    wire.post(Payload("x"))
    await turns()
    wire.post(Payload("y"))
    await turns()
    assert server.sent == []
    assert caplog.records == []


async def test_any_other_error_of_a_server_in_a_post_is_logged(server, wire, caplog):
    server.fails_with = ValueError("on purpose")
    wire.post(Payload("x"))
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

    await asyncio.wait_for(handler.as_asgi()(server.scope, server.receive, send), 5)
    assert any(record.exc_info for record in caplog.records)


@pytest.mark.parametrize(
    "error",
    [
        ValueError("on purpose"),
        NotImplementedError("on purpose"),
    ],
)
async def test_one_who_waits_is_told_of_any_error_of_a_server(server, wire, error):
    first = await blocked(server, wire)
    second = start(wire.send_payload(Payload("second")))
    closing = start(wire.close(1000, ""))
    await turns()
    server.fails_with = error
    server.gate.set()
    await turns()
    gc.collect()  # an error that nobody retrieves is told here, and not in the middle of another test
    assert [task.done() for task in (first, second, closing)] == [True, True, True]


async def test_the_disconnect_event_is_remembered(server, wire):
    server.inbox.put_nowait({"type": "websocket.disconnect", "code": 4000, "reason": "bye"})
    assert wire.is_open
    assert (await wire.receive())["code"] == 4000
    assert wire.gone == (4000, "bye")
    assert not wire.is_open


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
async def test_a_disconnect_event_without_code_or_reason(server, wire, event, gone):
    server.inbox.put_nowait({"type": "websocket.disconnect", **event})
    await wire.receive()
    assert wire.gone == gone


async def test_what_this_end_closed_first_keeps_its_code(server, wire):
    await wire.close(4000, "mine")
    server.inbox.put_nowait({"type": "websocket.disconnect", "code": 1000, "reason": "answer"})
    await wire.receive()
    assert wire.gone == (4000, "mine")


async def test_closing_a_lost_connection_raises_nothing(server, wire):
    server.fails_with = OSError()
    await wire.close(1000, "")
    assert not wire.is_open


async def test_release_lets_go_of_all_that_waits(server, wire):
    first = await blocked(server, wire)
    wire.post(Payload("posted"))
    waiting = start(wire.send_payload(Payload("x")))
    await turns()
    wire.release()
    with pytest.raises(WebSocketDisconnect):
        await waiting
    server.gate.set()
    await first
    await turns()
    assert server.sent == ["first"]
    wire.post(Payload("late"))
    await turns()
    assert server.sent == ["first"]


async def test_release_leaves_no_task_behind(server):
    wire = find_wire(server.scope, server.receive, server.send)
    server.gate.clear()
    wire.post(Payload("x"))
    await server.sending.wait()
    wire.release()
    await turns()
    assert asyncio.all_tasks() == {asyncio.current_task()}


# What the handler's socket tells of it


async def serve(server, handler):
    """Run a handler as the application of a server."""
    server.inbox.put_nowait({"type": "websocket.connect"})
    application = Endpoint(handler, read_signature(handler, {}))
    await asyncio.wait_for(application(server.scope, server.receive, server.send), 5)


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


# The handshake


async def test_a_denial_has_status_and_text_where_the_server_can(server, wire):
    await wire.deny(404, "Nicht gefunden: größe")
    start, body = server.events
    assert start["type"] == "websocket.http.response.start"
    assert start["status"] == 404
    assert (b"content-type", b"text/plain; charset=utf-8") in start["headers"]
    assert (b"content-length", str(len(body["body"])).encode()) in start["headers"]
    assert body == {"type": "websocket.http.response.body", "body": "Nicht gefunden: größe".encode()}
    assert wire.answered


@pytest.mark.parametrize("extensions", [None, {}, {"tls": {}}])
async def test_a_denial_is_a_close_where_the_server_cannot(extensions):
    server = Server()
    server.scope["extensions"] = extensions
    await find_wire(server.scope, server.receive, server.send).deny(404, "Not Found")
    assert server.events == [{"type": "websocket.close"}]


async def test_a_client_that_left_before_its_denial_raises_nothing(server, wire):
    server.fails_with = OSError()
    await wire.deny(404, "Not Found")


async def test_a_plain_wire_cannot_ping(wire):
    with pytest.raises(NotImplementedError, match=r"ping\(\)"):
        await wire.ping()
    with pytest.raises(NotImplementedError, match=r"pong\(\)"):
        await wire.pong()


# Which wire


async def test_an_unknown_server_has_the_plain_wire(server):
    wire = find_wire(server.scope, server.receive, server.send)
    assert type(wire) is Wire
    assert wire.name == "asgi"


async def test_a_wire_is_found_again_behind_its_own_receive_and_send(server, wire):
    scope = {**server.scope, "user": "ada"}
    again = find_wire(scope, wire.receive, wire.send)
    assert again is wire
    assert wire.scope is scope


async def test_a_wire_is_found_behind_channels_session_middleware(server, wire):
    sessions = InstanceSessionWrapper({**server.scope, "cookies": {}}, wire.send)
    assert find_wire(sessions.scope, wire.receive, sessions.send) is wire


def wrapping(function, log):
    async def wrapper(*args):
        log.append(args)
        return await function(*args)

    return wrapper


@pytest.mark.parametrize("wrapped", [("send",), ("receive",), ("send", "receive")])
async def test_middleware_keeps_its_place(server, wire, wrapped):
    log = []
    receive = wrapping(wire.receive, log) if "receive" in wrapped else wire.receive
    send = wrapping(wire.send, log) if "send" in wrapped else wire.send
    outer = find_wire(server.scope, receive, send)
    assert outer is not wire
    server.inbox.put_nowait({"type": "websocket.receive", "text": "in"})
    await outer.receive()
    await outer.send_payload(Payload("one"))
    outer.post(Payload("two"))
    await turns()
    await outer.close(1000, "")
    assert server.sent == ["one", "two", 1000]
    assert len(log) == ("receive" in wrapped) + 3 * ("send" in wrapped)
    outer.release()


async def test_a_wire_on_top_of_another_is_closed_with_it(server, wire):
    outer = find_wire(server.scope, wrapping(wire.receive, []), wire.send)
    await wire.close(4000, "bye")
    assert not outer.is_open
    with pytest.raises(WebSocketDisconnect) as raised:
        await outer.send_payload(Payload("x"))
    assert (raised.value.code, raised.value.reason) == (4000, "bye")


# daphne's


class Protocol:
    """What the wire needs of daphne's protocol object, which is autobahn's."""

    STATE_CLOSED, STATE_CONNECTING, STATE_CLOSING, STATE_OPEN = range(4)

    def __init__(self):
        self.state = self.STATE_CONNECTING
        self.remoteCloseCode = self.remoteCloseReason = None
        self.wasClean = False
        self.written = []
        self.replies = []
        self.closes = []
        self.messages = []
        self.pings = []
        self.application_queue = asyncio.Queue()
        self.handshake_deferred = types.SimpleNamespace(callback=self.accepted, errback=lambda failure: None)
        self.answer = None
        self.transport = types.SimpleNamespace(dataBuffer=b"", offset=0, _tempDataLen=0)

    def accepted(self, answer):
        self.answer = answer
        self.state = self.STATE_OPEN

    def handle_reply(self, message):
        self.replies.append(message)
        if message["type"] == "websocket.accept":
            self.state = self.STATE_OPEN

    def sendMessage(self, payload, isBinary=False):
        self.messages.append((payload, isBinary))

    def sendData(self, data):
        self.written.append(data)

    def sendCloseFrame(self, code=None, reasonUtf8=None):
        self.closes.append((code, reasonUtf8))
        self.state = self.STATE_CLOSING

    def sendClose(self, code=None, reason=None): ...

    def sendHttpErrorResponse(self, *args):
        self.written.append(b"daphne's own answer")

    def serverReject(self):
        del self.handshake_deferred
        self.sendHttpErrorResponse(403, "Access denied")

    def sendPing(self, payload=None):
        self.pings.append(payload)

    def sendPong(self, payload=None):
        self.pings.append("pong")

    def onPong(self, payload):
        self.pings.append(("daphne's own", payload))


class Daphne:
    async def handle_reply(self, protocol, message):
        protocol.handle_reply(message)


@pytest.fixture
async def protocol():
    return Protocol()


def daphne_wire(protocol, **scope):
    async def receive():
        return await protocol.application_queue.get()

    scope = {"type": "websocket", "path": "/x", "raw_path": b"/x", **scope}
    return find_wire(scope, receive, functools.partial(Daphne().handle_reply, protocol))


async def open_daphne_wire(protocol):
    wire = daphne_wire(protocol)
    await wire.accept(None, [])
    return wire


async def test_daphne_is_found(protocol):
    wire = daphne_wire(protocol)
    assert type(wire) is DaphneWire
    assert wire.scope["scheme"] == "ws"
    assert wire.can_deny


@pytest.mark.parametrize(
    ("uri", "raw_path", "path"),
    [
        ("/chat/a;b?c=d;e", b"/chat/a", "/chat/a;b"),
        ("/chat/gr%C3%B6%C3%9Fe;%20b", b"/chat/gr%C3%B6%C3%9Fe", "/chat/größe; b"),
        ("/chat/a", b"/chat/a", "/chat/a"),
        ("/chat/ab?;", b"/chat/ab", "/chat/ab"),
        ("/other;b", b"/chat/a", "/chat/a"),
        ("", b"/chat/a", "/chat/a"),
    ],
)
async def test_daphnes_path_has_what_stands_behind_a_semicolon(protocol, uri, raw_path, path):
    protocol.http_request_uri = uri
    wire = daphne_wire(protocol, path=unquote(raw_path.decode()), raw_path=raw_path)
    assert wire.scope["path"] == path
    assert unquote(wire.scope["raw_path"].decode()) == path


async def test_a_daphne_that_tells_no_raw_path_is_served(protocol):
    assert find_wire({}, None, functools.partial(Daphne().handle_reply, protocol)).is_open is False


@pytest.mark.parametrize("missing", _NEEDED)
async def test_a_daphne_that_lacks_something_has_the_plain_wire(protocol, missing):
    class Other:
        pass

    other = Other()
    for name in _NEEDED:
        if name != missing:
            setattr(other, name, getattr(protocol, name))
    wire = daphne_wire(other)
    assert type(wire) is Wire
    assert not wire.can_deny


@pytest.mark.parametrize(
    "send",
    [
        lambda protocol: functools.partial(Daphne().handle_reply, protocol, protocol),
        lambda protocol: functools.partial(wrapping(Daphne().handle_reply, []), protocol),
        lambda protocol: functools.partial(functools.partial, protocol),
        lambda protocol: wrapping(functools.partial(Daphne().handle_reply, protocol), []),
    ],
)
async def test_a_send_that_is_not_daphnes_has_the_plain_wire(protocol, send):
    assert type(find_wire({}, None, send(protocol))) is Wire


@pytest.mark.parametrize(
    "missing",
    [
        "application_queue",
        "handshake_deferred",
        "transport",
    ],
)
async def test_what_daphne_may_lack_besides_is_not_missed(protocol, missing):
    delattr(protocol, missing)
    wire = daphne_wire(protocol)
    protocol.state = protocol.STATE_OPEN
    wire.post(Payload("x"))
    assert wire.ended() is None
    protocol.state = protocol.STATE_CLOSED
    wire.post(Payload("x"))
    assert wire.ended() is None
    await wire.deny(404, "Not Found")


@pytest.mark.parametrize(
    "inside",
    [
        {"dataBuffer": b"x" * 99},
        {},
        {"dataBuffer": None, "offset": 0, "_tempDataLen": 0},
    ],
)
async def test_a_twisted_that_has_changed_inside_is_one_without_a_bound(protocol, inside):
    wire = await open_daphne_wire(protocol)
    protocol.transport = types.SimpleNamespace(**inside)
    with limits("disconnect"):
        wire.post(Payload("hi"))
    assert protocol.written == [b"\x81\x02hi"]


@pytest.mark.parametrize(
    ("unsent", "is_slow"),
    [
        ((b"", 0, 0), False),
        ((b"x" * 8, 0, 0), False),
        ((b"x" * 100, 92, 0), False),
        ((b"", 0, 9), True),
        ((b"x" * 9, 0, 0), True),
        ((b"x" * 5, 0, 5), True),
        ((b"x" * 100, 90, 0), True),
    ],
)
@pytest.mark.parametrize("policy", ["disconnect", "drop_oldest", "drop_newest"])
async def test_daphne_bounds_what_is_unsent(protocol, unsent, is_slow, policy, caplog):
    wire = await open_daphne_wire(protocol)
    transport = protocol.transport
    transport.dataBuffer, transport.offset, transport._tempDataLen = unsent
    with limits(policy), caplog.at_level(logging.WARNING):
        for _ in range(3):
            wire.post(Payload("hi"))
            if not is_slow:
                break
    assert protocol.written == ([] if is_slow else [b"\x81\x02hi"])
    assert protocol.closes == ([(1013, b"too slow")] if is_slow and policy == "disconnect" else [])
    assert ["slow client" in record.getMessage() for record in caplog.records] == [True] * is_slow
    assert bool(wire._backlog.dropped) is is_slow


async def test_daphne_goes_on_when_a_slow_client_has_caught_up(protocol):
    wire = await open_daphne_wire(protocol)
    with limits("drop_newest"):
        protocol.transport.dataBuffer = b"x" * 10
        wire.post(Payload("1"))
        protocol.transport.dataBuffer = b""
        wire.post(Payload("2"))
    assert protocol.written == [b"\x81\x012"]


async def test_one_message_over_the_buffer_is_sent_all_the_same_by_daphne(protocol):
    wire = await open_daphne_wire(protocol)
    with limits("disconnect"):
        wire.post(Payload("x" * 100))
    assert len(protocol.written) == 1


async def test_daphne_closes_a_slow_client_once(protocol):
    wire = await open_daphne_wire(protocol)
    protocol.transport.dataBuffer = b"x" * 10
    with limits("disconnect"):
        wire.post(Payload("1"))
    await wire.close(1000, "")
    assert protocol.closes == [(1013, b"too slow")]


async def test_daphne_writes_frames_also_of_empty_messages(protocol):
    wire = await open_daphne_wire(protocol)
    await wire.send_payload(Payload(""))
    await wire.send_payload(Payload(b""))
    wire.post(Payload("hi"))
    assert protocol.written == [b"\x81\x00", b"\x82\x00", b"\x81\x02hi"]


async def test_daphne_sends_the_events_of_consumers_also_empty_ones(protocol):
    wire = await open_daphne_wire(protocol)
    await wire.send({"type": "websocket.send", "text": ""})
    await wire.send({"type": "websocket.send", "bytes": b"", "text": None})
    assert len(protocol.messages) + len(protocol.written) == 2
    with pytest.raises(ValueError, match="either text or bytes"):
        await wire.send({"type": "websocket.send"})


@pytest.mark.parametrize(
    ("event", "close"),
    [
        ({}, (1000, None)),
        ({"code": None}, (1000, None)),
        ({"code": 1001}, (1001, None)),
        ({"code": 1011, "reason": "größe"}, (1011, "größe".encode())),
    ],
)
async def test_daphne_closes_with_any_code_and_reason(protocol, event, close):
    wire = await open_daphne_wire(protocol)
    await wire.send({"type": "websocket.close", **event})
    assert protocol.closes == [close]


async def test_daphne_accepts_with_headers(protocol):
    await daphne_wire(protocol).accept(
        "chat", [(b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"x-a", b"gr\xf6")]
    )
    assert protocol.answer == ("chat", {"set-cookie": ["a=1", "b=2"], "x-a": ["grö"]})


async def test_daphne_answers_a_denial(protocol):
    await daphne_wire(protocol).deny(404, "Nicht gefunden: ö")
    (answer,) = protocol.written
    head, body = answer.split(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404 Not Found\r\n")
    assert b"content-length: 18" in head
    assert b"connection: close" in head
    assert body == "Nicht gefunden: ö".encode()


async def test_daphne_answers_a_denial_that_has_no_length_and_comes_in_pieces(protocol):
    wire = daphne_wire(protocol)
    await wire.send({"type": "websocket.http.response.start", "status": 599, "headers": [(b"x-a", b"1")]})
    await wire.send({"type": "websocket.http.response.body", "body": b"ab", "more_body": True})
    assert protocol.written == []
    await wire.send({"type": "websocket.http.response.body", "body": b"cd"})
    assert protocol.written[0].startswith(b"HTTP/1.1 599 ")
    assert b"content-length: 4\r\n" in protocol.written[0]
    assert protocol.written[0].endswith(b"\r\n\r\nabcd")


async def test_daphne_tells_how_the_peer_closed(protocol):
    wire = await open_daphne_wire(protocol)
    protocol.state, protocol.wasClean = protocol.STATE_CLOSED, True
    protocol.remoteCloseCode, protocol.remoteCloseReason = 4000, "bye"
    protocol.application_queue.put_nowait({"type": "websocket.receive", "text": "unread"})
    protocol.application_queue.put_nowait({"type": "websocket.disconnect", "code": 4000})
    assert wire.ended() is None
    assert not wire.is_open
    with pytest.raises(WebSocketDisconnect) as raised:
        await wire.send_payload(Payload("x"))
    assert (raised.value.code, raised.value.reason) == (4000, "bye")
    await wire.receive()
    assert wire.ended() == (4000, "bye")
    assert await wire.receive() == {"type": "websocket.disconnect", "code": 4000, "reason": "bye"}


@pytest.mark.parametrize(
    ("clean", "code", "status"), [(False, None, (1006, "")), (True, None, (1005, "")), (True, 1001, (1001, ""))]
)
async def test_daphne_tells_a_cut_from_a_close_without_a_code(protocol, clean, code, status):
    wire = await open_daphne_wire(protocol)
    protocol.state, protocol.wasClean, protocol.remoteCloseCode = protocol.STATE_CLOSED, clean, code
    protocol.application_queue.put_nowait({"type": "websocket.disconnect", "code": code or 1005})
    assert wire.ended() == status


async def test_daphne_pings_and_measures(protocol):
    wire = await open_daphne_wire(protocol)
    first, second = start(wire.ping()), start(wire.ping())
    await turns()
    assert len(set(protocol.pings)) == 2
    payloads = list(protocol.pings)
    protocol.onPong(b"another")
    protocol.onPong(payloads[1])
    assert await second >= 0
    assert not first.done()
    protocol.onPong(payloads[0])
    assert await first >= 0
    assert ("daphne's own", payloads[0]) in protocol.pings


async def test_a_ping_that_waits_is_told_of_the_end(protocol):
    wire = await open_daphne_wire(protocol)
    waiting = start(wire.ping())
    await turns()
    protocol.state = protocol.STATE_CLOSED
    wire.release()
    with pytest.raises(WebSocketDisconnect):
        await waiting
    assert "onPong" not in vars(protocol)


async def test_daphne_under_middleware_that_wraps_receive_can_still_ping(protocol):
    wire = await open_daphne_wire(protocol)
    outer = find_wire(wire.scope, wrapping(wire.receive, []), wire.send)
    await outer.pong()
    assert protocol.pings == ["pong"]


async def test_daphne_under_middleware_that_wraps_send_can_still_ping(protocol):
    wire = await open_daphne_wire(protocol)
    outer = find_wire(wire.scope, wire.receive, wrapping(wire.send, []))
    await outer.pong()
    assert protocol.pings == ["pong"]


# uvicorn's


def uvicorn_protocol(**attributes):
    """An object of a class that seems to be uvicorn's."""

    async def send(self, event):
        self.events.append(event)

    cls = type("Protocol", (), {"__module__": "uvicorn.protocols.websockets.some_impl", "send": send})
    protocol = cls()
    protocol.events = []
    vars(protocol).update(attributes)
    return protocol


async def test_uvicorn_is_found():
    protocol = uvicorn_protocol()
    assert type(find_wire({}, None, protocol.send)) is UvicornWire


async def test_uvicorn_without_its_inside_knows_no_end():
    wire = find_wire({}, None, uvicorn_protocol().send)
    assert wire.ended() is None
    assert wire.closed_error("send").code == 1006


async def test_uvicorn_tells_the_end_once_all_is_received():
    queue = asyncio.Queue()
    wire = find_wire({}, queue.get, uvicorn_protocol(queue=queue).send)
    queue.put_nowait({"type": "websocket.receive", "text": "unread"})
    queue.put_nowait({"type": "websocket.disconnect", "code": 4000, "reason": "bye"})
    assert wire.ended() is None
    assert wire.closed_error("send").code == 4000
    await wire.receive()
    assert wire.ended() == (4000, "bye")


@pytest.mark.parametrize(
    ("event", "status"),
    [
        ({"code": 1005}, (1006, "")),
        ({"code": 1005, "reason": ""}, (1005, "")),
        ({"code": 1006}, (1006, "")),
        ({"code": 1001, "reason": "bye"}, (1001, "bye")),
    ],
)
async def test_uvicorn_tells_a_cut_from_a_close_without_a_code(event, status):
    queue = asyncio.Queue()
    wire = find_wire({}, queue.get, uvicorn_protocol(queue=queue).send)
    queue.put_nowait({"type": "websocket.disconnect", **event})
    event = await wire.receive()
    assert (event["code"], event["reason"]) == status
    assert wire.gone == status


async def test_uvicorn_takes_a_denial_for_an_answer():
    protocol = uvicorn_protocol(handshake_complete=False)
    wire = find_wire({"extensions": {"websocket.http.response": {}}}, None, protocol.send)
    await wire.deny(404, "Not Found")
    assert protocol.handshake_complete is True
    assert [event["type"] for event in protocol.events] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
