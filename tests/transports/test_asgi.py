"""The plain transport, with a server that is not there: order, slow clients, sends that are given up, ends."""

import asyncio
import contextlib
import gc
import logging

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from django_fastws import ClientState, FastWS, WebSocketDisconnect, metrics
from django_fastws._core.messages import Batch, Payload
from django_fastws.routing.endpoint import Endpoint
from django_fastws.routing.signatures import read_signature
from django_fastws.transports import asgi
from django_fastws.transports.find import find_transport
from tests.transports.fakes import Server, blocked, limits, start, turns, waiting

# Order


async def test_a_message_that_was_sent_has_been_sent_when_the_call_returns(server, transport):
    await transport.send_payload(Payload("one"))
    assert server.sent == ["one"]
    await transport.send_payload(Payload(b"two"))
    assert server.sent == ["one", b"two"]


async def test_a_post_does_not_wait_and_comes_in_its_turn(server, transport):
    transport.post(Payload("one"))
    transport.post(Payload("two"))
    assert server.sent == []
    await transport.send_payload(Payload("three"))
    assert server.sent == ["one", "two", "three"]


async def test_a_batch_is_an_event_for_each_message(server, transport):
    transport.post(Batch([Payload("one"), Payload(b""), Payload("three")]))
    await transport.send_payload(Payload("four"))
    assert server.sent == ["one", b"", "three", "four"]


async def test_a_transport_that_has_sent_all_holds_no_backlog(server, transport):
    first = await blocked(server, transport)
    transport.post(Batch([Payload("one"), Payload("two")]))
    assert waiting(transport)[0] == 2
    server.gate.set()
    await first
    await turns()
    assert not transport._outbox
    assert not transport.is_sending


async def test_what_is_sent_while_the_server_is_busy_comes_in_the_order_of_the_calls(server, transport):
    first = await blocked(server, transport)
    transport.post(Payload("second"))
    third = start(transport.send_payload(Payload("third")))
    await turns()
    transport.post(Payload("fourth"))
    closing = start(transport.close(4000, "bye"))
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
        transport = find_transport(server.scope, server.receive, server.send)
        tasks, called = [], []

        async def send(text):
            called.append(text)
            await transport.send_payload(Payload(text))

        for number, (operation, count) in enumerate(operations):
            if operation == "send":
                tasks.append(asyncio.create_task(send(str(number))))
            elif operation == "post":
                called.append(str(number))
                transport.post(Payload(str(number)))
            elif operation == "hold":
                server.gate.clear()
            elif operation == "go":
                server.gate.set()
            await turns(count)
        server.gate.set()
        await asyncio.gather(*tasks)
        await transport.close(1000, "")
        assert server.sent == [*called, 1000]
        transport.release()

    asyncio.run(run())


# Sends that are given up


async def test_a_send_that_is_given_up_while_it_waits_is_not_sent(server, transport):
    first = await blocked(server, transport)
    second = start(transport.send_payload(Payload("second")))
    third = start(transport.send_payload(Payload("third")))
    await turns()
    second.cancel()
    await turns()
    server.gate.set()
    await asyncio.gather(first, third)
    assert second.cancelled()
    assert server.sent == ["first", "third"]


async def test_sends_that_are_given_up_do_not_pile_up(server, transport):
    first = await blocked(server, transport)
    transport.post(Payload("posted"))
    for _ in range(100):
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(transport.send_payload(Payload("x" * 1000)), 0.001)
    assert waiting(transport) == (1, 6)
    server.gate.set()
    await first
    await turns()
    assert server.sent == ["first", "posted"]


async def test_a_send_that_is_given_up_in_the_server_does_not_stop_the_others(server, transport):
    first = await blocked(server, transport)
    transport.post(Payload("second"))
    first.cancel()
    await turns()
    server.gate.set()
    await turns()
    assert server.sent == ["second"]
    await transport.send_payload(Payload("third"))
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


