"""manage.py ws_routes."""

import io
import json

import pytest
from channels.generic.websocket import AsyncWebsocketConsumer
from django.core.management import call_command

from django_fastws import Event, FastWS, RouteError
from django_fastws.routing.routes import Problem


class Consumer(AsyncWebsocketConsumer):
    pass


async def chat(ws, room): ...


@pytest.fixture
def some_routes(routes):
    app = FastWS(prefix="/ws", tags=["site"])
    app.websocket("/chat/{room}", name="größe", tags=["chat"])(chat)
    app.websocket("/a/consumer")(Consumer)
    FastWS().websocket("/made")(Consumer.as_asgi())
    return routes


def listed(*arguments):
    out, err = io.StringIO(), io.StringIO()
    call_command("ws_routes", *arguments, stdout=out, stderr=err, no_color=True)
    return out.getvalue(), err.getvalue()


def test_the_routes_as_a_table(some_routes):
    out, err = listed()
    assert err == ""
    lines = out.splitlines()
    assert [line.split() for line in lines] == [
        ["DIRECTION", "PATH", "OR", "URL", "NAME", "HANDLER", "MODULE", "TAGS"],
        ["in", "/ws/chat/{room}", "größe", "chat", "tests.management.commands.test_ws_routes", "site,", "chat"],
        ["in", "/ws/a/consumer", "Consumer", "Consumer", "tests.management.commands.test_ws_routes", "site"],
        ["in", "/made", "Consumer", "Consumer", "tests.management.commands.test_ws_routes"],
    ]
    for title, cell in (("PATH", "/ws/chat"), ("NAME", "größe"), ("HANDLER", "chat  "), ("MODULE", "tests.")):
        assert lines[0].index(title) == lines[1].index(cell)
    assert all(line == line.rstrip() for line in lines)


class Said(Event):
    text: str


async def say(ws, text: str): ...
async def enter(ws): ...
async def card(ws): ...


def test_live_rooms_are_behind_the_routes_with_their_hooks_and_events(routes):
    room = FastWS(tags=["desk"]).room("tickets/{pk:int}", sends=[Said], presence=True)
    room.on("say")(say)
    room.relay("typing", Said)
    room.on_join(enter)
    room.card(card)
    live, *rows = json.loads(listed("--json")[0])
    assert (live["direction"], live["path"], live["name"]) == ("in", "/ws/live", "fastws-live")
    here = "tests.management.commands.test_ws_routes"
    assert {(row["path"], row["module"], *row["tags"]) for row in rows} == {("tickets/{pk:int}", here, "desk")}
    assert [(row["direction"], row["name"], row["handler"]) for row in rows] == [
        ("room", "tickets", ""),
        ("join", "", "enter"),
        ("card", "", "card"),
        ("event", "say", "say"),
        ("relay", "typing", "Said"),
        ("sends", "said", "Said"),
    ]
    assert [line.split()[0] for line in listed()[0].splitlines()[2:]] == [
        "room",
        "join",
        "card",
        "event",
        "relay",
        "sends",
    ]


def test_the_routes_as_json(some_routes):
    out, err = listed("--json")
    assert err == ""
    assert "größe" in out
    assert json.loads(out) == [
        {
            "direction": "in",
            "path": "/ws/chat/{room}",
            "name": "größe",
            "handler": "chat",
            "module": "tests.management.commands.test_ws_routes",
            "tags": ["site", "chat"],
        },
        {
            "direction": "in",
            "path": "/ws/a/consumer",
            "name": "Consumer",
            "handler": "Consumer",
            "module": "tests.management.commands.test_ws_routes",
            "tags": ["site"],
        },
        {
            "direction": "in",
            "path": "/made",
            "name": "Consumer",
            "handler": "Consumer",
            "module": "tests.management.commands.test_ws_routes",
            "tags": [],
        },
    ]


def test_without_routes_it_says_how_to_declare_one(routes):
    out, _ = listed()
    assert "No WebSocket routes" in out
    assert "consumers.py" in out


def test_without_routes_the_json_is_an_empty_list(routes):
    out, _ = listed("--json")
    assert json.loads(out) == []


@pytest.mark.parametrize("arguments", [(), ("--json",)])
def test_a_module_that_was_not_loaded_is_told_on_stderr(some_routes, arguments):
    some_routes.problems.append(Problem("shop.consumers", RouteError("what is wrong")))
    out, err = listed(*arguments)
    assert "shop.consumers was not loaded: what is wrong" in err
    assert "shop.consumers" not in out


def test_it_lists_routes_that_could_not_be_served(routes):
    async def twice(ws): ...

    for _ in range(2):
        FastWS().websocket("/x")(twice)
    out, _ = listed("--json")
    assert [row["path"] for row in json.loads(out)] == ["/x", "/x"]
