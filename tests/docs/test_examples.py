"""Every example of the documentation does what its page says."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
import urllib.error
import uuid
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import AsyncMock
from urllib.parse import quote

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import AnonymousUser, Group, User
from django.contrib.sessions.backends.db import SessionStore
from django.core.exceptions import PermissionDenied
from django.db import IntegrityError, transaction
from django.db.models.signals import post_save
from django.test import RequestFactory

from django_fastws import LiveError, Room, WebSocketConnectionError, WebSocketStateError
from django_fastws.asgi import get_asgi_application
from django_fastws.live import find
from django_fastws.models import OutboundRoute, Process, Socket
from django_fastws.models import Room as RoomModel
from django_fastws.signals import layer_lost, layer_restored, presence_joined, presence_left
from django_fastws.templatetags import fastws as fastws_tags
from django_fastws.testing import HandshakeDenied, ReceivedEvent, clear_histories, connect, live, virtual_time
from tests.docs import examples
from tests.docs.blocks import DOCS, blocks_of, pages
from tests.site.client import until
from tests.support.clock import Clock
from tests.support.processes import ASGIServer
from tests.support.signing import SECRET

HERE = Path(__file__)


@pytest.fixture
def example(routes):
    """Load an example; its signal receivers go when the test ends."""
    signals = (post_save, presence_joined, presence_left)
    receivers = [list(signal.receivers) for signal in signals]
    yield examples.load
    for signal, before in zip(signals, receivers, strict=True):
        signal.receivers = before
        signal.sender_receivers_cache.clear()


async def _denial(path, **options):
    with pytest.raises(HandshakeDenied) as caught:
        async with connect(path, **options):
            pass
    return caught.value.status, caught.value.text


def test_the_console_is_on_a_site_of_ones_own(example):
    operations = example("console_site").operations
    assert all(operations.is_registered(model) for model in (Process, Socket, RoomModel, OutboundRoute))


# Whether all are here


def test_every_example_is_tested_and_shown():
    source = HERE.read_text("utf-8")
    tested = set(re.findall(r"(?:example|examples\.load)\(\"(\w+)\"\)", source)) | set(RUN_ELSEWHERE)
    shown = {block.included.stem for page in pages() for block in blocks_of(page) if block.source.endswith(".py")}
    assert examples.names() == tested
    assert examples.names() == shown


#: Examples that are whole programs or need a project around them, with the tests that run them.
RUN_ELSEWHERE = {
    "notify": "test_a_broadcast_from_a_script_and_the_shell",
    "composed": "test_an_application_composed_by_hand",
    "htmx": "test_htmx",
    "one_file": "test_one_file",
    "one_file_client": "test_one_file",
    "live_tests": "test_live_tests",
    "live_client": "test_a_client_joins_calls_hears_and_comes_back",
}


def test_those_that_run_elsewhere_do():
    modules = ("followed", "integrations", "live_client")
    source = "".join(HERE.with_name(f"test_{name}.py").read_text("utf-8") for name in modules)
    assert all(f"def {test}(" in source for test in RUN_ELSEWHERE.values())


# The README's comparison


async def _transcript(application_path, application=None):
    """What two members of a room, and one of another, get to see."""
    heard = []
    async with (
        connect(f"{application_path}/größe?username=ada", application=application) as ada,
        connect(f"{application_path}/größe", application=application) as bob,
        connect(f"{application_path}/other", application=application) as eve,
    ):
        await ada.send("hello ✓")
        await bob.send("hi")
        for ws in (ada, bob):
            heard.append([await ws.receive_json(), await ws.receive_json()])
        assert await eve.receive_nothing()
    async with connect(f"{application_path}/größe", application=application) as late:
        assert await late.receive_nothing()
    return heard


@pytest.mark.django_db(transaction=True)  # consumers look after connections, at every message
async def test_the_chat_and_the_one_by_hand_do_the_same(example):
    from channels.routing import URLRouter
    from django.urls import path

    example("chat")
    consumer = example("chat_by_hand").ChatConsumer
    by_hand = URLRouter([path("ws/chat/<str:room>", consumer.as_asgi())])
    expected = [{"username": "ada", "message": "hello ✓"}, {"username": "Anonymous", "message": "hi"}]
    assert await _transcript("/ws/chat") == [expected, expected]
    assert await _transcript("/ws/chat", by_hand) == [expected, expected]


# Parameters


async def test_parameters_are_converted(example):
    example("parameters")
    path = "/ws/ticker/frankfurt?currency=EUR&limit=20&side=buy&symbol=ABC&symbol=XYZ"
    async with connect(f"{path}&above=12.50&since=2024-12-31&raw=true") as ws:
        assert await ws.receive_json() == {
            "market": "frankfurt",
            "currency": "EUR",
            "limit": 20,
            "side": "buy",
            "above": "12.50",
            "since": "2024-12-31",
            "symbols": ["ABC", "XYZ"],
            "raw": True,
        }
    async with connect("/ws/ticker/frankfurt?currency=EUR") as ws:
        told = await ws.receive_json()
        assert (told["limit"], told["side"], told["symbols"], told["raw"]) == (100, None, [], False)


async def test_parameters_that_do_not_fit_are_denied(example):
    example("parameters")
    (shown,) = [block for page in pages() for block in blocks_of(page) if block.text.startswith("query parameter")]
    assert await _denial("/ws/ticker/frankfurt?limit=many") == (400, shown.text.strip())
    assert (await _denial("/ws/ticker/Frankfurt am Main?currency=EUR"))[0] == 404
    assert (await _denial("/ws/ticker/x?currency=EUR&limit="))[0] == 400
    assert (await _denial("/ws/ticker/x?currency=GBP"))[0] == 400
    assert (await _denial("/ws/ticker/x?currency=%ff"))[0] == 400
    assert (await _denial("/ws/ticker/x?" + "a=1&" * 1001))[0] == 400


async def test_parameters_have_bounds_and_names_that_python_cannot_spell(example):
    example("parameters")
    async with connect("/ws/page?number=2&ids[]=4&ids%5B%5D=5") as ws:
        assert await ws.receive_json() == {"number": 2, "ids": [4, 5]}
    (page,) = [page for page in pages() if page.name == "query-parameters.md"]
    status, text = await _denial("/ws/page?number=0")
    assert status == 400
    assert text.removeprefix("query parameter 'number': ") in page.read_text()


async def test_a_converter_is_picked_by_the_annotation(example):
    example("parameters")
    order = uuid.uuid4()
    async with connect(f"/ws/orders/{order}") as ws:
        assert await ws.receive_json() == {"order": str(order)}
    assert (await _denial("/ws/orders/12"))[0] == 404


async def test_free_parameters_are_in_query_params(example):
    example("parameters")
    async with connect("/ws/search?filter-size=m&filter-size=l&page=2") as ws:
        assert await ws.receive_json() == {"filter-size": ["m", "l"]}


async def test_a_rule_that_no_type_says(example):
    example("parameters")
    start = dt.datetime(2024, 12, 31, tzinfo=dt.UTC)
    async with connect(f"/ws/window?start={start.isoformat()}&end=2024-12-31T00:01:00%2B00:00") as ws:
        assert await ws.receive_json() == {"seconds": 60}
    async with connect("/ws/window?start=2024-12-31T00:00:00&end=2024-12-30T00:00:00") as ws:
        assert await ws.wait_closed() == 1008
        assert ws.close_reason == "the end must come after the start"


# Outages


async def test_the_page_says_when_messages_are_late(example):
    module = example("outage")
    try:
        async with connect("/ws/board") as ada, connect("/ws/board") as bob:
            await ada.send("hello")
            assert await ada.receive_text() == await bob.receive_text() == "hello"
            await layer_lost.asend(None, error=OSError())
            assert await ada.receive_json() == await bob.receive_json() == {"type": "late"}
            await layer_restored.asend(None, error=OSError(), seconds=2.7)
            assert await ada.receive_json() == await bob.receive_json() == {"type": "back", "after": 3}
        assert not module.here
    finally:
        layer_lost.disconnect(module.say_late)
        layer_restored.disconnect(module.say_back)


# Messages, paths and the test client


async def test_messages_of_either_kind(example):
    example("receiving")
    async with connect("/ws/inbox") as ws:
        await ws.send(b"\0\1")
        assert await ws.receive_json() == {"kind": "binary", "bytes": 2}
        await ws.send('{"a": 1}')
        assert await ws.receive_json() == {"kind": "json", "value": {"a": 1}}
        await ws.send("not JSON")
        assert await ws.receive_json() == {"kind": "text", "text": "not JSON"}


async def test_typed_messages(example):
    example("typed_messages")
    async with connect("/orders") as ws:
        await ws.send_json({"side": "buy"})
        assert await ws.receive_json() == {"errors": {"count": ["Field required"]}}
        await ws.send_json({"side": "buy", "count": 3})
        assert await ws.receive_json() == {"done": "buy 3"}


async def test_a_live_room(example):
    module = example("live_room")
    room, params = find("tickets/5")
    assert (room, params) == (module.tickets, {"pk": 5})
    ws, say, state = SimpleNamespace(user=SimpleNamespace(username="ada")), room.events["say"], room.state_hook
    here = SimpleNamespace(abroadcast=AsyncMock())
    assert await say.call(ws, here, params, say.read({"text": "hi"})) == 1
    here.abroadcast.assert_awaited_once_with(module.Said(who="ada", text="hi"))
    assert state.encode(await state.call(ws, room(pk=5), params)) == b'[{"who":"ada","text":"hi"}]'
    with pytest.raises(LiveError, match="at most 2000 characters"):
        say.read({"text": "x" * 2001})
    with pytest.raises(PermissionDenied):
        await room.join_hook.call(ws, room(pk=0), {"pk": 0})


async def test_progress_and_what_others_do(example):
    module = example("progress")
    ada, bob = User(pk=17, username="ada"), User(pk=18, username="bob")
    (text,) = [block.text for block in blocks_of(DOCS / "howto" / "progress.md") if "test_progress" in block.text]
    names: dict = {}
    exec(text, names)
    await names["test_progress"](ada, bob)
    assert module.KEPT == {5: ["a", "b"]}
    async with live(user=ada) as one:
        room = await one.join("imports/6")
        with pytest.raises(LiveError, match="Row 2 is empty"):
            _ = [item async for item in room.stream("run", rows=["a", "", "c"])]
    assert module.KEPT[6] == ["a"]


# Histories


def _history_page(settings):
    """The template of the page, and one that shows a position of the context."""
    (text,) = [block.text for block in blocks_of(DOCS / "howto" / "history.md") if block.language == "html"]
    found = {"desk/ticket.html": text, "desk/async_ticket.html": '<ul data-since="{{ at }}">{{ said|length }}</ul>'}
    loaders = {"loaders": [("django.template.loaders.locmem.Loader", found)]}
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": loaders}]


def _since(response):
    return re.search(r'data-since="([^"]*)"', response.content.decode())[1]


async def test_a_page_goes_on_from_where_it_was_rendered(example, settings, monkeypatch):
    module = example("history")
    _history_page(settings)
    clear_histories()
    async with live(user=User(username="ada")) as ada, live(user=User(username="bob")) as bob:
        here = await ada.join("tickets/5")
        assert await here.call("say", text="<before>") == 1
        await here.next("said")
        page = await sync_to_async(module.ticket)(RequestFactory().get("/"), 5)
        assert '<li id="said-1">ada: &lt;before&gt;</li>' in page.content.decode()
        assert _since(page) == here.at == str(await module.tickets(pk=5).aposition())
        await here.call("say", text="after")
        there = await bob.join("tickets/5", since=_since(page))
        assert (there.recovered, there.state) == (True, None)
        assert (await there.next("said")).data == {"pk": 2, "who": "ada", "text": "after"}
        page = await module.ticket_of_async_view(RequestFactory().get("/"), 5)
        assert _since(page) == there.at
    await module.test_a_page_that_comes_back_has_missed_nothing()
    with monkeypatch.context() as patch:
        patch.setattr(Room, "aposition", AsyncMock(side_effect=WebSocketConnectionError("on purpose")))
        assert _since(await module.ticket_of_async_view(RequestFactory().get("/"), 5)) == ""


def test_the_position_of_a_page_is_read_before_what_it_shows(example, settings, monkeypatch):
    module = example("history")
    _history_page(settings)
    seen = []
    monkeypatch.setattr(fastws_tags, "page_position", lambda room: seen.append("position") or "e:1")
    monkeypatch.setattr(module, "SAID", SimpleNamespace(get=lambda pk, default: seen.append("said") or default))
    module.ticket(RequestFactory().get("/"), 5)
    assert seen == ["position", "said"]


async def test_a_history_is_read_and_a_key_counts_once(example):
    module = example("history")
    clear_histories()
    room = module.tickets(pk=5)
    for number in range(60):
        await room.abroadcast(module.Said(pk=number, who="", text=str(number)))
    await sync_to_async(module.close_ticket)(5)
    await sync_to_async(module.close_ticket)(5)

    async def audit(**query):
        found = await sync_to_async(module.audit)(RequestFactory().get("/", query), 5)
        return found.status_code, json.loads(found.content)

    _, newest = await audit()
    texts = [line["data"]["text"] for line in newest["lines"]]
    assert texts == [*map(str, range(11, 60)), "closed"]
    _, older = await audit(before=newest["before"])
    assert [line["data"]["text"] for line in older["lines"]] == list(map(str, range(11)))
    await room.aclear()
    assert (await audit(before=newest["before"]))[0] == (await audit(before="x"))[0] == 409
    assert await audit() == (200, {"lines": [], "before": None})


@pytest.mark.django_db(transaction=True)
def test_a_group_is_renamed_and_that_is_told_or_neither(example, monkeypatch):
    module = example("database_history")
    group = Group.objects.create(name="old")
    assert module.rename(group.pk, "new") == module.groups(pk=group.pk).position()
    (stored,) = module.groups(pk=group.pk).history()
    assert (stored.event, stored.data) == ("renamed", {"name": "new"})
    Group.objects.create(name="taken")
    with pytest.raises(IntegrityError):
        module.rename(group.pk, "taken")
    assert len(module.groups(pk=group.pk).history()) == 1


async def test_a_socket_of_ones_own_goes_on(example):
    module = example("history")
    clear_histories()
    first = await module.tickets(pk=5).abroadcast(module.Said(pk=1, who="ada", text="one"))
    await module.tickets(pk=5).abroadcast(second := module.Said(pk=2, who="ada", text="two"))
    async with connect(f"/ws/tickets/5?since={first}") as ws:
        assert await ws.receive_json() == second.model_dump()
        assert await ws.receive_nothing()
    async with connect("/ws/tickets/5") as ws:
        assert await ws.receive_json() == {"state": [], "at": str(await module.tickets(pk=5).aposition())}


async def test_prices_and_cursors_are_those_of_now(example):
    module = example("keyed")
    clear_histories()
    await module.test_a_page_begins_with_the_newest_prices()
    for bid in (1, 2):
        await sync_to_async(module.quote)("spot", "ETH", bid, 3)
    async with live(user=User(username="ada")) as ada, live(user=User(username="bob")) as bob:
        assert (await ada.join("prices/spot")).latest == {"ETH": {"bid": 2, "ask": 3}}
        await sync_to_async(module.delist)("spot", "ETH")
        assert (await ada.rooms["prices/spot"].next(key="ETH")).removed
        here, there = await ada.join("boards/5/cursors"), await bob.join("boards/5/cursors")
        await here.call("move", x=1, y=2)
        moved = await there.next()
        assert moved.data == {"who": "ada", "x": 1, "y": 2}
        assert await here.receive_nothing(0.01)
        await ada.reconnect()
        assert (await there.next()) == ReceivedEvent("latest", key=moved.key, removed=True)
        assert there.latest == here.latest == {}


async def test_who_is_here_is_shown_in_the_page_on_the_server_and_in_a_list_of_users(example):
    module = example("presence")
    clear_histories()
    module.LOG.clear()
    ada, bob = (User(pk=pk, username=name) for pk, name in ((5, "ada"), (6, "bob")))
    await module.test_who_closes_the_page_is_gone_after_the_grace()
    signals = [(kind, "tickets/7", key) for kind, key in (("joined", "5"), ("joined", "6"), ("left", "6"))]

    async def are_sent():
        return module.LOG[:3] == signals

    await until(are_sent, "the signals")
    async with virtual_time() as time, live(user=ada) as one, live(user=bob) as other:
        here = await one.join("tickets/5")
        await other.join("tickets/5")
        await here.next_presence(joined=bob)
        await other.rooms["tickets/5"].call("away", is_away=True)
        await time.advance(1)
        assert (await here.next_presence(changed=bob)).changed["6"].meta == {"name": "bob", "is_away": True}
        await here.send("typing", is_typing=True)
        typing = await other.rooms["tickets/5"].next("typing")
        assert (typing.data, typing.sender) == ({"is_typing": True}, "5")
        assert await sync_to_async(module.readers)(5) == ["ada", "bob"]
        async with connect("/ws/tickets/5", user=ada) as screen:
            await screen.send("who?")
            assert {"name": "a screen on the wall"} in await screen.receive_json()
        show = await one.join("shows/opera")
        await other.join("shows/opera")
        await time.advance(1)
        assert (show.count, show.present) == (2, {})


@pytest.mark.django_db(transaction=True)
async def test_users_have_a_dot(example):
    module = example("presence")
    clear_histories()
    ada = await User.objects.acreate(username="ada")
    await User.objects.acreate(username="bob")

    async def shown(view, *args):
        return json.loads((await sync_to_async(view)(None, *args)).content)

    async with virtual_time() as time, live(user=ada) as client:
        assert await shown(module.user, ada.pk) == {"last_seen": None}
        await client.join("tickets/5")
        users = [{"name": "ada", "is_online": True}, {"name": "bob", "is_online": False}]
        assert await shown(module.users) == {"users": users}
        await client.close()
        await time.advance(60)
        assert not (await shown(module.users))["users"][0]["is_online"]
        assert (await shown(module.user, ada.pk))["last_seen"]


HTML = {"chat/line.html": '<ul id="lines" hx-swap-oob="beforeend"><li>{{ text }}</li></ul>'}


async def test_html_over_a_live_room(example, settings):
    loaders = {"loaders": [("django.template.loaders.locmem.Loader", HTML)]}
    settings.TEMPLATES = [{"BACKEND": "django.template.backends.django.DjangoTemplates", "OPTIONS": loaders}]
    example("htmx_room")
    async with live() as ada, live() as bob:
        here, there = await ada.join("lines/kitchen"), await bob.join("lines/kitchen")
        assert await here.call("add", text="<b>tea</b>") is None
        line = await there.next("line")
        expected = '<ul id="lines" hx-swap-oob="beforeend"><li>&lt;b&gt;tea&lt;/b&gt;</li></ul>'
        assert line.data == {"html": expected}
        with pytest.raises(LiveError) as caught:
            await here.call("add", text="")
        assert list(caught.value.fields) == ["text"]


def _jwt(token, key, algorithms, options):
    """What PyJWT does, for the test's own tokens."""
    if not token.startswith("jwt-"):
        raise _BadToken
    assert (algorithms, options) == (["HS256"], {"require": ["exp", "user_id"]})
    return {"exp": 0, "user_id": int(token[4:])}


