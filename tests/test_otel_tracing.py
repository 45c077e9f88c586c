"""What OpenTelemetry's SDK is given, by its exporter in memory; and the ids of traces in the log."""

from __future__ import annotations

import asyncio
import json
import logging
import subprocess
import sys

import pytest
from opentelemetry import trace
from opentelemetry.context import Context
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, ParentBased

from django_fastws import FastWS, LiveError, Room, tracing
from django_fastws.logs import JsonFormatter
from django_fastws.testing import HandshakeDenied, connect, live
from django_fastws.tracing import ATTRIBUTES, KINDS
from tests.site import asgi  # noqa: F401 (sets Django up again)
from tests.support.spans import tracing_into_memory

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
TRACEPARENT = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


class User:
    pk = 7
    is_authenticated = True
    is_active = True


@pytest.fixture
def spans():
    with tracing_into_memory() as found:
        yield found


@pytest.fixture
def app(routes):
    """Routes and a room that do of everything something, with spans of their own within."""
    app, tracer = FastWS(), trace.get_tracer("tests")

    @app.websocket("/chat/{room}")
    async def chat(ws, room: str):
        with trace_here("before accept"):
            pass
        await ws.accept()
        with trace_here("set up"):
            await ws.join(room)
        async for message in ws:
            with trace_here("handled"):
                if message.text == "fail":
                    raise RuntimeError("no")
                if message.text == "mistake":
                    await ws.receive_json()
                await ws.broadcast(room, message.text)
        with trace_here("cleaned up"):
            pass

    def trace_here(name):
        return app.tracer.start_as_current_span(name)

    app.tracer = tracer
    return app


@pytest.fixture(autouse=True)
def of_this_provider(request, app, spans):
    app.tracer = spans.provider.get_tracer("tests")


@pytest.fixture
def tickets(app):
    room = app.room("tickets/{pk:int}")

    @room.state
    async def state(ws, pk: int) -> int:
        return pk

    @room.on("say")
    async def say(ws, room: Room, pk: int, text: str) -> int:
        logging.getLogger("mine").warning("said")
        with app.tracer.start_as_current_span("query"):
            await asyncio.sleep(0)
        await room.abroadcast({"text": text}, "said")
        return 1

    @room.on("fail")
    async def fail(ws, pk: int) -> None:
        raise RuntimeError("no")

    @room.on("refuse")
    async def refuse(ws, pk: int) -> None:
        raise LiveError("taken", "it is taken")

    return room


# Handshakes, and the messages of handlers


async def test_a_handshake_is_a_server_span_of_the_clients_trace_and_each_message_begins_one_of_its_own(spans, app):
    async with connect("/chat/lobby?token=secret", headers=TRACEPARENT) as ws:
        for text in ("one", "two"):
            await ws.send(text)
            assert await ws.receive_text() == text
    handshake = spans.one("WS /chat/{room}")
    assert (handshake.kind, handshake.trace, handshake.parent) == ("SERVER", TRACE, SPAN)
    assert handshake.attributes == {
        "http.route": "/chat/{room}",
        "http.request.method": "GET",
        "http.response.status_code": 101,
        "network.protocol.name": "websocket",
        "url.scheme": "ws",
        "fastws.transport": "asgi",
    }
    handler = spans.one("handler /chat/{room}")
    assert (handler.trace, handler.parent) == (TRACE, handshake.id)
    messages = spans.named("message /chat/{room}")
    assert [(span.kind, span.parent, span.links) for span in messages] == [("CONSUMER", "", [handshake.id])] * 2
    assert len({span.trace for span in messages} | {TRACE}) == 3
    assert messages[0].attributes["messaging.message.body.size"] == 3
    connections = {span.attributes["fastws.connection.id"] for span in (handler, *messages)}
    assert len(connections) == 1
    ended = spans.one("disconnect /chat/{room}")
    assert (ended.parent, ended.links, ended.attributes["fastws.close.code"]) == ("", [handshake.id], 1000)


async def test_what_a_handler_does_meanwhile_is_a_part_of_it(spans, app):
    async with connect("/chat/lobby") as ws:
        for text in ("one", "two"):
            await ws.send(text)
            await ws.receive()
    assert spans.one("before accept").parent == spans.one("WS /chat/{room}").id
    assert spans.one("set up").parent == spans.one("handler /chat/{room}").id
    messages = spans.named("message /chat/{room}")
    assert [span.parent for span in spans.named("handled")] == [span.id for span in messages]
    assert spans.one("cleaned up").parent == spans.one("disconnect /chat/{room}").id


async def test_a_span_ends_before_the_next_message_is_waited_for(spans, app):
    async with connect("/chat/lobby") as ws:
        await ws.send("one")
        await ws.receive()
        assert len(spans.named("message /chat/{room}")) == 1


