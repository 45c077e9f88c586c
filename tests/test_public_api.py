"""The names that are fixed, and what importing them does: nothing but that."""

import importlib
import inspect
import pkgutil
import re
import tomllib

import pytest

import django_fastws
from django_fastws import FastWS, Room, WebSocket, WebSocketMessage
from tests.support.processes import ROOT
from tests.support.subprocesses import run

NAMES = [
    "ClientState",
    "Event",
    "FastWS",
    "InvalidMessage",
    "LiveError",
    "MessageTooBig",
    "Room",
    "RouteError",
    "WebSocket",
    "WebSocketConnectionError",
    "WebSocketDisconnect",
    "WebSocketError",
    "WebSocketException",
    "WebSocketMessage",
    "WebSocketStateError",
]
FROM_WEBSOCKET = [name for name in NAMES if name not in ("Event", "FastWS", "Room", "RouteError")]
UNSET = {"DJANGO_SETTINGS_MODULE": None}


def test_every_name_of_the_package_is_in_all():
    assert set(NAMES) <= set(django_fastws.__all__)
    assert all(hasattr(django_fastws, name) for name in django_fastws.__all__)


def test_what_is_not_in_all_is_a_module_or_private():
    modules = {module.name for module in pkgutil.iter_modules(django_fastws.__path__)}
    public = {name for name in vars(django_fastws) if not name.startswith("_")}
    assert public <= set(django_fastws.__all__) | modules


def test_the_websocket_module_has_the_names_that_handlers_need():
    module = importlib.import_module("django_fastws.websocket")
    for name in FROM_WEBSOCKET:
        assert name in module.__all__
        assert getattr(module, name) is getattr(django_fastws, name)


def modules():
    found = pkgutil.walk_packages(django_fastws.__path__, "django_fastws.")
    return [module.name for module in found if ".management" not in module.name]


@pytest.mark.parametrize("name", modules())
def test_every_module_has_a_docstring_and_an_all_that_is_true(name):
    module = importlib.import_module(name)
    assert module.__doc__
    for exported in getattr(module, "__all__", ()):
        assert hasattr(module, exported), exported


@pytest.mark.parametrize("name", [name for name in NAMES if name != "ClientState"])
def test_every_public_class_and_method_has_a_docstring(name):
    cls = getattr(django_fastws, name)
    assert cls.__doc__
    for attribute, value in vars(cls).items():
        if not attribute.startswith("_") and (inspect.isfunction(value) or isinstance(value, property)):
            assert inspect.getdoc(value), f"{name}.{attribute}"


def test_the_package_is_typed_and_has_its_version():
    assert (ROOT / "django_fastws" / "py.typed").exists()
    assert re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+|\.dev\d+)?", django_fastws.__version__)


def test_the_version_stands_once():
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    assert "version" in pyproject["project"]["dynamic"]
    said = re.compile(r"^__version__\b.*=", re.MULTILINE)
    there = [path for path in (ROOT / "django_fastws").rglob("*.py") if said.search(path.read_text())]
    assert there == [ROOT / pyproject["tool"]["hatch"]["version"]["path"]]


# The contract's table


METHODS = [
    *("accept", "close", "ping", "pong", "join", "leave", "broadcast"),
    *("send", "send_text", "send_str", "send_bytes", "send_json"),
    *("receive", "recv", "receive_text", "recv_str", "receive_bytes", "recv_bytes", "receive_json", "recv_json"),
]
ATTRIBUTES = [
    *("closed", "close_code", "close_reason", "client_state", "subprotocol", "rooms", "dropped"),
    *("id", "headers", "url", "local_address", "remote_address", "client", "tags", "scope"),
    *("path_params", "query_params", "cookies", "user", "session"),
]


@pytest.mark.parametrize("name", METHODS)
def test_a_socket_has_this_method_and_it_is_async(name):
    assert inspect.iscoroutinefunction(getattr(WebSocket, name))


@pytest.mark.parametrize("name", ATTRIBUTES)
def test_a_socket_has_this_attribute(name):
    assert hasattr(WebSocket, name)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("send_text", "send_str"),
        ("receive", "recv"),
        ("receive_text", "recv_str"),
        ("receive_bytes", "recv_bytes"),
        ("receive_json", "recv_json"),
    ],
)
def test_both_spellings_are_one_method(one, other):
    assert getattr(WebSocket, one) is getattr(WebSocket, other)


def test_a_socket_can_be_iterated():
    assert hasattr(WebSocket, "__aiter__")
    assert hasattr(WebSocket, "__anext__")


def signature(function):
    found = inspect.signature(function).parameters.values()
    return [
        (p.name, p.kind.name, "required" if p.default is p.empty else p.default) for p in found if p.name != "self"
    ]