class _BadToken(Exception):
    pass


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("function", ["by_signature", "by_drf_token", "by_jwt"])
async def test_a_token_names_the_user(example, settings, monkeypatch, function):
    ada = await User.objects.acreate(username="ada")
    gone = await User.objects.acreate(username="gone", is_active=False)
    found = SimpleNamespace(filter=lambda key: SimpleNamespace(afirst=AsyncMock(return_value=by_key.get(key))))
    by_key = {f"drf-{user.pk}": SimpleNamespace(user_id=user.pk) for user in (ada, gone)}
    models = SimpleNamespace(Token=SimpleNamespace(objects=found))
    monkeypatch.setitem(sys.modules, "rest_framework.authtoken.models", models)
    monkeypatch.setitem(sys.modules, "jwt", SimpleNamespace(decode=_jwt, InvalidTokenError=_BadToken))
    module = example("tokens")
    settings.FASTWS_LIVE_AUTHENTICATE = getattr(module, function)

    def token_of(user):
        request = SimpleNamespace(user=user)
        made = {"by_signature": module.live_token(request).content.decode(), "by_drf_token": f"drf-{user.pk}"}
        return made.get(function, f"jwt-{user.pk}")

    async with live(token=token_of(ada)) as client:
        assert (await client.join("inbox")).state == "inbox of ada"
    for token in (token_of(gone), "nonsense"):
        with pytest.raises(LiveError, match="unauthenticated"):
            async with live(token=token):
                pass
    async with live() as client:
        with pytest.raises(LiveError) as caught:
            await client.join("inbox")
        assert caught.value.code == "unauthenticated"