async def test_sockets_beside_each_other_do_not_meet(spans, app):
    async with connect("/chat/tea") as ada, connect("/chat/milk") as bob:
        for _ in range(3):
            await asyncio.gather(ada.send("a"), bob.send("b"))
            await asyncio.gather(ada.receive(), bob.receive())
    by_id = {span.id: span for span in spans.all()}
    assert len(spans.named("message /chat/{room}")) == 6
    for span in spans.named("handled"):
        assert by_id[span.parent].name == "message /chat/{room}"
    connections = {}
    for span in spans.named("message /chat/{room}"):
        connections.setdefault(span.attributes["fastws.connection.id"], set()).update(span.links)
    assert [len(links) for links in connections.values()] == [1, 1]


async def test_a_handler_that_fails_is_an_error_and_a_clients_mistake_is_none(spans, app):
    async with connect("/chat/lobby") as ws:
        await ws.send("fail")
        await ws.wait_closed()
    failed = spans.one("message /chat/{room}")
    assert (failed.status, failed.errors, failed.attributes["error.type"]) == (
        "ERROR",
        ["RuntimeError"],
        "RuntimeError",
    )
    spans.clear()
    async with connect("/chat/lobby") as ws:
        await ws.send("mistake")
        await ws.send("{no JSON")
        await ws.wait_closed()
    assert [(span.status, span.errors) for span in spans.named("message /chat/{room}")] == [("UNSET", [])] * 2


async def test_denials_have_the_status_and_the_reason(spans, app):
    @app.websocket("/members", login_required=True)
    async def members(ws): ...

    @app.websocket("/broken")
    async def broken(ws):
        raise RuntimeError("no")

    @app.websocket("/closed")
    async def closed(ws):
        await ws.close()

    for path in ("/members", "/broken", "/closed", "/nowhere"):
        with pytest.raises(HandshakeDenied):
            async with connect(path):
                pass
    denied = spans.one("WS /members")
    assert denied.attributes["http.response.status_code"] == 401
    assert denied.attributes["fastws.denial"] == "login_required"
    assert denied.status == "UNSET"  # it is the client's affair
    broken_one = spans.one("WS /broken")
    assert (broken_one.attributes["http.response.status_code"], broken_one.status) == (500, "ERROR")
    assert broken_one.errors == ["RuntimeError"]
    assert spans.one("WS /closed").attributes["http.response.status_code"] == 403
    assert len(spans.all()) == 3  # no route was found for the fourth


async def test_a_handler_that_gives_up_waiting_and_fails_then_is_an_error_all_the_same(spans, app):
    @app.websocket("/impatient")
    async def impatient(ws):
        await ws.accept()
        try:
            async with asyncio.timeout(0.001):
                await ws.receive()
        except TimeoutError:
            raise RuntimeError("no") from None

    async with connect("/impatient") as ws:
        await ws.wait_closed()
    failed = [span for span in spans.all() if span.status == "ERROR"]
    assert [(span.name, span.errors) for span in failed] == [("handler /impatient", ["RuntimeError"])]


async def test_a_trace_of_its_own_for_what_a_handler_sends_by_itself(spans, app):
    @app.websocket("/ticks")
    async def ticks(ws):
        await ws.accept()
        for number in range(2):
            with app.tracer.start_as_current_span("tick", context=Context()):
                await ws.send(str(number))
        await ws.close()

    async with connect("/ticks") as ws:
        await ws.wait_closed()
    found = spans.named("tick")
    assert [span.parent for span in found] == ["", ""]
    assert spans.one("handler /ticks").trace not in {span.trace for span in found}


# Live rooms


async def test_joins_calls_and_leaves_have_names_of_patterns_and_events(spans, tickets):
    async with live() as client:
        for pk in (5, 6):
            room = await client.join(f"tickets/{pk}")
            assert await room.call("say", text="hi") == 1
            await room.leave()
    handshake = spans.one("WS /ws/live")
    for name in ("join tickets/{pk:int}", "call tickets/{pk:int} say", "leave tickets/{pk:int}"):
        found = spans.named(name)
        assert [(span.kind, span.parent, span.links) for span in found] == [("SERVER", "", [handshake.id])] * 2
        assert {span.attributes["rpc.service"] for span in found} == {"tickets/{pk:int}"}
    call = spans.named("call tickets/{pk:int} say")[0]
    assert call.attributes["rpc.system"] == "fastws"
    assert call.attributes["rpc.method"] == "say"
    assert spans.named("query")[0].parent == call.id
    assert not any("message" in name or "disconnect" in name for name in spans.names())


async def test_errors_of_calls_have_their_codes_and_only_the_servers_are_errors(spans, tickets):
    async with live() as client:
        room = await client.join("tickets/5")
        for event, data in (("fail", {}), ("refuse", {}), ("say", {"text": 5})):
            with pytest.raises(LiveError):
                await room.call(event, data)
    failed = spans.one("call tickets/{pk:int} fail")
    assert (failed.status, failed.errors, failed.attributes["error.type"]) == ("ERROR", ["RuntimeError"], "failed")
    refused, invalid = spans.one("call tickets/{pk:int} refuse"), spans.one("call tickets/{pk:int} say")
    assert (refused.status, refused.errors, refused.attributes["error.type"]) == ("UNSET", [], "taken")
    assert (invalid.status, invalid.errors, invalid.attributes["error.type"]) == ("UNSET", [], "invalid")