@pytest.mark.parametrize(
    ("function", "parameters"),
    [
        (FastWS, [("prefix", "POSITIONAL_OR_KEYWORD", ""), ("tags", "POSITIONAL_OR_KEYWORD", ())]),
        (
            FastWS.websocket,
            [
                ("path", "POSITIONAL_OR_KEYWORD", "required"),
                ("name", "KEYWORD_ONLY", None),
                ("tags", "KEYWORD_ONLY", None),
            ],
        ),
        (
            WebSocket.accept,
            [("subprotocol", "POSITIONAL_OR_KEYWORD", None), ("headers", "POSITIONAL_OR_KEYWORD", ())],
        ),
        (WebSocket.close, [("code", "POSITIONAL_OR_KEYWORD", 1000), ("reason", "POSITIONAL_OR_KEYWORD", "")]),
        (
            WebSocket.broadcast,
            [
                ("room", "POSITIONAL_OR_KEYWORD", "required"),
                ("data", "POSITIONAL_OR_KEYWORD", "required"),
                ("exclude_self", "POSITIONAL_OR_KEYWORD", False),
            ],
        ),
        (Room, [("name", "POSITIONAL_OR_KEYWORD", "required")]),
        (
            Room.broadcast,
            [
                ("data", "POSITIONAL_OR_KEYWORD", "required"),
                ("event", "POSITIONAL_OR_KEYWORD", None),
                ("exclude", "KEYWORD_ONLY", None),
                ("volatile", "KEYWORD_ONLY", False),
                ("on_commit", "KEYWORD_ONLY", True),
            ],
        ),
        (
            Room.abroadcast,
            [
                ("data", "POSITIONAL_OR_KEYWORD", "required"),
                ("event", "POSITIONAL_OR_KEYWORD", None),
                ("exclude", "KEYWORD_ONLY", None),
                ("volatile", "KEYWORD_ONLY", False),
            ],
        ),
    ],
    ids=lambda value: getattr(value, "__qualname__", ""),
)
def test_the_signatures_of_the_contract(function, parameters):
    found = signature(function)
    assert found[: len(parameters)] == parameters
    assert all(kind == "KEYWORD_ONLY" and default != "required" for _, kind, default in found[len(parameters) :])


def test_a_message_has_what_the_contract_says():
    assert all(hasattr(WebSocketMessage, name) for name in ("data", "text", "json"))


# Importing


def test_the_names_import_before_django_is_set_up_and_read_no_settings():
    done = run(
        f"""
        import sys, threading
        from django_fastws import {", ".join(NAMES)}
        from django_fastws.websocket import {", ".join(FROM_WEBSOCKET)}
        from django_fastws.routing import reverse_ws, websocket_urlpatterns
        from django.conf import settings
        from django.apps import apps

        assert not settings.configured
        assert not apps.ready
        assert threading.active_count() == 1
        # daphne installs the reactor, and has to be the first that imports it
        assert "twisted.internet.reactor" not in sys.modules
        """,
        UNSET,
        has_imported_nothing=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_routes_are_declared_before_django_is_set_up_and_read_no_settings():
    done = run(
        """
        from django_fastws import FastWS, Room, WebSocket, WebSocketException

        app = FastWS(prefix="/ws", tags=["chat"])

        @app.websocket("/chat/{room}")
        async def chat(ws: WebSocket, room: str, page: int = 1) -> None: ...

        repr(Room("x")), repr(app), WebSocketException(4000, "x")
        from django.conf import settings
        assert not settings.configured
        """,
        UNSET,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_pydantic_is_imported_by_who_declares_a_live_room_or_an_event_and_nobody_else():
    done = run(
        """
        import sys
        from django_fastws import FastWS, InvalidMessage, LiveError, Room, WebSocket, asgi, layer, testing
        import django_fastws.routing

        app = FastWS(prefix="/ws")

        @app.websocket("/chat/{room}")
        async def chat(ws: WebSocket, room: str) -> None: ...

        from django.core.management import call_command
        import django
        django.setup()
        from types import SimpleNamespace
        from django.conf import settings
        sys.modules["no_urls"] = SimpleNamespace(urlpatterns=[])  # those of the tests' site declare a live room
        settings.ROOT_URLCONF = "no_urls"
        call_command("check")
        assert "pydantic" not in sys.modules

        room = app.room("tickets/{pk:int}")
        assert "pydantic" in sys.modules
        from django_fastws import Event
        """,
        # The site of the tests declares a live room.
        {"DJANGO_SETTINGS_MODULE": "tests.settings", "TEST_FASTWS": '{"FASTWS_CONSUMERS_MODULE": "none_of_them"}'},
        has_imported_nothing=True,
    )
    assert (done.returncode, "Error" in done.stderr) == (0, False), done.stderr


def test_live_rooms_are_declared_before_django_is_set_up_and_read_no_settings():
    done = run(
        """
        from django_fastws import Event, FastWS, Room

        class Said(Event):
            text: str

        tickets = FastWS().room("tickets/{pk:int}", sends=[Said], rate="5/s", max_connections_per_user=1)

        @tickets.on("say")
        async def say(ws, room: Room, pk: int, text: str) -> list[Said]: ...

        @tickets.state
        async def state(ws, pk: int) -> list[Said]: ...

        repr(tickets), tickets(pk=5), Said(text="x")
        from django.conf import settings
        assert not settings.configured
        """,
        UNSET,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_asgi_and_testing_import_before_django_is_set_up():
    done = run(
        """
        import django_fastws.asgi, django_fastws.testing, django_fastws.layer
        from django.apps import apps
        assert not apps.ready
        """,
        {"DJANGO_SETTINGS_MODULE": "tests.settings"},
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_the_views_are_found_by_the_name_of_the_package_alone():
    done = run(
        """
        import django_fastws
        from django.urls import path
        path("realtime/publish", django_fastws.views.publish)
        """,
        {"DJANGO_SETTINGS_MODULE": "tests.settings"},
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_a_star_import_brings_all_and_nothing_else():
    namespace = {}
    exec("from django_fastws import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(django_fastws.__all__)