ADA, BOB = User(pk=5, username="ada"), User(pk=6, username="bob")


async def test_the_desk_by_type_and_the_desk_by_event_do_the_same(example):
    example("by_type")
    async with connect("/ws/desk/5", user=ADA) as ada, connect("/ws/desk/5", user=BOB) as bob:
        await ada.send({"type": "typing"})
        await ada.send({"type": "say", "id": 1, "text": "hi"})
        assert await bob.receive_json() == {"type": "typing", "who": "ada"}
        assert await bob.receive_json() == {"type": "said", "who": "ada", "text": "hi"}
        assert await ada.receive_json(where={"type": "answer"}) == {"type": "answer", "id": 1, "value": 2}
        await ada.send({"type": "time", "id": 2})
        by_type = (await ada.receive_json(where={"id": 2}))["value"]
        for wrong in ({"type": "say", "text": ""}, {"type": "say", "text": 1}, {"type": "sing"}, {}, "hi", []):
            await ada.send(wrong)
            assert (await ada.receive_json())["type"] == "error"
    assert (await _denial("/ws/desk/5"))[0] == 401

    example("by_event")
    async with live(user=ADA) as one, live(user=BOB) as other, live() as nobody:
        ada, bob = await one.join("desk/5"), await other.join("desk/5")
        assert await ada.call("typing") is None
        assert await ada.call("say", text="hi") == 2
        assert (await bob.next()).data == {"who": "ada"}
        assert (await bob.next()).data == {"who": "ada", "text": "hi"}
        by_event = await ada.call("time")
        for event, text in (("say", ""), ("say", 1), ("sing", "la")):
            with pytest.raises(LiveError):
                await ada.call(event, text=text)
        with pytest.raises(LiveError):
            await nobody.join("desk/5")
    times = [dt.datetime.fromisoformat(value) for value in (by_type, by_event)]
    assert dt.timedelta(0) <= times[1] - times[0] < dt.timedelta(minutes=1)