@pytest.mark.parametrize(
    ("policy", "sent"),
    [
        ("drop_oldest", ["first", "3333", "4444"]),
        ("drop_newest", ["first", "1111", "2222"]),
        ("disconnect", ["first", 1013]),
    ],
)
async def test_a_full_buffer_is_treated_by_the_policy(server, transport, policy, sent, caplog):
    with limits(policy), caplog.at_level(logging.WARNING):
        first = await blocked(server, transport)
        for text in ("1111", "2222", "3333", "4444"):
            transport.post(Payload(text))
        server.gate.set()
        await first
        await turns()
    assert server.sent == sent
    (record,) = caplog.records
    assert "slow client" in record.getMessage()
    assert "'/x'" in record.getMessage()


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "disconnect"])
async def test_a_buffer_that_is_just_full_is_no_slow_client(server, transport, policy, caplog):
    with limits(policy):
        first = await blocked(server, transport)
        transport.post(Payload("12345"))
        transport.post(Payload("67890"))
        server.gate.set()
        await first
        await turns()
    assert server.sent == ["first", "12345", "67890"]
    assert caplog.records == []


@pytest.mark.parametrize("policy", ["drop_oldest", "drop_newest", "disconnect"])
async def test_one_message_over_the_buffer_is_sent_all_the_same(server, transport, policy):
    with limits(policy):
        transport.post(Payload("x" * 100))
        await turns()
    assert server.sent == ["x" * 100]


async def test_what_is_dropped_is_counted(server, transport):
    metrics.reset()
    with limits("drop_newest"):
        first = await blocked(server, transport)
        for _ in range(5):
            transport.post(Payload("1234567890"))
        assert transport.dropped == 4
        assert metrics.message_drops.by("policy") == {"drop_newest": 4}
        server.gate.set()
        await first


async def test_nothing_that_somebody_waits_for_is_dropped(server, transport):
    with limits("drop_oldest"):
        first = await blocked(server, transport)
        second = start(transport.send_payload(Payload("waited for")))
        await turns()
        transport.post(Payload("1111"))
        transport.post(Payload("2222"))
        server.gate.set()
        await asyncio.gather(first, second)
        await turns()
    assert server.sent[:2] == ["first", "waited for"]


async def test_a_message_for_which_no_room_can_be_made_is_counted_and_warned_of_once(server, transport, caplog):
    with limits("drop_oldest"):
        first = await blocked(server, transport)
        second = start(transport.send_payload(Payload("waited for")))
        await turns()
        for _ in range(5):
            transport.post(Payload("x"))
        assert (transport.dropped, len(caplog.records)) == (5, 1)
        server.gate.set()
        await asyncio.gather(first, second)


async def test_after_a_slow_client_was_disconnected_nothing_follows_the_close(server, transport):
    with limits("disconnect"):
        first = await blocked(server, transport)
        transport.post(Payload("1234567890"))
        transport.post(Payload("x"))
        second = start(transport.send_payload(Payload("second")))
        await turns()
        server.gate.set()
        await first
        with pytest.raises(WebSocketDisconnect) as raised:
            await second
    assert raised.value.code == 1013
    assert server.sent == ["first", 1013]


async def test_a_slow_client_gets_one_close(server, transport):
    with limits("disconnect"):
        first = await blocked(server, transport)
        transport.post(Payload("1234567890"))
        transport.post(Payload("x"))
        closing = start(transport.close(1000, ""))
        await turns()
        server.gate.set()
        await asyncio.gather(first, closing)
        await transport.close(1000, "")
    assert server.sent == ["first", 1013]


async def test_a_transport_that_was_closed_for_being_slow_says_so(server, transport):
    with limits("disconnect"):
        first = await blocked(server, transport)
        transport.post(Payload("1234567890"))
        transport.post(Payload("x"))
        server.gate.set()
        await first
        await turns()
    assert transport.state.status == (1013, "too slow")
    assert not transport.is_open
    with pytest.raises(WebSocketDisconnect) as raised:
        await transport.send_payload(Payload("x"), "send_text")
    assert (raised.value.code, raised.value.reason) == (1013, "too slow")
    assert "send_text()" in str(raised.value)


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

    await asyncio.wait_for(handler.as_asgi()(server.scope, server.receive, send), 5)
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
    await asyncio.wait_for(transport.close(4000, "bye"), 5)
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