async def test_names_of_rooms_and_users_are_told_only_where_that_is_asked_for(app, tickets, spans):
    async def use():
        async with live(user=User()) as client:
            room = await client.join("tickets/5")
            await room.call("say", text="hi")
            await room.next("said")
        async with connect("/chat/lobby", user=User()) as ws:
            await ws.send("one")
            await ws.receive()

    await use()
    told = [str(value) for span in spans.all() for value in span.attributes.values()]
    assert not any("tickets/5" in text or "lobby" in text for text in told)
    assert not any("user.id" in span.attributes for span in spans.all())
    with tracing_into_memory(room_names=True, user_ids=True) as more:
        await use()
    assert more.one("call tickets/{pk:int} say").attributes["fastws.room"] == "tickets/5"
    assert more.one("broadcast tickets/{pk:int}").attributes["fastws.room"] == "tickets/5"
    assert more.one("fan-out tickets/{pk:int}").attributes["fastws.room"] == "tickets/5"
    assert more.one("broadcast").attributes["fastws.room"] == "lobby"
    for name in ("call tickets/{pk:int} say", "WS /chat/{room}", "message /chat/{room}"):
        assert more.one(name).attributes["user.id"] == "7"
    assert not any("5" in span.name or "lobby" in span.name for span in more.all())


# What is made


async def test_spans_have_the_attributes_of_the_table_and_no_others(app, tickets, spans):
    with tracing_into_memory(room_names=True, user_ids=True) as found:
        async with live(user=User()) as client:
            room = await client.join("tickets/5")
            await room.call("say", text="hi")
            await room.next("said")
            await room.leave()
        async with connect("/chat/lobby", user=User()) as ws:
            await ws.send("one")
            await ws.receive()
    words = {kind.word: kind for kind in KINDS}
    names = {attribute.name: attribute.kinds for attribute in ATTRIBUTES}
    own = [span for span in found.all() if span.name.split()[0] in words]
    assert len(own) >= 10
    for span in own:
        kind = words[span.name.split()[0]]
        assert span.kind.lower() == kind.side
        for name in span.attributes:
            assert kind in names[name], (span.name, name)


async def test_what_is_not_sampled_is_not_made_and_a_client_that_samples_decides(app, tickets):
    with tracing_into_memory(ParentBased(ALWAYS_OFF)) as found:
        async with connect("/chat/lobby") as ws:
            await ws.send("one")
            await ws.receive()
        assert found.all() == []
        async with connect("/chat/lobby", headers=TRACEPARENT) as ws:
            await ws.send("one")
            await ws.receive()
        assert found.names() == ["WS /chat/{room}", "handler /chat/{room}"]


async def test_a_second_call_takes_the_place_of_the_first(app, spans):
    with tracing_into_memory() as other:
        async with connect("/chat/lobby"):
            pass
    assert other.named("WS /chat/{room}")
    assert not spans.named("WS /chat/{room}")


@pytest.mark.usefixtures("db")  # consumers look after old connections, and other tests may have left some
async def test_consumer_classes_have_a_span_of_the_handshake(app, spans, caplog):
    from channels.generic.websocket import AsyncWebsocketConsumer

    @app.websocket("/consumer")
    class Echo(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            assert not trace.get_current_span().get_span_context().is_valid
            await self.send(text_data)

    async with connect("/consumer") as ws:
        await ws.send("one")
        assert await ws.receive_text() == "one"
    assert [(span.name, span.attributes["http.response.status_code"]) for span in spans.all()] == [
        ("WS /consumer", 101)
    ]


# The log


async def test_records_of_the_log_have_the_ids_of_the_span_that_they_are_made_in(spans, app, tickets, caplog):
    logging.getLogger("mine").warning("outside")
    async with live() as client:
        room = await client.join("tickets/5")
        await room.call("say", text="hi")
    async with connect("/chat/lobby") as ws:
        await ws.send("fail")
        await ws.wait_closed()
    records = {record.getMessage().partition(" ")[0]: record for record in caplog.records}
    call = spans.one("call tickets/{pk:int} say")
    assert (records["said"].trace_id, records["said"].span_id) == (call.trace, call.id)
    (failed,) = [record for record in caplog.records if record.name == "django_fastws.handlers"]
    message = spans.one("message /chat/{room}")
    assert (failed.trace_id, failed.span_id) == (message.trace, message.id)
    assert not hasattr(records["outside"], "trace_id")
    line = json.loads(JsonFormatter().format(records["said"]))
    assert (line["trace_id"], line["span_id"]) == (call.trace, call.id)
    assert "trace_id" not in json.loads(JsonFormatter().format(records["outside"]))


@pytest.mark.slow
def test_without_opentelemetry_the_error_says_what_to_install():
    code = "import sys; sys.modules['opentelemetry'] = None; import django_fastws.otel_tracing"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "pip install 'django-fastws[otel]'" in ran.stderr


def test_nothing_is_observed_where_nobody_has_asked_for_it(spans):
    (observer,) = tracing.observers
    tracing.uninstall(observer)
    assert tracing.observers == ()