async def test_the_test_client(example):
    example("receiving")
    module = example("client")
    await module.echoes()
    await module.passes_over()


async def test_the_client_of_live_rooms(example):
    example("live_room")
    module = example("testing_rooms")
    for name in _tests_of(module):
        await getattr(module, name)()


async def test_the_peer_of_an_outbound_route(example):
    module = example("feed")
    for name in _tests_of(module):
        await getattr(module, name)()


def _tests_of(module):
    return [name for name in vars(module) if name.startswith("test_")]


def test_paths_are_reversed(example):
    example("reversing").paths()


async def test_one_handler_without_the_routes(example):
    await example("one_handler").test_double()


# Broadcasts


@contextlib.asynccontextmanager
async def _member(room):
    async with connect(f"/ws/news/{room}") as ws:
        ws.told = await ws.receive_json()
        yield ws


def _post(view, **data):
    return view(RequestFactory().post("/", data))


async def test_a_view_broadcasts(example):
    module = example("broadcasting")
    async with _member("news") as ws:
        assert (await sync_to_async(_post)(module.publish, text="hello")).status_code == 204
        assert await ws.receive_json() == {"type": "news", "text": "hello"}


async def test_a_view_passes_on_what_a_room_is_told(example):
    response = await example("listening").ticket_events(RequestFactory().get("/"), 5)
    stream = aiter(response)
    first = asyncio.ensure_future(anext(stream))
    while not first.done():  # nothing tells that it listens
        await Room("tickets/5").abroadcast({"text": "hi"}, "said")
        await asyncio.sleep(0)
    assert await first == b'event: said\ndata: {"text":"hi"}\n\n'
    await stream.aclose()


