"""What Sentry's SDK would send, by a transport in memory: whose events are, and that no client's mistake is one."""

from __future__ import annotations

import asyncio
import logging
import subprocess
import sys

import pytest
import sentry_sdk
from channels.generic.websocket import AsyncWebsocketConsumer
from sentry_sdk.transport import Transport

from django_fastws import FastWS, LiveError, Room, tracing
from django_fastws.sentry import FastWSIntegration
from django_fastws.testing import HandshakeDenied, connect, live, peer
from tests.site import asgi  # noqa: F401 (sets Django up again)


class User:
    is_authenticated = True
    is_active = True
    email = "ada@example.com"

    def __init__(self, pk):
        self.pk = pk


class InMemory(Transport):
    """Transport that keeps events."""

    events: list

    def capture_envelope(self, envelope):
        self.events.extend(item.payload.json for item in envelope.items if item.type == "event")


@pytest.fixture
def events(request):
    """Initializes the SDK; a mark's options are those of ``sentry_sdk.init``."""
    before = tracing.observers
    found, client, excepthook = [], sentry_sdk.get_client(), sys.excepthook
    transport = type("OfThisTest", (InMemory,), {"events": found})
    with sentry_sdk.isolation_scope(), sentry_sdk.new_scope():
        sentry_sdk.init(
            dsn="http://key@127.0.0.1:9/1",
            transport=transport,
            integrations=[FastWSIntegration()],
            default_integrations=True,
            auto_enabling_integrations=False,
            **getattr(request, "param", {}),
        )
        if tracing.observers == before:  # the SDK sets an integration up once in a process
            FastWSIntegration.setup_once()
        yield found
    for observer in tracing.observers:
        if observer not in before:
            tracing.uninstall(observer)
    sentry_sdk.get_client().close()
    sentry_sdk.get_global_scope().set_client(client if client.is_active() else None)
    sys.excepthook = excepthook  # which the SDK has replaced


with_users = pytest.mark.parametrize("events", [{"data_collection": {"user_info": True}}], indirect=True)


@pytest.fixture
def app(routes):
    app = FastWS()

    @app.websocket("/chat/{room}")
    async def chat(ws, room: str):
        await ws.accept()
        async for message in ws:
            if message.text == "mistake":
                await ws.receive_json()
            elif message.text != "note":
                raise RuntimeError(message.text)
            logging.getLogger("mine").warning("note of %s", ws.user.pk)
            await ws.send("noted")

    room = app.room("tickets/{pk:int}")

    @room.on_leave
    async def gone(ws, pk: int) -> None:
        if pk == 6:
            raise RuntimeError("on_leave")

    @room.state(shared=True)
    async def state(pk: int) -> int:
        if pk == 7:
            raise RuntimeError("state")
        return pk

    @room.on("fail")
    async def fail(ws, room: Room, pk: int, text: str = "") -> None:
        raise RuntimeError("call")

    @room.on("refuse")
    async def refuse(ws, pk: int) -> None:
        raise LiveError("taken", "it is taken")

    return app


def shown(event):
    """What is of interest of an event."""
    tags = {name.removeprefix("fastws."): value for name, value in event.get("tags", {}).items()}
    return event["transaction"], event["exception"]["values"][-1]["value"], tags


async def test_a_handler_that_fails_is_an_event_of_its_message(events, app):
    async with connect("/chat/lobby?token=secret", user=User(1)) as ws:
        await ws.send("broken")
        await ws.wait_closed()
    (event,) = events
    assert shown(event) == ("message /chat/{room}", "broken", {"kind": "message", "route": "/chat/{room}"})
    assert event.get("user") is None or "id" not in event["user"]
    assert "connection_id" in event["contexts"]["fastws"]
    assert "room" not in event["contexts"]["fastws"]


@with_users
async def test_users_and_names_of_rooms_are_told_where_personal_data_may_be_sent(events, app):
    async with connect("/chat/lobby", user=User(1)) as ws:
        await ws.send("broken")
        await ws.wait_closed()
    async with live(user=User(2)) as client:
        room = await client.join("tickets/5")
        with pytest.raises(LiveError):
            await room.call("fail")
    of_message, of_call = events
    assert of_message["user"] == {"id": "1", "email": "ada@example.com"}
    assert of_call["user"]["id"] == "2"
    assert of_call["contexts"]["fastws"]["room"] == "tickets/5"