async def test_an_async_view_broadcasts(example):
    module = example("broadcasting")
    async with _member("news") as ws:
        assert (await _post(module.apublish, text="hello")).status_code == 204
        assert await ws.receive_json() == {"type": "news", "text": "hello"}
    with pytest.raises(WebSocketStateError, match=r"await room\.abroadcast"):
        Room("news").broadcast("hello")


@pytest.mark.django_db(transaction=True)
async def test_a_signal_broadcasts_after_the_commit(example):
    example("broadcasting")

    @sync_to_async
    def create(name, fail=False):
        with contextlib.suppress(RuntimeError), transaction.atomic():
            user = User.objects.create(username=name)
            user.save()  # no second message: it is not created again
            if fail:
                raise RuntimeError
            return user

    async with _member("staff") as ws:
        await create("eve", fail=True)
        await create("ada")
        assert await ws.receive_json() == {"type": "user_created", "username": "ada"}
        assert await ws.receive_nothing()


@pytest.mark.django_db(transaction=True)
async def test_progress_does_not_wait_for_the_commit(example):
    module = example("broadcasting")

    @sync_to_async
    def fail():
        with contextlib.suppress(RuntimeError), transaction.atomic():
            module.import_users(["ada", "bob"])
            raise RuntimeError

    async with _member("imports") as ws:
        await fail()
        assert [await ws.receive_json(), await ws.receive_json()] == [{"done": 1, "of": 2}, {"done": 2, "of": 2}]
        assert await ws.receive_nothing()
        await sync_to_async(module.import_users)(["cleo"])
        assert [await ws.receive_json(), await ws.receive_json()] == [{"done": 1, "of": 1}, {"type": "finished"}]


async def test_an_admin_action_broadcasts(example):
    module = example("broadcasting")
    async with _member("user-7") as ws:
        await sync_to_async(module.tell_to_reload)(None, None, [User(pk=7), User(pk=8)])
        assert await ws.receive_json() == {"type": "reload"}
        assert await ws.receive_nothing()


async def test_a_task_broadcasts(example):
    module = example("broadcasting")
    async with _member("report-3") as ws:
        await asyncio.to_thread(module.finish_report, 3)
        assert await ws.receive_json() == {"type": "ready", "url": "/reports/3.pdf"}


async def test_everyone_but_one(example):
    module = example("broadcasting")
    async with _member("news") as sender, _member("news") as other:
        await sync_to_async(_post)(module.publish_to_others, text="hello", socket=sender.told["id"])
        assert await other.receive_json() == {"type": "news", "text": "hello"}
        assert await sender.receive_nothing()


def test_a_view_decides_what_an_unreachable_layer_means(example, monkeypatch):
    module = example("broadcasting")

    def out_of_reach(*args, **kwargs):
        raise WebSocketConnectionError("cannot broadcast")

    assert _post(module.publish_if_possible, text="hello").status_code == 204
    monkeypatch.setattr(module.Room, "broadcast", out_of_reach)
    assert _post(module.publish_if_possible, text="hello").status_code == 202


# Users and sessions


async def test_the_user_is_there(example):
    example("authentication")
    async with connect("/ws/whoami") as ws:
        assert await ws.receive_json() == {"username": "", "is_authenticated": False}
    async with connect("/ws/whoami", user=User(username="ada")) as ws:
        assert await ws.receive_json() == {"username": "ada", "is_authenticated": True}


async def test_only_some_are_let_in(example):
    example("authentication")
    assert await _denial("/ws/inbox", user=AnonymousUser()) == (403, "log in first")
    async with connect("/ws/inbox", user=User(pk=5)) as ws:
        await Room("user-5").abroadcast("for you")
        assert await ws.receive_text() == "for you"
    async with connect("/ws/drafts", user=AnonymousUser()) as ws:
        assert (await ws.wait_closed(), ws.close_reason) == (4401, "log in first")
    async with connect("/ws/drafts", user=User(pk=5)) as ws:
        assert await ws.receive_json() == {"type": "welcome"}


async def test_handlers_whose_user_has_a_type(example):
    example("typed_users")
    ada = User(pk=5, email="ada@example.com", first_name="Ada")
    async with connect("/ws/profile", user=ada) as ws:
        assert await ws.receive_json() == {"email": "ada@example.com"}
    assert await _denial("/ws/audit/north", user=ada) == (403, "staff only")
    ada.is_staff = True
    async with connect("/ws/audit/north", user=ada) as ws:
        assert await ws.receive_json() == {"shop": "north", "by": "Ada"}
    async with live(user=ada) as client:
        assert await (await client.join("desk")).call("whoami") == "ada@example.com"


async def test_a_decorator_keeps_the_parameters(example):
    example("authentication")
    assert await _denial("/ws/orders/north", user=User()) == (403, "staff only")
    staff = User(is_staff=True)
    async with connect("/ws/orders/north?only_open=no", user=staff) as ws:
        assert await ws.receive_json() == {"shop": "north", "only_open": False}
    assert (await _denial("/ws/orders/north?only_open=perhaps", user=staff))[0] == 400


@pytest.mark.django_db(transaction=True)
async def test_the_session_is_read_and_saved(example):
    example("authentication")
    session = SessionStore()
    session["basket"] = ["tea"]
    await session.acreate()
    async with connect("/ws/basket", cookies={"sessionid": session.session_key}) as ws:
        assert await ws.receive_json() == {"items": ["tea"]}
        await ws.send("cake")
        assert await ws.receive_json() == {"items": ["tea", "cake"]}
    assert await SessionStore(session.session_key).aget("basket") == ["tea", "cake"]


@pytest.mark.django_db(transaction=True)
async def test_a_token_is_a_user(example):
    module = example("authentication")
    ada = await User.objects.acreate(username="ada")
    application = get_asgi_application(websocket_middleware=[module.TokenMiddleware])
    cases = {
        f"Bearer {module.make_token(ada)}": "ada",
        "Bearer made-up": "",
        f"Bearer {module.make_token(User(pk=404))}": "",
        "Basic Zm9v": "",
    }
    for header, username in cases.items():
        async with connect("/ws/whoami", application=application, headers={"Authorization": header}) as ws:
            assert (await ws.receive_json())["username"] == username


# Moving, composing, middleware


@pytest.mark.django_db(transaction=True)  # consumers look after connections, at every message
async def test_a_consumer_and_a_handler_share_a_room(example):
    example("moving")
    async with connect("/ws/old/lobby") as old, connect("/ws/new/lobby") as new:
        for sender in (old, new):
            await sender.send("hello")
            assert [await ws.receive_json() for ws in (old, new)] == [{"message": "hello"}] * 2


@pytest.mark.django_db(transaction=True)
async def test_a_consumer_may_take_arguments(example):
    module = example("moving")

    class Limited(module.OldChat):
        def __init__(self, limit):
            super().__init__()
            self.limit = limit

        async def connect(self):
            self.room = "lobby"
            await self.accept()
            await self.send(text_data=str(self.limit))

    module.app.websocket("/limited")(Limited.as_asgi(limit=10))
    async with connect("/ws/limited") as ws:
        assert await ws.receive_text() == "10"


async def test_routes_are_mounted_by_hand(example):
    module = example("mounted")
    for path, application in {
        "/v2/chat/lobby": module.below,
        "/talk/lobby": module.alone,
        "/gossip/lobby": module.alone,
    }.items():
        async with connect(path, application=application) as ws:
            assert await ws.receive_text() == "lobby"
    async with connect("/v2/status", application=module.below) as ws:
        assert await ws.receive_text() == "up"
    assert (await _denial("/elsewhere", application=module.alone))[0] == 500