async def test_calls_and_hooks_are_events_with_the_pattern_and_the_event(events, app):
    async with live() as client:
        room = await client.join("tickets/5")
        with pytest.raises(LiveError):
            await room.call("fail")
        with pytest.raises(LiveError):
            await client.join("tickets/7")
        room = await client.join("tickets/6")
        await room.leave()
    tickets = "tickets/{pk:int}"
    tags = {"route": "/ws/live", "room": tickets}
    assert [shown(event) for event in events] == [
        (f"call {tickets} fail", "call", {**tags, "kind": "call", "event": "fail"}),
        (f"join {tickets}", "state", {**tags, "kind": "join"}),
        (f"on_leave {tickets}", "on_leave", {**tags, "kind": "on_leave"}),
    ]


async def test_sockets_and_messages_do_not_share_breadcrumbs(events, app):
    async with connect("/chat/tea", user=User(1)) as ada, connect("/chat/tea", user=User(2)) as bob:
        for ws in (ada, bob, ada):
            await ws.send("note")
            assert await ws.receive_text() == "noted"
        await ada.send("broken")
        await ada.wait_closed()
        await bob.send("note")
        assert await bob.receive_text() == "noted"
    (event,) = events
    assert [crumb["message"] for crumb in event.get("breadcrumbs", {}).get("values", [])] == []


async def test_what_is_done_outside_is_not_of_any_message(events, app):
    async with connect("/chat/tea", user=User(1)) as ws:
        await ws.send("note")
        await ws.receive()
        logging.getLogger("mine").error("outside")
    (event,) = events
    assert "fastws.route" not in event.get("tags", {})


async def test_what_clients_do_wrong_is_no_event(events, app):
    @app.websocket("/members", login_required=True)
    async def members(ws): ...

    async with connect("/chat/lobby", user=User(1)) as ws:
        await ws.send("mistake")
        await ws.send("{no JSON")
        await ws.wait_closed()
    for path in ("/members", "/nowhere"):
        with pytest.raises(HandshakeDenied):
            async with connect(path):
                pass
    async with live() as client:
        room = await client.join("tickets/5")
        for event, data in (("refuse", {}), ("fail", {"text": 5}), ("unknown", {})):
            with pytest.raises(LiveError):
                await room.call(event, data)
        with pytest.raises(LiveError):
            await client.join("nowhere")
    assert events == []


@pytest.mark.usefixtures("db")  # consumers look after old connections, and other tests may have left some
async def test_consumer_classes_and_outbound_routes(events, app):
    @app.websocket("/consumer")
    class Failing(AsyncWebsocketConsumer):
        async def receive(self, text_data=None, bytes_data=None):
            raise RuntimeError("consumer")

    @app.ws(url="ws://peer.example/feed", name="feed")
    async def feed(ws):
        await ws.receive()
        raise RuntimeError("feed")

    async with connect("/consumer") as ws:
        await ws.send("x")
        await ws.wait_closed()
    async with peer("feed", raise_errors=False) as remote:
        await remote.send("x")
        await remote.wait_closed()
    assert shown(events[0]) == ("connection /consumer", "consumer", {"kind": "connection", "route": "/consumer"})
    assert shown(events[1]) == ("message feed", "feed", {"kind": "message", "route": "feed"})


async def test_an_sdk_that_was_initialized_without_it_gets_nothing(events, app):
    sentry_sdk.init(
        dsn="http://key@127.0.0.1:9/1", transport=type("Other", (InMemory,), {"events": events}), integrations=[],
        auto_enabling_integrations=False,
    )  # fmt: skip
    async with connect("/chat/lobby", user=User(1)) as ws:
        await ws.send("broken")
        await ws.wait_closed()
    (event,) = events
    assert "fastws.route" not in event.get("tags", {})


async def test_sockets_at_the_same_time_have_their_own_scopes(events, app):
    async def fail(number):
        async with connect("/chat/lobby", user=User(number)) as ws:
            await ws.send("note")
            await ws.receive()
            await ws.send(f"broken {number}")
            await ws.wait_closed()

    await asyncio.gather(*(fail(number) for number in range(3)))
    assert sorted(shown(event)[1] for event in events) == ["broken 0", "broken 1", "broken 2"]
    assert len({event["contexts"]["fastws"]["connection_id"] for event in events}) == 3


@pytest.mark.slow
def test_without_the_sdk_the_error_says_what_to_install():
    code = "import sys; sys.modules['sentry_sdk'] = None; import django_fastws.sentry"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert ran.returncode == 1
    assert "pip install 'django-fastws[sentry]'" in ran.stderr