async def test_middleware_is_around_the_routes(example, settings):
    settings.ALLOWED_HOSTS = [".example"]
    module = example("middleware")
    async with connect("/ws/tenant", application=module.make_application(), headers={"Host": "north.example"}) as ws:
        assert await ws.receive_json() == {"tenant": "north"}

    told = []
    counting = module.CountingMiddleware(module.TenantMiddleware(module.tenant.as_asgi()), told.append)
    async with connect("/ws/tenant", application=counting, headers={"Host": "south.example"}) as ws:
        assert await ws.receive_json() == {"tenant": "south"}
    assert [re.sub(r"\d+ s$", "... s", line) for line in told] == ["/ws/tenant: 1 messages in ... s"]


# Heartbeats


async def test_an_idle_socket_is_closed(example):
    clock = Clock()
    example("heartbeats")
    async with connect("/ws/idle") as ws:
        await clock.advance(59)
        await ws.send("hello")
        assert await ws.receive_text() == "hello"
        await clock.advance(59)
        assert await ws.receive_nothing()
        await clock.advance(2)
        assert (await ws.wait_closed(), ws.close_reason) == (1008, "idle for too long")


async def test_a_patient_handler_asks(example):
    module = example("heartbeats")
    module.PATIENCE_SECONDS = 0.05
    async with connect("/ws/patient") as ws:
        assert await ws.receive_json() == {"type": "are you there?"}
        await ws.send("yes")
        while (told := await ws.receive_text()) != "yes":
            assert json.loads(told) == {"type": "are you there?"}


async def test_a_lifetime_ends(example):
    clock = Clock()
    example("heartbeats")
    async with connect("/ws/limited") as ws:
        await clock.advance(3599)
        await ws.send("hello")
        assert await ws.receive_text() == "hello"
        await clock.advance(2)
        assert await ws.wait_closed() == 1013


# Limits and rules


async def test_a_route_says_what_it_stands(example):
    example("limits")
    ada = User(pk=5, username="ada")
    assert await _denial("/ws/chat/lobby", user=AnonymousUser()) == (401, "log in first")
    async with contextlib.AsyncExitStack() as stack:
        sockets = [await stack.enter_async_context(connect("/ws/chat/lobby", user=ada)) for _ in range(5)]
        assert (await _denial("/ws/chat/lobby", user=ada))[0] == 429
        await sockets[0].send("hello")
        for ws in sockets:
            assert await ws.receive_json() == {"username": "ada", "message": "hello"}
        await sockets[0].send("x" * 4097)
        assert await sockets[0].wait_closed() == 1009
        for _ in range(50):
            await sockets[1].send("flood")
        assert await sockets[1].wait_closed() == 1008


async def test_a_route_has_room_for_two(example):
    example("limits")
    async with connect("/ws/export") as ws:
        assert await ws.receive_json() == {"done": 100}
        assert (await _denial("/ws/export"))[0] == 429


@pytest.mark.django_db(transaction=True)
async def test_moderators_are_let_in_and_members_of_a_group(example):
    example("limits")
    root = await User.objects.acreate(username="root", is_superuser=True)
    ada = await User.objects.acreate(username="ada")
    await ada.groups.aadd(await Group.objects.acreate(name="chess"))
    assert await _denial("/ws/moderation", user=ada) == (403, "permission denied")
    assert await _denial("/ws/moderation", user=AnonymousUser()) == (401, "log in first")
    async with connect("/ws/moderation", user=root) as ws:
        await ws.send({"report": 1})
        assert await ws.receive_json() == {"report": 1}
    async with connect("/ws/groups/chess", user=ada) as ws:
        assert await ws.receive_json() == {"group": "chess"}
    assert await _denial("/ws/groups/golf", user=ada) == (403, "permission denied")
    assert await _denial("/ws/groups/chess", user=root) == (403, "permission denied")


async def test_a_page_shows_what_was_counted(example):
    module = example("limits")
    before = json.loads(module.health(None).content)
    root = User(pk=1, is_superuser=True)
    async with connect("/ws/moderation", user=root), connect("/ws/moderation", user=root):
        await _denial("/ws/moderation", user=AnonymousUser())
        told = json.loads(module.health(None).content)
    assert told["connections"] == before["connections"] + 2
    assert told["denied"]["permission"] == before["denied"].get("permission", 0) + 1


@pytest.mark.django_db(transaction=True)
async def test_a_user_is_banned_and_another_leaves(example, rf):
    module = example("limits")
    ada, bob = [await User.objects.acreate(username=name) for name in ("ada", "bob")]
    async with connect("/ws/chat/lobby", user=ada) as adas, connect("/ws/chat/lobby", user=bob) as bobs:
        await sync_to_async(module.ban)(None, ada.pk)
        assert (await adas.wait_closed(), adas.close_reason) == (4403, "banned")
        assert not await User.objects.filter(pk=ada.pk, is_active=True).aexists()
        request = rf.get("/")

        async def auser():
            return bob

        request.auser = auser
        await module.leave_everywhere(request)
        assert (await bobs.wait_closed(), bobs.close_reason) == (4401, "signed out everywhere")


async def test_a_heart_beats_until_the_end(example):
    module = example("heartbeats")
    module.BEAT_SECONDS = 0.01
    before = asyncio.all_tasks()
    async with connect("/ws/beating") as ws:
        assert [await ws.receive_json() for _ in range(3)] == [{"type": "beat"}] * 3
    assert asyncio.all_tasks() == before


async def test_a_task_group_ends_with_its_socket(example, caplog):
    example("heartbeats")
    before = asyncio.all_tasks()
    async with connect("/ws/ticking") as ws:
        assert await ws.receive_json() == {"type": "tick", "number": 0}
        await ws.send("hello")
        while (told := await ws.receive_json())["type"] == "tick":
            pass
        assert told == {"type": "echo", "text": "hello"}
    assert asyncio.all_tasks() == before
    assert not caplog.records


async def test_a_round_trip_cannot_be_measured_everywhere(example):
    example("heartbeats")
    async with connect("/ws/measured") as ws:
        assert await ws.receive_json() == {"type": "unknown"}


# With real servers


@pytest.fixture
def server_of(serve):
    """A real server with the routes of one example."""

    def start(name, kind="daphne", **options) -> ASGIServer:
        environment = {"DOCS_EXAMPLE": name}
        return serve(kind, app="tests.docs.site:application", environment=environment, **options)

    return start


async def _first(server, path):
    from websockets.asyncio.client import connect as ws_connect

    async with ws_connect(server.url(quote(path, safe="/?=&"))) as ws:
        return json.loads(await asyncio.wait_for(ws.recv(), 30))


@pytest.mark.server
@pytest.mark.parametrize("options", [(), ("uvicorn",)], ids=["daphne", "uvicorn"])
async def test_a_round_trip_is_measured(server_of, options):
    told = await _first(server_of("heartbeats", *options), "/ws/measured")
    assert told["type"] == "round_trip"
    assert 0 < told["seconds"] < 20


PUBLISH = "/realtime/publish"


@pytest.fixture
def publishing(serve):
    """A server with HTTP publish."""
    return serve("uvicorn", settings={"FASTWS_PUBLISH_KEYS": {"shop": {"secret": SECRET, "rooms": ["log/*", "raw"]}}})


@pytest.mark.server
def test_another_program_publishes_once_though_it_sends_twice(example, publishing):
    publish, url = example("publish_over_http").publish, publishing.http_url(PUBLISH)
    items = [
        {"room": "log/1", "event": "noted", "data": {"text": "größe ✓"}, "idempotency_key": "one"},
        {"room": "orders/5", "data": 1},
        {"room": "raw", "data": "text"},
    ]
    for _ in range(2):
        noted, other, raw = publish(url, "shop", SECRET, items)
        assert noted["at"].endswith(":1")
        assert other["error"]["code"] == "forbidden"
        assert raw == {"at": None}
    with pytest.raises(urllib.error.HTTPError) as refused:
        publish(url, "shop", "another", items)
    with refused.value as error:
        assert error.code == 401


@pytest.mark.server
@pytest.mark.skipif(not (shutil.which("curl") and shutil.which("openssl")), reason="needs curl and openssl")
def test_an_order_is_published_with_curl(publishing):
    (block,) = [one for one in blocks_of(DOCS / "howto" / "publish-over-http.md") if one.language == "console"]
    script = "set -eu\n" + block.text.replace("$ ", "", 1).replace("\n$ ", "\n").replace("orders/5", "raw")
    environment = {"PATH": os.environ["PATH"], "SECRET": SECRET, "URL": publishing.http_url(PUBLISH), "NO_PROXY": "*"}
    done = subprocess.run(["sh", "-c", script], env=environment, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ('{"results":[{"at":null}]}', "", 0)


# The database


def test_the_tenant_of_a_host_is_set(example, monkeypatch):
    """With stand-ins; the recipe of row-level security runs on a PostgreSQL, in test_database_setup.py."""
    done = []

    class Domains:
        def select_related(self, field):
            return self

        def get(self, domain):
            done.append(("looked up", domain))
            return SimpleNamespace(tenant="acme")

    model = SimpleNamespace(objects=Domains())
    utils = SimpleNamespace(get_tenant_domain_model=lambda: model)
    monkeypatch.setitem(sys.modules, "django_tenants", SimpleNamespace(utils=utils))
    monkeypatch.setitem(sys.modules, "django_tenants.utils", utils)
    module = example("tenants")
    module.connection = SimpleNamespace(
        set_schema_to_public=lambda: done.append("public"), set_tenant=lambda tenant: done.append(tenant)
    )
    module.set_tenant({"headers": [(b"host", b"acme.example.com:8000")]})
    assert done == ["public", ("looked up", "acme.example.com"), "acme"]


@pytest.mark.django_db(transaction=True)
async def test_the_database_in_handlers(example):
    example("database")
    group = await Group.objects.acreate(name="chess")
    await group.user_set.aset([await User.objects.acreate(username=name) for name in ("bob", "ada")])
    await Group.objects.acreate(name="tea")
    async with connect(f"/ws/groups/{group.pk}") as ws:
        assert await ws.receive_json() == ["ada", "bob"]
        await ws.send("go")
        assert await ws.receive_text() == "renamed"
    assert (await _denial("/ws/groups/0"))[0] == 404
    async with connect("/ws/export") as ws:
        assert [message.text async for message in ws] == ["go", "tea"]
    async with connect("/ws/digest") as ws:
        await ws.send("secret")
        assert await ws.receive_bytes() == hashlib.scrypt(b"secret", salt=b"salt", n=1024, r=8, p=1)
